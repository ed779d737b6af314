"""The operators' page of alerts, and the command that prints them."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from xqueue_bridge.models import Alert
from xqueue_bridge.views.alerts import ADVICE

pytestmark = pytest.mark.django_db

URL = "/xqueue/queues/alerts/"
NOW = timezone.now()


@pytest.fixture
def _alerts(settings) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": {"EMAILS": ["operators@example.com"]}}
    sent = {"is_told": True, "notified_at": NOW}
    rows = (
        ("stalled", True, {**sent, "detail": "1200 s"}),
        ("no_grader", False, {"notified_at": NOW}),
        ("grader_gone", True, {"attempts": 12, "last_error": "mail: SMTPException"}),
        ("grader_paused", True, {"next_attempt_at": NOW}),
        ("failed", False, {}),
    )
    for age, (kind, is_open, more) in enumerate(rows):
        at = NOW - timedelta(minutes=age)
        Alert.objects.create(kind=kind, queue_name="python", is_open=is_open, changed_at=at, **more)


def kinds(response) -> list[str]:
    return [row.kind for row, _notice, _advice in response.context["rows"]]


@pytest.mark.usefixtures("_alerts")
def test_open_alerts_are_first_with_what_to_do_and_the_last_notification(client, operator):
    response = client.get(URL)
    assert kinds(response) == ["stalled", "grader_gone", "grader_paused", "no_grader", "failed"]
    notices = {row.kind: notice for row, notice, _advice in response.context["rows"]}
    assert notices == {
        "stalled": "that it began",
        "no_grader": "that it ended",
        "grader_gone": "not sent: mail: SMTPException",
        "grader_paused": "will be sent",
        "failed": "none",
    }
    page = response.content.decode()
    assert "1200 s" in page
    assert "Start the graders" in page
    assert "Grant the queue" not in page, "which is over"
    assert "/xqueue/queues/history/?queue=python" in page
    assert "when_a_queue_stalls.rst" in page


@pytest.mark.usefixtures("_alerts")
def test_alerts_are_filtered(client, operator):
    assert kinds(client.get(URL, {"state": "ended"})) == ["no_grader", "failed"]
    assert kinds(client.get(URL, {"state": "open", "kind": "stalled"})) == ["stalled"]
    assert client.get(URL, {"state": "x"}).status_code == 422
    assert "No alert matches." in client.get(URL, {"queue": "java"}).content.decode()


@pytest.mark.usefixtures("_alerts")
def test_page_takes_three_statements(client, operator, django_assert_num_queries):
    """Session, user; alerts."""
    with django_assert_num_queries(3):
        client.get(URL)


def test_page_says_that_no_trouble_is_looked_for(client, operator):
    page = client.get(URL).content.decode()
    assert "The setting ALERTS is not set" in page
    assert "There was no trouble yet." in page


@pytest.mark.usefixtures("_alerts")
def test_queues_page_leads_to_the_open_alerts(client, operator):
    page = client.get("/xqueue/queues/").content.decode()
    assert f'<a href="{URL}?state=open">3 alerts are open.</a>' in page
    Alert.objects.update(is_open=False)
    assert "alerts are open" not in client.get("/xqueue/queues/").content.decode()


def test_every_kind_of_trouble_has_an_advice() -> None:
    assert set(ADVICE) == set(Alert.Kind)


@pytest.mark.usefixtures("_alerts")
def test_command_prints_the_open_alerts_or_all() -> None:
    def printed(*arguments: str) -> list[dict[str, object]]:
        out = StringIO()
        call_command("xqueue_bridge_alerts", *arguments, "--json", stdout=out)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    assert [row["kind"] for row in printed()] == ["stalled", "grader_gone", "grader_paused"]
    assert len(printed("--all")) == 5
    assert printed("--queue", "java") == []
    assert printed()[1] == {
        "kind": "grader_gone",
        "queue": "python",
        "status": "open",
        "since": (NOW - timedelta(minutes=2)).isoformat(timespec="seconds"),
        "notified_at": None,
        "next_attempt_at": None,
        "measured": "",
        "is_told": False,
        "attempts": 12,
        "last_error": "mail: SMTPException",
    }
