"""The queue page: who may read it, what it shows, and how many statements it executes."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.submission_queue.factories import make_grader, new_submission
from tests.views.test_queue_history import sample
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.formatting import format_duration
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.models import Heartbeat

QUEUES = "/xqueue/queues/"


@pytest.fixture
def operator(db) -> User:
    return User.objects.create(username="operator", is_staff=True)


def test_page_lists_every_queue_with_open_submissions(client, operator) -> None:
    api.enqueue(new_submission("python", queue_key="1"))
    api.enqueue(new_submission("haskell", queue_key="2"))
    api.enqueue(new_submission("haskell", queue_key="3"))
    make_grader("haskell").pull("haskell")
    client.force_login(operator)
    rows = [
        (queue.queue_name, queue.waiting, queue.leased)
        for queue, _ in client.get(QUEUES).context["rows"]
    ]
    assert rows == [("haskell", 1, 1), ("python", 1, 0)]


def test_page_and_partial_show_depth_age_leases_and_failures(client, operator, settings) -> None:
    """C126: depth, oldest age, leases and failures, as they are, on the page."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    now = timezone.now()
    rows = Submission.objects.filter(queue_name="python")
    for number in range(7):
        api.enqueue(new_submission("python", queue_key=str(number)))
    for _ in range(3):
        queue.pull("python", None)
    # Two leases have ended after the last delivery; the oldest waiting submission is two hours old.
    exhausted = list(rows.filter(status="leased").order_by("pk")[:2].values_list("pk", flat=True))
    rows.filter(pk__in=exhausted).update(available_at=now)
    api.fail_exhausted()
    rows.filter(queue_key="5").update(created_at=now - timedelta(hours=2, minutes=1))
    client.force_login(operator)
    for query in ({}, {"partial": "table"}):
        page = client.get(QUEUES, query).content.decode()
        heads = re.findall(r"<th scope=\"col\"[^>]*><a [^>]*>([\w ]+)", page)
        cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
        shown = dict(zip(heads, ["python", *cells], strict=True))
        assert (shown["Waiting"], shown["Oldest"]) == ("4", "2 h")
        assert (shown["In grading"], shown["Failed"]) == ("1", "2")


def test_time_until_a_queue_is_empty_is_of_what_waits_now(client, operator) -> None:
    """The samples, from which the rate is known, are up to a minute old."""
    sample(31).save()
    sample(1, answered_total=60).save()  # two a minute
    for number in range(4):
        api.enqueue(new_submission("python", queue_key=str(number)))
    client.force_login(operator)
    [(_stats, rate)] = client.get(QUEUES).context["rows"]
    assert rate.drain_seconds == 120


def test_page_without_open_submissions_has_a_message_and_no_table(client, operator) -> None:
    client.force_login(operator)
    page = client.get(QUEUES).content.decode()
    assert "No queue has submissions that wait" in page
    assert "<table" not in page


def test_partial_is_the_table_without_the_page(client, operator) -> None:
    api.enqueue(new_submission("python"))
    client.force_login(operator)
    page = client.get(QUEUES).content.decode()
    table = client.get(QUEUES, {"partial": "table"}).content.decode()
    assert "<html" in page
    assert "<html" not in table
    assert ">python</a></th>" in page
    assert ">python</a></th>" in table


def test_anonymous_user_is_redirected_to_the_hosts_login(client, db, settings) -> None:
    settings.LOGIN_URL = "/signin/"
    response = client.get(QUEUES)
    assert (response.status_code, response.url) == (302, f"/signin/?next={QUEUES}")


@pytest.mark.parametrize("kind", [{}, {"is_staff": True, "is_active": False}])
def test_users_who_are_not_active_staff_are_refused(
    client, db, kind: dict[str, bool], settings
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    client.force_login(User.objects.create(username="learner", **kind))
    assert client.get(QUEUES).status_code == 403


def test_queue_name_with_markup_is_escaped(client, operator) -> None:
    api.enqueue(new_submission("<b>bold</b>"))
    client.force_login(operator)
    assert "<b>bold</b>" not in client.get(QUEUES).content.decode()


def test_page_executes_eleven_statements_and_refuses_post(
    client, operator, django_assert_num_queries
) -> None:
    client.force_login(operator)
    assert client.post(QUEUES).status_code == 405
    # Session and user, then: unfinished, finished, pending replies, paused graders, paused queues,
    # graders, sweeper, the samples of the last hour, open alerts.
    with django_assert_num_queries(11):
        client.get(QUEUES)


def test_queue_that_no_grader_may_use_is_marked(client, operator) -> None:
    api.enqueue(new_submission("haskell", queue_key="1"))
    api.enqueue(new_submission("python", queue_key="2"))
    make_grader("python")
    client.force_login(operator)
    table = client.get(QUEUES, {"partial": "table"}).content.decode()
    haskell, python = re.findall(r"<tr>(?:(?!<tr>).)*?</tr>", table, re.DOTALL)[1:]
    assert '<td class="bad">0<small>no grader may use it' in haskell
    assert "<td>1<small>0 s ago" in python


def test_paused_queue_is_marked(client, operator) -> None:
    api.enqueue(new_submission("python"))
    api.pause_queue("python")
    client.force_login(operator)
    assert '<span class="paused">paused</span> <a ' in client.get(QUEUES).content.decode()


def test_paused_grader_is_marked(client, operator) -> None:
    api.enqueue(new_submission("python"))
    make_grader("python")
    now = timezone.now()
    GraderPause.objects.create(
        grader=Grader.objects.get(),
        queue_name="python",
        since=now,
        paused_until=now + timedelta(hours=1),
    )
    client.force_login(operator)
    assert "1 paused: invalid replies" in client.get(QUEUES).content.decode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "The sweeper has never run."),
        (5, "The sweeper last ran 5 s ago.</p>"),
        (300, "The sweeper last ran 5 min ago. Start xqueue_bridge_sweep"),
    ],
)
def test_page_shows_when_the_sweeper_last_ran(
    client, operator, seconds: float | None, text: str
) -> None:
    if seconds is not None:
        seen_at = timezone.now() - timedelta(seconds=seconds)
        Heartbeat.objects.create(name=heartbeat.SWEEPER, seen_at=seen_at)
    client.force_login(operator)
    assert text in client.get(QUEUES).content.decode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 s"),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (7_200, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_duration_is_in_the_largest_unit_that_fits(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text
