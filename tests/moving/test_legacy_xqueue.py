"""Import from a legacy XQueue server's table: which rows, and what happens to each."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import responses
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.integration.conftest import grade_of
from tests.moving.legacy_server import ALIAS, HOST, HOUR, LegacyGrader, make_row, rows
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.models import RetiredLearner
from xqueue_bridge.moving import legacy_table, legacy_xqueue
from xqueue_bridge.moving.legacy_table import LegacyTable
from xqueue_bridge.moving.legacy_xqueue import Plan, SameServer
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", ALIAS]),
    pytest.mark.usefixtures("legacy_table"),
]

MINUTE = timedelta(minutes=1)


def import_rows(**plan: Any) -> Counter[str]:
    return legacy_xqueue.import_rows(LegacyTable(ALIAS), Plan(**plan))


def make_pulled(age: timedelta, **values: Any) -> int:
    return make_row(pull_time=timezone.now() - age, pullkey="k", **values)


def test_waiting_row_is_imported():
    """C131: header and body byte for byte; the server's graders are not offered it again."""
    pk = make_row()
    before = rows().get(pk=pk)
    assert import_rows(course_key=COURSE) == Counter(imported=1)
    stored = Submission.objects.get()
    assert (stored.user_id, stored.course_key, stored.usage_key) == (7, COURSE, PROBLEM)
    assert (stored.queue_name, stored.queue_key, stored.transport) == ("python", "key-7", "table")
    assert stored.content.header == before.xqueue_header
    assert stored.content.body == before.xqueue_body
    after = rows().get(pk=pk)
    assert (after.retired, after.pullkey) == (True, "")
    assert after.grader_reply == legacy_table.IMPORTED
    assert LegacyGrader().read_oldest() is None
    assert import_rows() == Counter()


@pytest.mark.parametrize(
    ("age", "values", "outcome"),
    [
        (MINUTE * 2, {}, "imported"),
        (MINUTE / 2, {}, "held by a grader"),
        (MINUTE / 2, {"grader_reply": "unreadable"}, "imported"),
        (MINUTE * 2, {"retired": True}, None),
        (MINUTE * 2, {"retired": True, "grader_reply": GOOD_REPLY, "lms_ack": True}, None),
    ],
)
def test_rows_that_a_grader_holds_or_has_answered_stay(age, values, outcome):
    """C131: a lease that has not ended belongs to the server's grader; a retired row is over."""
    make_pulled(age, **values)
    assert import_rows() == (Counter({outcome: 1}) if outcome else Counter())
    assert Submission.objects.count() == (outcome == "imported")


def test_lease_of_the_server_is_an_option():
    make_pulled(MINUTE * 2)
    assert import_rows(lease=MINUTE * 5) == Counter({"held by a grader": 1})


def test_result_that_the_lms_has_not_acknowledged_is_applied(learner):
    """C28: the grader has answered; no other grader is asked."""
    user_id = learner()
    pk = make_row(user_id, grader_reply=GOOD_REPLY, return_time=timezone.now())
    assert import_rows() == Counter({"results stored": 1})
    assert grade_of(user_id) == 1
    after = rows().get(pk=pk)
    assert (after.retired, after.lms_ack, after.grader_reply) == (True, True, GOOD_REPLY)
    assert import_rows(unacknowledged=True) == Counter()


def test_result_of_a_row_that_the_server_has_ended_needs_the_option(learner):
    user_id = learner()
    make_row(user_id, grader_reply=GOOD_REPLY, retired=True)
    assert import_rows() == Counter()
    assert import_rows(unacknowledged=True) == Counter({"results stored": 1})
    assert grade_of(user_id) == 1


def test_result_is_stored_once_if_the_run_is_killed_before_it_is_acknowledged(learner, monkeypatch):
    user_id = learner()
    make_row(user_id, grader_reply=GOOD_REPLY)
    with monkeypatch.context() as killed:
        killed.setattr(LegacyTable, "acknowledge", _kill)
        with pytest.raises(KeyboardInterrupt):
            import_rows()
    assert import_rows() == Counter({"results stored": 1})
    assert ReceivedReply.objects.get().status == "applied"


@pytest.mark.parametrize(
    "values",
    [
        {"xqueue_header": "{"},
        {"xqueue_header": make_xheader(f"{HOST}/other/7", "key-7", "python")},
        {"xqueue_header": make_xheader(f"{HOST}/courses/x/xqueue/7/y/score_update", "k", "q")},
        {"xqueue_body": "x" * 3_000_000},
        {"grader_reply": "no reply", "retired": True},
    ],
)
def test_row_that_cannot_be_imported_stays(values, caplog):
    pk = make_row(**values)
    before = rows().filter(pk=pk).values().get()
    assert import_rows(unacknowledged=True) == Counter(refused=1)
    assert rows().filter(pk=pk).values().get() == before
    assert f"Row {pk} of the legacy XQueue is not imported" in caplog.text


def test_retired_learner_and_unknown_queue_are_refused(settings, caplog):
    RetiredLearner.objects.create(pk=7, mode="scrub", started_at=timezone.now())
    make_row()
    settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {}}, "REJECT_UNKNOWN_QUEUES": True}
    make_row(8, queue_name="matlab")
    make_row(9, queue_name="mat\u200blab")
    assert import_rows() == Counter(refused=3)
    assert "its learner is retired" in caplog.text
    assert "its queue is not in QUEUES" in caplog.text
    assert "its queue has a character that a name cannot have" in caplog.text


