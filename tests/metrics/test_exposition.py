"""The metrics for Prometheus: who may read them, their format and their cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.metrics.conftest import submission
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.metrics import exposition
from xqueue_bridge.metrics.models import QueueSample

pytestmark = pytest.mark.django_db
URL = "/xqueue/metrics/"
TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.fixture(autouse=True)
def _token(settings) -> None:
    settings.XQUEUE_BRIDGE = {"METRICS_TOKEN": "s3cret"}


def sample(minutes_ago: int, queue_name: str = "python", **values: float) -> QueueSample:
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes_ago)
    figures = {"waiting": 0, "leased": 0, "pending_replies": 0, "graders": 1, "paused_graders": 0}
    return QueueSample.objects.create(minute=minute, queue_name=queue_name, **{**figures, **values})


def scraped(client, **headers: str) -> dict[tuple[str, str], float]:
    response = client.get(URL, headers={**TOKEN, **headers})
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (each.name, each.labels.get("queue") or each.labels.get("kind", "")): each.value
        for family in families
        for each in family.samples
    }


def test_newest_sample_of_each_queue_is_exposed(client) -> None:
    sample(30, waiting=9, answered_total=100)
    sample(0, waiting=6, answered_total=160, oldest_seconds=12.5)
    sample(0, "haskell", waiting=1)
    found = scraped(client)
    assert found["xqueue_bridge_submissions_waiting", "python"] == 6
    assert found["xqueue_bridge_submissions_waiting", "haskell"] == 1
    assert found["xqueue_bridge_submissions_answered_total", "python"] == 160
    assert found["xqueue_bridge_oldest_waiting_seconds", "python"] == 12.5


def test_drain_is_the_backlog_divided_by_the_measured_rate(client) -> None:
    sample(30, answered_total=100)
    sample(0, waiting=6, answered_total=160)
    sample(30, "stalled")
    sample(0, "stalled", waiting=3)
    found = scraped(client)
    # 60 in 30 minutes are 2 a minute.
    assert found["xqueue_bridge_drain_seconds", "python"] == 180
    assert found["xqueue_bridge_drain_seconds", "stalled"] == float("inf")


def test_overdue_work_is_counted_by_kind(client) -> None:
    row = submission(timezone.now())
    ReceivedReply.objects.create(
        submission=row,
        received_at=timezone.now(),
        next_attempt_at=timezone.now() - timedelta(minutes=2),
    )
    found = scraped(client)
    assert found["xqueue_bridge_work_overdue", "receivedreply"] == 1
    assert found["xqueue_bridge_work_overdue", "gradeoutbox"] == 0


def test_openmetrics_is_sent_to_who_asks_for_it(client) -> None:
    sample(0, waiting=1)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    response = client.get(URL, headers={**TOKEN, **accept})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(response.content.decode())}
    assert "xqueue_bridge_submissions_answered" in names


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Basic s3cret", "Bearer  s3cret", "s3cret"])
def test_wrong_token_is_refused(client, given) -> None:
    sample(0)
    response = client.get(URL, headers={"Authorization": given})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert b"python" not in response.content


def test_without_a_token_or_the_extra_there_is_no_such_page(client, settings, monkeypatch) -> None:
    monkeypatch.setattr(exposition, "is_installed", False)
    assert client.get(URL, headers=TOKEN).status_code == 404
    monkeypatch.setattr(exposition, "is_installed", True)
    settings.XQUEUE_BRIDGE = {}
    assert client.get(URL, headers={"Authorization": "Bearer None"}).status_code == 404


def test_queue_name_with_quotes_and_newlines_is_one_label(client) -> None:
    sample(0, 'a"b\\c', waiting=2)
    assert scraped(client)["xqueue_bridge_submissions_waiting", 'a"b\\c'] == 2


def test_scrape_reads_samples_only(client, django_assert_num_queries) -> None:
    """The samples, overdue work of four kinds, and the sweeper: no count of submissions."""
    sample(0)
    with django_assert_num_queries(6) as captured:
        client.get(URL, headers=TOKEN)
    assert not any('xqueue_bridge_submission"' in each["sql"] for each in captured)


def test_collector_can_be_registered_without_a_database(django_db_blocker) -> None:
    from prometheus_client import CollectorRegistry

    with django_db_blocker.block():
        CollectorRegistry().register(exposition.QueueCollector())
