"""Two answers of one second: capa gives both submissions the same queue key."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from tests.submission_queue.factories import GOOD_REPLY, PROBLEM, make_grader
from tests.submission_queue.test_requeue import entry_of, fail, submit
from xqueue_bridge.grader_replies import apply
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.submission_queue import finish, supersede
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)

BAD_REPLY = GOOD_REPLY.replace("true", "false").replace('"score": 1', '"score": 0')


@pytest.fixture
def learner_id() -> int:
    return get_user_model().objects.create_user("learner").pk


@pytest.fixture
def grader() -> Any:
    return make_grader()


def statuses() -> list[str]:
    return list(Submission.objects.order_by("pk").values_list("status", flat=True))


def test_older_answer_is_superseded(learner_id, grader):
    """C21, C22: no grader is offered the older one, and the newer one's result counts."""
    submit(learner_id, text="first")
    submit(learner_id, text="second")
    assert statuses() == [Status.SUPERSEDED, Status.WAITING]
    assert grader.put(grader.pull().header)["return_code"] == 0
    assert grader.pull() is None
    assert (entry_of(learner_id)["npoints"], entry_of(learner_id)["queuestate"]) == (1, None)
    assert statuses() == [Status.SUPERSEDED, Status.ANSWERED]


def test_older_answer_is_superseded_when_its_lease_ends(learner_id, grader, settings):
    """C21, C22: it neither fails nor alarms, and its late result changes nothing."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    submit(learner_id, text="first")
    first = grader.pull()
    submit(learner_id, text="second")
    assert Submission.objects.get(pk=first.submission_id).is_replaced
    second = grader.pull()
    Submission.objects.filter(pk=first.submission_id).update(available_at="2026-01-01 00:00Z")
    assert finish.fail_exhausted() == 0
    assert statuses() == [Status.SUPERSEDED, Status.LEASED]
    assert grader.put(first.header)["return_code"] == 0
    assert entry_of(learner_id)["queuestate"]
    assert grader.put(second.header, BAD_REPLY)["return_code"] == 0
    assert (entry_of(learner_id)["npoints"], entry_of(learner_id)["queuestate"]) == (0, None)
    assert set(ScoreLedger.objects.values_list("outcome", flat=True)) == {"applied"}


def test_only_the_newer_answer_is_offered_again(learner_id):
    """C22: the state was deleted, and a page loaded before saves it once more."""
    submit(learner_id, text="first")
    submit(learner_id, text="second")
    Submission.objects.update(**finish.finished(Status.SUPERSEDED))
    supersede.supersede_replaced(learner_id, PROBLEM, {"key-1"})
    assert statuses() == [Status.SUPERSEDED, Status.WAITING]


def test_lease_of_the_newer_answer_alone_counts_again(learner_id, grader):
    """C22: the saves of two requests crossed."""
    submit(learner_id, text="first")
    grader.pull()
    submit(learner_id, text="second")
    grader.pull()
    Submission.objects.update(is_replaced=True)
    supersede.supersede_replaced(learner_id, PROBLEM, {"key-1"})
    assert list(Submission.objects.order_by("pk").values_list("is_replaced", flat=True)) == [
        True,
        False,
    ]


@pytest.mark.parametrize("newer_is_graded", [True, False])
def test_older_answer_is_not_requeued(learner_id, grader, settings, caplog, newer_is_graded):
    """C21, C127: its reply would be stale, and the state would wait for no reply."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    submit(learner_id, text="same")
    failed = fail(grader)
    submit(learner_id, text="same")
    if newer_is_graded:
        grader.put(grader.pull().header)
    before = entry_of(learner_id)
    assert finish.requeue([failed.submission_id]) == 0
    assert entry_of(learner_id) == before
    assert f"Submission {failed.submission_id} is not requeued: {finish.SAME_KEY}" in caplog.text
    assert statuses()[0] == Status.FAILED


@pytest.mark.parametrize("method", ["apply", "apply_batch"])
def test_newer_answer_that_is_saved_during_the_attempt(learner_id, grader, method):
    """C21: the reply to the older one is not applied to the state of the newer one."""
    learners = [learner_id]
    if method == "apply_batch":
        learners.append(get_user_model().objects.create_user("other").pk)
    original, calls = getattr(StudentModuleBackend, method), []

    def after_the_second_answer(*args: Any) -> Any:
        if not calls:
            submit(learner_id, text="second")
        calls.append(args)
        return original(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xqueue_bridge.grader_replies.inbox.enqueue", lambda *args: None)
        for each in learners:
            submit(each, text="first")
            grader.put(grader.pull().header)
        replies = list(ReceivedReply.objects.order_by("pk"))
        patch.setattr(StudentModuleBackend, method, after_the_second_answer)
        apply.apply_replies([reply.pk for reply in replies])
    assert calls
    replies[0].refresh_from_db()
    assert (replies[0].status, replies[0].attempts) == ("pending", 1)
    assert entry_of(learner_id)["queuestate"]
    assert [entry_of(each)["npoints"] for each in learners[1:]] == [1] * len(learners[1:])
    grader.put(grader.pull().header, BAD_REPLY)
    assert (entry_of(learner_id)["npoints"], entry_of(learner_id)["queuestate"]) == (0, None)
