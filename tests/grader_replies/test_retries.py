"""Which replies are tried again, and the status that a caller gets of a reply that changed."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.grader_replies.factories import (
    OLD,
    make_learner,
    make_reply,
    make_state,
    make_submission,
)
from xqueue_bridge.grader_replies import api, retry
from xqueue_bridge.grader_replies.models import ReceivedReply

pytestmark = pytest.mark.django_db(transaction=True)

Status = ReceivedReply.Status


@pytest.fixture
def ada() -> int:
    return make_learner()


def test_only_dead_replies_are_retried(ada):
    """C107: a stale, invalid or late reply stays as it is, and one that is unknown is none."""
    submission = make_submission(ada, age=OLD)
    ids = {}
    for status in Status:
        pending = timezone.now() if status == Status.PENDING else None
        ids[status] = make_reply(submission, status=status, next_attempt_at=pending).pk
    before = dict(ReceivedReply.objects.values_list("pk", "status"))
    assert api.retry_dead([*ids.values(), 4711]) == 1
    after = dict(ReceivedReply.objects.values_list("pk", "status"))
    assert after == {**before, ids[Status.DEAD]: Status.PENDING}


def test_reply_with_more_attempts_than_the_maximum_is_dead(ada, settings):
    """C107: after an operator has lowered MAX_ATTEMPTS."""
    settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}
    reply = make_reply(make_submission(ada), attempts=7)
    retry.schedule_retry_or_bury(reply, "no answer", 3)
    reply.refresh_from_db()
    assert (reply.status, reply.next_attempt_at) == (Status.DEAD, None)


def test_caller_gets_the_status_that_another_process_has_stored(ada):
    """C106: an attempt that comes late changes nothing, and says what is true."""
    make_state(ada)
    reply = make_reply(make_submission(ada))
    ReceivedReply.objects.filter(pk=reply.pk).update(
        status=Status.APPLIED, next_attempt_at=None, attempts=1
    )
    retry.schedule_retry_or_bury(reply, "no answer", 24)
    assert reply.status == Status.APPLIED
    assert ReceivedReply.objects.get().status == Status.APPLIED
    retry.mark_final(reply, Status.DEAD, "no answer")
    assert ReceivedReply.objects.get().status == Status.APPLIED
