"""Regrades as rows of the queue: what can be graded again, and which of them have ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.grader_replies.factories import make_reply
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, new_submission, upload
from xqueue_bridge.data import Dispatch
from xqueue_bridge.submission_queue import queue, regrades
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.priorities import regrade_delay
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db

Transport = Submission.Transport


def stored(status: Status = Status.ANSWERED, **changes: Any) -> Submission:
    """Return a finished submission, or an open one, with these columns."""
    queue.enqueue(new_submission(queue_key=f"key-{Submission.objects.count()}", files=(upload(),)))
    row = Submission.objects.latest("pk")
    if status not in (Status.WAITING, Status.LEASED):
        changes = {"available_at": None, "due_at": None, "finished_at": row.created_at, **changes}
    Submission.objects.filter(pk=row.pk).update(status=status, **changes)
    return Submission.objects.get(pk=row.pk)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.WAITING},
        {"status": Status.SUPERSEDED},
        {"status": Status.RETIRED},
        {"transport": Transport.LEGACY},
        {"transport": Transport.SUBMIT},
        {"dispatch": Dispatch.UNGRADED_RESPONSE},
        {"regrade_of": 1},
        {"course_key": "course-v1:DemoX+Other+2026"},
    ],
)
def test_only_finished_answers_that_are_stored_here_can_be_graded_again(changes):
    answered, failed = stored(), stored(Status.FAILED)
    stored(**changes)
    assert set(regrades.regradable(COURSE)) == {answered, failed}


def test_regrade_is_the_same_work_later(settings):
    settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"MAX_AGE_SECONDS": 500}}}
    original = stored()
    made = regrades.enqueue_regrade(original.pk)
    row = Submission.objects.get(pk=made.pk)
    for name in ("queue_name", "user_id", "course_key", "usage_key", "dispatch", "transport"):
        assert getattr(row, name) == getattr(original, name)
    for name in ("header", "body", "points", "files"):
        assert getattr(row.content, name) == getattr(original.content, name)
    assert row.content.files
    assert row.content.files_folder == "", "the folder belongs to the original"
    assert (row.status, row.regrade_of, row.deliveries) == (Status.WAITING, original.pk, 0)
    assert abs(row.due_at - row.available_at - regrade_delay()) < timedelta(seconds=1)
    assert abs(row.retry_until - row.created_at - timedelta(seconds=500)) < timedelta(seconds=1)
    assert regrades.original_key(row.queue_key, row.target) == original.queue_key


def test_submission_that_is_open_gone_or_retired_is_not_offered_again():
    retired = stored()
    SubmissionContent.objects.update(body="")
    for pk in (stored(Status.WAITING).pk, retired.pk, retired.pk + 100):
        assert regrades.enqueue_regrade(pk) is None
    assert not Submission.objects.exclude(regrade_of=None).exists()


def test_queue_key_of_a_regrade_names_the_learners_own_original():
    original = stored()
    key, target = f"regrade-{original.pk}-0a", original.target
    assert regrades.original_key(key, target) == original.queue_key
    assert regrades.original_key(key, replace(target, user_id=8)) is None
    assert regrades.original_key(f"regrade-{original.pk + 1}-0a", target) is None
    for other in ("key-1", f"a {key}", f"{key}-b", "regrade-1", "regrade--0a"):
        assert regrades.original_key(other, target) == ""


@pytest.mark.parametrize("status", [Status.WAITING, Status.LEASED])
def test_open_regrade_is_superseded_once(status):
    row, other = stored(status, regrade_of=1), stored(status, regrade_of=1)
    assert regrades.supersede_regrade(row.pk)
    assert not regrades.supersede_regrade(row.pk)
    row.refresh_from_db()
    assert (row.status, row.due_at) == (Status.SUPERSEDED, None)
    assert Submission.objects.get(pk=other.pk).status == status
    assert not regrades.supersede_regrade(stored().pk)


def test_regrade_without_a_reply_to_come_has_ended():
    rows = [stored(status, regrade_of=1) for status in Status if status != Status.UNMATCHED]
    pending = [stored(status, regrade_of=1) for status in (Status.ANSWERED, Status.FAILED)]
    for row in pending:
        make_reply(row)
    for row in (each for each in rows if each.status in regrades.FINISHED):
        make_reply(row, status="applied")  # it is checked once more, which brings no grade
    ids = [row.pk for row in [*rows, *pending]]
    expected = {row.pk: row.status for row in rows if row.available_at is None}
    assert regrades.ended_without_reply([*ids, 4711]) == {**expected, 4711: ""}


class TestNewerAnswer:
    """An answer that was graded since the original one."""

    def has_newer(self, original: Submission, answer_id: str = "a") -> bool:
        return regrades.has_newer_answer(original.pk, original.target, answer_id)

    def test_graded_answer_is_newer(self):
        older, original = stored(), stored()
        make_reply(older, status="applied", answer_id="a")
        assert not self.has_newer(original)
        make_reply(stored(), status="applied", answer_id="a")
        assert self.has_newer(original)
        assert not self.has_newer(original, "b")

    @pytest.mark.parametrize(
        "changes", [{"user_id": 8}, {"usage_key": OTHER_PROBLEM}, {"regrade_of": 1}]
    )
    def test_other_learners_problems_and_regrades_do_not_count(self, changes):
        original = stored()
        make_reply(stored(**changes), status="applied", answer_id="a")
        assert not self.has_newer(original)

    @pytest.mark.parametrize("status", ["pending", "stale", "dead"])
    def test_answer_whose_reply_is_not_applied_does_not_count(self, status):
        original = stored()
        make_reply(stored(), status=status, answer_id="a")
        assert not self.has_newer(original)
