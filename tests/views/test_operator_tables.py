"""Each table of the operators' pages: sorted, filtered, paged, linked to, exported, and guarded."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.test import Client
from django.utils import timezone

from tests.commands import json_of
from tests.grader_replies.factories import make_learner, make_reply, make_submission
from tests.submission_queue.factories import make_grader, new_submission
from tests.views import table_rows
from xqueue_bridge.grader_replies.models import ReceivedReply, ReplyCodeCount
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.models import Alert, GradeRecalculation, OperatorAction, Priority
from xqueue_bridge.operations import api as operations
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/xqueue/queues"
#: Path of the page -> a query that selects some of its rows, and a column that it is sorted by.
TABLES = {
    f"{BASE}/": ({"queue": "queue 1"}, "queue"),
    f"{BASE}/history/": ({"queue": "queue 01", "with_failures": "on"}, "received"),
    f"{BASE}/actions/": ({"queue": "queue 01"}, "action"),
    f"{BASE}/alerts/": ({"queue": "queue 01"}, "queue"),
    f"{BASE}/work/": ({"queue": "queue 01"}, "attempts"),
    f"{BASE}/priorities/": ({"queue": "queue 01", "level": "1"}, "queue"),
    f"{BASE}/graders/": ({"grader": "grader 1"}, "grader"),
    f"{BASE}/graders/codes/": ({"code": "score_missing"}, "count"),
}
#: A page with 50 rows, and some more.
ROWS = 60


@pytest.fixture
def root(client) -> User:
    user = User.objects.create_superuser("root")
    client.force_login(user)
    return user


@pytest.fixture
def _filled() -> None:
    """Store more than a page of rows for each table."""
    now = timezone.now()
    Grader.objects.bulk_create([Grader(name=f"grader {n}") for n in range(ROWS)])
    table_rows.add_submissions([make_learner()] * ROWS)
    submissions = list(Submission.objects.order_by("pk"))
    actions, counts, priorities, alerts, replies = [], [], [], [], []
    graders = Grader.objects.order_by("pk")
    for number, (grader, submission) in enumerate(zip(graders, submissions, strict=True)):
        name, is_odd = f"queue {number:02}", bool(number % 2)
        submission.queue_name = name
        code = "score_missing" if is_odd else "not_json"
        counts.append(ReplyCodeCount(grader=grader, code=code, count=number))
        kind = "pause" if is_odd else "resume"
        actions.append(OperatorAction(kind=kind, queue_name=name, created_at=now, finished_at=now))
        priorities.append(Priority(queue_name=name, course_key="", level=1 if is_odd else -1))
        alerts.append(Alert(kind="stalled", queue_name=name, is_open=is_odd, changed_at=now))
        replies.append(
            ReceivedReply(
                submission=submission,
                source="put_result",
                received_at=now,
                status="dead",
                attempts=number % 3,
                last_error="ConnectionError",
            )
        )
    Submission.objects.bulk_update(submissions, ["queue_name"])
    for rows in (counts, actions, priorities, alerts, replies, _samples(now)):
        type(rows[0])._default_manager.bulk_create(rows)


def _samples(now: datetime) -> list[QueueSample]:
    return [
        QueueSample(
            queue_name="queue 01",
            minute=now - timedelta(minutes=24 * 60 - minute),
            received_total=minute * minute,
            failed_total=minute // 100,
            waiting=minute,
            leased=0,
            pending_replies=0,
            graders=1,
            paused_graders=0,
        )
        for minute in range(0, 24 * 60, 10)
    ]


def keys_of(page: str) -> list[str]:
    """Return the first cell of each row of the last table of a page."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    heads = re.findall(r'<th scope="row">(.*?)</th>', bodies[-1], re.DOTALL) if bodies else []
    return [re.sub(r"<[^>]*>", "", each).strip() for each in heads]


def lines_of(response: object) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode().removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(text)))


def context_of(path: str) -> dict[str, str]:
    return {"queue": "queue 01"} if path.endswith("history/") else {}


@pytest.mark.parametrize("path", TABLES)
@pytest.mark.usefixtures("_filled")
def test_every_table_has_pages_whose_links_lead_through_all_rows_once(client, root, path) -> None:
    url, seen = path, []
    query = "?" + "&".join(f"{k}={v}" for k, v in context_of(path).items())
    while query:
        page = client.get(url + query.replace("&amp;", "&")).content.decode()
        assert 0 < len(keys_of(page)) <= 50
        seen += [(query, key, number) for number, key in enumerate(keys_of(page))]
        found = re.search(r'rel="next" href="([^"]*)"', page)
        query = found.group(1) if found else ""
    assert len(seen) >= ROWS
    whole = lines_of(client.get(path.rstrip("/") + ".csv", context_of(path)))
    assert len(whole) == len(seen)


