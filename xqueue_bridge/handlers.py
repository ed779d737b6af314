"""Door: the wiring diagram. Every receiver of the bridge is connected here.

a reply is stored ──reply_received──> it is delivered, or a worker woken to deliver it
our client saves a state ──state_saved──> replies that came too early are delivered,
                                          answers that it replaced are withdrawn
a StudentModule is deleted ──post_delete──> its history goes, or stays
a score is written ──score_saving──> its course grade is noted as out of date, in the score's own
                                      transaction; after it, the grade is computed or a worker woken
a score has changed ──score_saved──> PROBLEM_RAW_SCORE_CHANGED, PROBLEM_WEIGHTED_SCORE_CHANGED
a block publishes ──SCORE_PUBLISHED──> its score is stored
a course is published ──course_published──> with another policy, its grades are out of date
a course grade changes ──COURSE_GRADE_CHANGED──> it is entered for Credentials, a worker woken
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.signals import post_delete
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from xqueue_bridge import signals
from xqueue_bridge.conf import options
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.worker.after_response import run_after_response

if TYPE_CHECKING:
    from xqueue_bridge.models import StudentModule


def connect_all() -> None:
    """Connect our receivers; called once, when the apps are ready."""
    from xqueue_bridge.models import StudentModule

    signals.reply_received.connect(apply_stored_reply, dispatch_uid="xqueue_bridge.apply_reply")
    signals.state_saved.connect(
        apply_waiting_replies, dispatch_uid="xqueue_bridge.apply_waiting_replies"
    )
    post_delete.connect(
        delete_history_of, sender=StudentModule, dispatch_uid="xqueue_bridge.delete_history_of"
    )
    signals.score_saving.connect(request_grade, dispatch_uid="xqueue_bridge.request_grade")
    signals.score_saved.connect(
        send_platform_score_signals, dispatch_uid="xqueue_bridge.send_platform_score_signals"
    )
    signals.SCORE_PUBLISHED.connect(
        store_published_score, dispatch_uid="xqueue_bridge.store_published_score"
    )
    signals.course_published.connect(
        request_course_regrade, dispatch_uid="xqueue_bridge.request_course_regrade"
    )
    signals.COURSE_GRADE_CHANGED.connect(
        enqueue_for_credentials, dispatch_uid="xqueue_bridge.records"
    )


def apply_stored_reply(sender: object, *, reply_id: int, **kwargs: Any) -> None:
    """Have a stored reply delivered, once whoever brought it has its answer."""
    from xqueue_bridge.tasks import enqueue_apply_reply

    run_after_response(partial(enqueue_apply_reply, reply_id))


def apply_waiting_replies(
    sender: object,
    *,
    user_id: int,
    usage_key: UsageKey,
    waiting_keys: frozenset[str],
    **kwargs: Any,
) -> None:
    """Bring queue and replies in line with what a saved state waits for."""
    from xqueue_bridge.grader_replies import api as grader_replies
    from xqueue_bridge.submission_queue import api as submission_queue

    submission_queue.supersede_replaced(user_id, usage_key, waiting_keys)
    grader_replies.apply_waiting(user_id, usage_key, waiting_keys)


def delete_history_of(
    sender: object, *, instance: StudentModule, using: str, **kwargs: Any
) -> None:
    """Deal with the history of a row that is deleted. No foreign key reaches it."""
    from xqueue_bridge.learner_state import api as learner_state

    learner_state.delete_history_of(instance.pk, using)


def request_grade(
    sender: object,
    *,
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    version: int | None,
    **kwargs: Any,
) -> None:
    """Note, in the score's transaction, that a course grade is out of date; then have it done."""
    from xqueue_bridge.course_grades import api as course_grades
    from xqueue_bridge.tasks import enqueue_recalculation

    # What is graded is a course: a library's score is stored, and that is all.
    if not isinstance(course_key, CourseKey) or not options().COURSE_STRUCTURE_BACKEND:
        return
    is_first = course_grades.request_recalculation(
        user_id, course_key, usage_key=usage_key, version=version
    )
    if is_first:
        enqueue_apply_reply = partial(
            run_after_response, partial(enqueue_recalculation, user_id, course_key)
        )
        transaction.on_commit(enqueue_apply_reply, robust=True)


def send_platform_score_signals(
    sender: object,
    *,
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    signal: object,
    **score: Any,
) -> None:
    """Send upstream's own signals about a score."""
    from xqueue_bridge.course_grades import api as course_grades

    course_grades.publish_score_signals(user_id, course_key, usage_key, **score)


def store_published_score(
    sender: object,
    *,
    block: blocks.ProblemBlock,
    user: Any,
    raw_earned: float,
    raw_possible: float,
    only_if_higher: bool = False,
    **kwargs: Any,
) -> bool:
    """Store what a block has published; return whether that has changed anything."""
    from xqueue_bridge.learner_state import api as learner_state

    if user.pk is None:
        return False  # somebody who is not logged in, and has no grade
    return learner_state.publish_score(
        user.pk,
        blocks.course_key(block),
        blocks.usage_key(block),
        raw_earned,
        raw_possible,
        only_if_higher=only_if_higher,
    )


def request_course_regrade(
    sender: object, *, course_key: CourseKey, policy_changed: bool, **kwargs: Any
) -> None:
    """Have all grades of a course computed by its new policy; the sweeper does it."""
    from xqueue_bridge.course_grades import api as course_grades

    if policy_changed:
        course_grades.request_course(course_key)


def enqueue_for_credentials(
    sender: object, *, user_id: int, course_key: LearningContextKey, **kwargs: Any
) -> None:
    """Enter a course grade that Credentials should know; have it sent, once that is committed."""
    from xqueue_bridge.credentials import api as credentials
    from xqueue_bridge.tasks import enqueue_send_grade

    grade = credentials.grade_changed(user_id, course_key)
    if grade is not None:
        transaction.on_commit(partial(enqueue_send_grade, grade), robust=True)