def _kill(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("was_enqueued", [True, False])
def test_import_that_was_killed_is_finished(killed_import, was_enqueued):
    """C131: a process that was killed after the claim loses nothing, and doubles nothing."""
    make_row()
    with killed_import(was_enqueued):
        import_rows()
    assert import_rows() == Counter()  # another process may still work on it
    rows().update(return_time=timezone.now() - HOUR)
    again = import_rows()
    assert again == Counter({"imported before" if was_enqueued else "imported": 1})
    assert Submission.objects.count() == 1


def test_claim_that_the_server_undoes(learner):
    """C131: the server saves a row that it read before the claim; there is one grade."""
    user_id, grader = learner(), LegacyGrader()
    pk = make_row(user_id)
    read = grader.read_oldest()
    assert import_rows() == Counter(imported=1)
    pullkey = grader.save_pulled(read)
    assert rows().get(pk=pk).retired is False
    assert grader.put_result(pk, pullkey) == ""
    assert (grader.answered, grader.refused) == ([], [pk])
    assert grade_of(user_id) is None
    assert import_rows() == Counter({"imported before": 1})
    assert rows().get(pk=pk).retired is True
    assert Submission.objects.count() == 1


def test_late_result_of_a_claimed_row_is_refused():
    grader = LegacyGrader()
    pk = make_row()
    pullkey = grader.save_pulled(grader.read_oldest())
    rows().update(pull_time=timezone.now() - HOUR)
    assert import_rows() == Counter(imported=1)
    assert grader.put_result(pk, pullkey) == "Incorrect key for submission"


def test_row_that_a_grader_pulls_first_stays_its(monkeypatch):
    grader = LegacyGrader()
    make_row()
    claim = LegacyTable.claim

    def pull_first(table: LegacyTable, row: Any) -> bool:
        grader.save_pulled(grader.read_oldest())
        return claim(table, row)

    monkeypatch.setattr(LegacyTable, "claim", pull_first)
    assert import_rows() == Counter({"taken by a grader": 1})
    assert Submission.objects.count() == 0


def test_statements_of_one_row():
    """Ids, row, claim and mark there; learner, earlier run (twice), and enqueue here."""
    make_row()
    with CaptureQueriesContext(connections[ALIAS]) as there:
        with CaptureQueriesContext(connections["default"]) as here:
            import_rows()
    # PostgreSQL reads the ids with a cursor on the server.
    verbs = [query["sql"].split()[0].replace("DECLARE", "SELECT") for query in there]
    assert verbs == ["SELECT", "SELECT", "UPDATE", "UPDATE"]
    kinds = [query["sql"].split()[0] for query in here]
    assert kinds.count("INSERT") == 2
    assert kinds.count("SELECT") == 5


FORWARD = {"url": "http://other.example.com", "django_auth": {"username": "a", "password": "b"}}


def forward_to(reply: dict[str, Any], settings: Any) -> Counter[str]:
    settings.XQUEUE_BRIDGE = {"LEGACY_XQUEUE_INTERFACE": FORWARD}
    with responses.RequestsMock() as mocked:
        mocked.post(f"{FORWARD['url']}/xqueue/submit/", json=reply)
        done = import_rows(forward=frozenset({"matlab"}))
        sent = mocked.calls[0].request.body
    assert "key-7" in sent
    return done


def test_queue_is_forwarded(settings):
    pk = make_row(queue_name="matlab")
    assert forward_to({"return_code": 0, "content": "1"}, settings) == Counter(forwarded=1)
    assert Submission.objects.count() == 0
    assert rows().get(pk=pk).grader_reply == legacy_table.FORWARDED
    assert import_rows(unacknowledged=True) == Counter()


def test_row_that_the_other_server_refuses_is_offered_again(settings):
    pk = make_row(queue_name="matlab")
    assert forward_to({"return_code": 1, "content": "no"}, settings) == Counter(refused=1)
    after = rows().get(pk=pk)
    assert (after.retired, after.grader_reply, after.pull_time) == (False, "", None)


def test_forwarding_to_the_server_of_the_table_stops(settings, monkeypatch):
    pk = make_row(queue_name="matlab")
    settings.XQUEUE_BRIDGE = {"LEGACY_XQUEUE_INTERFACE": FORWARD}

    def send(self: object, header: Any, body: str, files: object) -> tuple[int, str]:
        rows().filter(retired=False).update(retired=True)
        make_row(queue_name="matlab")
        return 0, "1"

    monkeypatch.setattr(legacy_xqueue.LegacyXQueue, "send", send)
    with pytest.raises(SameServer, match="set another server"):
        import_rows(forward=frozenset({"matlab"}))
    assert rows().filter(retired=False).exclude(pk=pk).count() == 1


def test_results_are_posted_for_a_site_that_is_not_the_lms(settings):
    """The learners' state is elsewhere: each result goes to its callback URL."""
    make_row(7)
    make_row(8, grader_reply=GOOD_REPLY)
    assert import_rows(post_results=True) == Counter(refused=2)
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": (f"{HOST}/courses/",)}
    assert import_rows(post_results=True) == Counter({"imported": 1, "results stored": 1})
    assert set(Submission.objects.values_list("transport", flat=True)) == {"submit"}
    Submission.objects.update(created_at=timezone.now() - HOUR)
    ReceivedReply.objects.update(next_attempt_at=timezone.now() - HOUR)
    with responses.RequestsMock() as lms:
        url = json.loads(Submission.objects.get(user_id=8).content.header)["lms_callback_url"]
        lms.post(url, body="")
        sweep()
    assert ReceivedReply.objects.get().status == "applied"