@pytest.mark.parametrize("path", TABLES)
@pytest.mark.usefixtures("_filled")
def test_every_table_is_sorted_by_links_of_its_head(client, root, path) -> None:
    sort = TABLES[path][1]
    orders = []
    for order in ("asc", "desc"):
        given = {**context_of(path), "sort": sort, "order": order}
        response = client.get(path, given)
        aria = "ascending" if order == "asc" else "descending"
        assert f'aria-sort="{aria}"' in response.content.decode()
        orders.append(response.content.decode().split("<tbody>")[-1])
    assert orders[0] != orders[1]


@pytest.mark.parametrize("path", TABLES)
@pytest.mark.usefixtures("_filled")
def test_filter_selects_the_same_rows_on_the_page_and_in_the_file(client, root, path) -> None:
    given = TABLES[path][0]
    page = client.get(path, given).content.decode()
    whole = lines_of(client.get(path.rstrip("/") + ".csv", given))
    assert 0 < len(keys_of(page)) == len(whole) < ROWS
    assert "All rows" in page
    csv_link = re.search(r'href="([^"]*\.csv[^"]*)"', page)
    assert csv_link, "the file has the filter of the page"
    assert len(lines_of(client.get(csv_link.group(1).replace("&amp;", "&")))) == len(whole)


@pytest.mark.parametrize("path", TABLES)
@pytest.mark.usefixtures("_filled")
def test_unknown_values_of_the_query_are_ignored(client, root, path) -> None:
    for given in ({"sort": "x"}, {"order": "x"}, {"after": "x"}, {"after": "5.\0"}):
        for sort in ({}, {"sort": TABLES[path][1]}):
            assert client.get(path, {**context_of(path), **sort, **given}).status_code == 200


def test_cursor_whose_time_is_none_in_utc_is_ignored(client, root) -> None:
    operations.record("pause", root.pk, queue_name="python")
    for time in ("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"):
        given = {"sort": "finished", "after": f"5.{time}"}
        assert len(keys_of(client.get(f"{BASE}/actions/", given).content.decode())) == 1


@pytest.mark.parametrize("path", [path for path in TABLES if not path.endswith("history/")])
def test_invalid_filter_is_answered_with_its_error(client, root, path) -> None:
    name = "code" if path.endswith("codes/") else "grader" if "graders" in path else "queue"
    response = client.get(path, {name: "x" * 129})
    assert response.status_code == 422
    assert "128" in response.content.decode() or "40" in response.content.decode()
    assert client.get(path.rstrip("/") + ".csv", {name: "x" * 129}).status_code == 422


@pytest.mark.parametrize("path", TABLES)
def test_tables_without_rows(client, root, path) -> None:
    if path.endswith("history/"):
        assert client.get(path, {"queue": "unknown"}).status_code == 404
        return
    page = client.get(path).content.decode()
    assert 'class="empty"' in page
    assert lines_of(client.get(path.rstrip("/") + ".csv")) == []


@pytest.mark.parametrize("path", TABLES)
@pytest.mark.usefixtures("_filled")
def test_only_staff_of_the_host_see_a_table(client, path) -> None:
    """Anonymous, a learner, a grader: nothing of a row is in the response."""
    learner = Client()
    learner.force_login(User.objects.create(username="learner"))
    for visitor in (Client(), learner, make_grader().http):
        for each in (path, path.rstrip("/") + ".csv"):
            response = visitor.get(each, context_of(path))
            assert response.status_code in (302, 403)
            assert b"grader 1" not in response.content
            assert b"score_missing" not in response.content


def test_page_of_work_counts_each_kind_and_offers_to_retry_dead_replies(client, root) -> None:
    submission, old = make_submission(make_learner()), timezone.now() - timedelta(hours=1)
    Heartbeat.objects.create(name=heartbeat.SWEEPER, seen_at=timezone.now())
    make_reply(submission, next_attempt_at=old)
    dead = make_reply(submission, status="dead", next_attempt_at=None, last_error="Gone")
    # Final replies with a reason are not work that has failed.
    make_reply(submission, status="stale", next_attempt_at=None, last_error="does not wait")
    response = client.get(f"{BASE}/work/")
    [replies] = [each for each in response.context["counts"] if each.name == "receivedreply"]
    assert (replies.waiting, replies.overdue, replies.failed) == (1, 1, 1)
    page = response.content.decode()
    assert keys_of(page) == [str(dead.pk)]
    assert "Process sweeper last ran" in page
    retry = f"{BASE}/act/?action=retry&amp;submissions={submission.pk}"
    assert retry in page
    assert (
        f"{BASE}/act/?action=retry&amp;queue=python"
        in client.get(f"{BASE}/work/", {"queue": "python"}).content.decode()
    )
    assert retry not in client.get(f"{BASE}/work/", {"state": "waiting"}).content.decode()
    client.post(f"{BASE}/act/", {"action": "retry", "submissions": str(submission.pk)})
    assert ReceivedReply.objects.get(pk=dead.pk).status == "pending"
    assert OperatorAction.objects.get().changed == 1


def test_staff_without_the_permission_are_not_offered_to_retry(client) -> None:
    client.force_login(User.objects.create(username="staff", is_staff=True))
    make_reply(make_submission(make_learner()), status="dead", next_attempt_at=None)
    page = client.get(f"{BASE}/work/").content.decode()
    assert keys_of(page)
    assert "action=retry" not in page


def test_work_of_other_kinds_is_listed_by_state(client, root) -> None:
    common = {"course_id": "course-v1:DemoX+CS101+2026", "wanted": 2, "done": 1}
    GradeRecalculation.objects.create(user_id=1, last_error="ValueError", **common)
    GradeRecalculation.objects.create(user_id=2, next_attempt_at=timezone.now(), **common)
    for state, learner in (("failed", 1), ("waiting", 2)):
        given = {"kind": "graderecalculation", "state": state}
        page = client.get(f"{BASE}/work/", given).content.decode()
        assert f"recalculation of learner {learner}" in page
        assert len(keys_of(page)) == 1
    given["queue"] = "python"
    assert "There is no such work." in client.get(f"{BASE}/work/", given).content.decode()


def test_queue_table_leads_to_the_replies_that_are_not_applied(client, root) -> None:
    make_reply(make_submission(make_learner()))
    page = client.get(f"{BASE}/").content.decode()
    link = f"{BASE}/work/?state=waiting&amp;queue=python"
    assert link in page
    assert len(keys_of(client.get(link.replace("&amp;", "&")).content.decode())) == 1


def test_statements_of_the_tables(client, root, django_assert_num_queries) -> None:
    api.enqueue(new_submission())
    operations.record("pause", root.pk, queue_name="python")
    # Session and user; actions and their authors.
    with django_assert_num_queries(4):
        client.get(f"{BASE}/actions/")
    # Session and user; for each of the four kinds its three counts and the newest row; processes;
    # the replies and the newest one.
    with django_assert_num_queries(2 + 4 * 4 + 1 + 2):
        client.get(f"{BASE}/work/")


def test_command_prints_counts_and_the_work_that_was_failed() -> None:
    submission = make_submission(make_learner())
    dead = make_reply(submission, status="dead", next_attempt_at=None, last_error="Gone")
    [counts] = [each for each in json_of("xqueue_bridge_work", "counts") if each["failed"]]
    assert (counts["kind"], counts["waiting"], counts["failed"]) == ("receivedreply", 0, 1)
    [row] = json_of("xqueue_bridge_work", "list")
    assert row == {
        "kind": "receivedreply",
        "id": dead.pk,
        "submission": submission.pk,
        "queue": "python",
        "attempts": 0,
        "next_attempt_at": None,
        "last_error": "Gone",
    }
    assert json_of("xqueue_bridge_work", "list", "--queue", "java") == []
    assert json_of("xqueue_bridge_work", "list", "--state", "waiting") == []
    assert json_of("xqueue_bridge_work", "list", "--kind", "graderecalculation") == []
    with pytest.raises(CommandError, match="--kind"):
        json_of("xqueue_bridge_work", "list", "--kind", "unknown")


def test_command_prints_the_codes_of_graders() -> None:
    make_grader("python")
    ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="score_missing", count=42)
    [row] = json_of("xqueue_bridge_grader", "codes")
    assert (row["grader"], row["code"], row["count"]) == ("watcher", "score_missing", 42)
    assert json_of("xqueue_bridge_grader", "codes", "--grader", "other") == []
