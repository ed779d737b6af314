"""Signal receivers of the bridge, and the function that connects them.

our client saves a state ──state_saved──> replies that the state waits for are applied,
                                          submissions that it replaced are superseded
an LMS saves a state ──post_save──> submissions that it replaced are superseded
a StudentModule is deleted ──post_delete──> its history is deleted or kept; if it had a score,
                                            its course grade is marked out of date
a score is written ──scores_saving──> its course grade is marked out of date in the same
                                     transaction; after commit the grade is computed
a score has changed ──score_saved──> PROBLEM_RAW_SCORE_CHANGED, PROBLEM_WEIGHTED_SCORE_CHANGED
a block publishes ──SCORE_PUBLISHED──> its score is stored
a course is published ──course_published──> if the policy has changed, a regrade is requested
a course grade is stored ──grade_updated──> the platform's signals about grades are sent; the
                                            grade is enqueued and sent to Credentials
a reply is applied ──reply_applied──> EXTERNAL_GRADER_SCORE_SUBMITTED is sent, if switched on
edx-submissions has a result ──EXTERNAL_GRADER_SCORE_SUBMITTED──> it is stored, if switched on
an LMS retires a user ──USER_RETIRE_LMS_MISC──> the learner's data is retired
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models.signals import post_delete, post_save
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge import signals
from xqueue_bridge.conf import options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.data import Dispatch, SavedScore
from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.history import store
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.lms import external_grader_event
from xqueue_bridge.lms import student_module as platform_state
from xqueue_bridge.lms.retirement import retire_signal
from xqueue_bridge.models import StudentModule
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.worker.announce import announce_learner


def connect_all() -> None:
    """Connect the receivers; called once, from ``AppConfig.ready``."""
    signals.state_saved.connect(
        apply_waiting_replies, dispatch_uid="xqueue_bridge.apply_waiting_replies"
    )
    post_delete.connect(
        delete_history_of, sender=StudentModule, dispatch_uid="xqueue_bridge.delete_history_of"
    )
    post_delete.connect(
        request_grade_of_deleted,
        sender=StudentModule,
        dispatch_uid="xqueue_bridge.request_grade_of_deleted",
    )
    signals.scores_saving.connect(
        course_grades.request_grades, dispatch_uid="xqueue_bridge.request_grades"
    )
    signals.score_saved.connect(
        course_grades.send_score_signals, dispatch_uid="xqueue_bridge.send_score_signals"
    )
    signals.SCORE_PUBLISHED.connect(
        store_published_score, dispatch_uid="xqueue_bridge.store_published_score"
    )
    signals.course_published.connect(
        request_course_regrade, dispatch_uid="xqueue_bridge.request_course_regrade"
    )
    signals.grade_updated.connect(
        course_grades.send_grade_signals, dispatch_uid="xqueue_bridge.send_grade_signals"
    )
    signals.grade_updated.connect(
        credentials.enqueue_updated, dispatch_uid="xqueue_bridge.enqueue_updated"
    )
    signals.reply_applied.connect(announce_learner, dispatch_uid="xqueue_bridge.announce_learner")
    connect_external_grader_event()
    platform_model = platform_state.student_module()
    if platform_model is not None:
        post_save.connect(
            supersede_replaced_in_lms,
            sender=platform_model,
            dispatch_uid="xqueue_bridge.supersede_replaced_in_lms",
        )
    user_retired = retire_signal()
    if user_retired is not None:
        user_retired.connect(retire_user, dispatch_uid="xqueue_bridge.retire_user")


def connect_external_grader_event() -> None:
    """Connect what the settings switch on, and keep the platform from grading a second time.

    Our events announce grades that are applied, so the platform's own receiver does not get them.
    If we receive the events of edx-submissions, it gets none.
    """
    chosen, event = options(), external_grader_event.get_signal()
    is_sent = chosen.SEND_EXTERNAL_GRADER_EVENT is True
    is_received = chosen.RECEIVE_EXTERNAL_GRADER_EVENT is True
    if event is None or not (is_sent or is_received):
        return
    if is_sent:
        signals.reply_applied.connect(
            send_external_grader_event, dispatch_uid="xqueue_bridge.send_external_grader_event"
        )
    theirs = external_grader_event.platform_receiver()
    if theirs is not None:
        event.disconnect(theirs)
    if is_received:
        event.connect(
            receive_external_grader_event,
            dispatch_uid="xqueue_bridge.receive_external_grader_event",
        )
    elif theirs is not None:
        event.connect(
            external_grader_event.unless_sent_by_us(theirs),
            dispatch_uid="xqueue_bridge.platform_external_grader_event",
            weak=False,
        )


def apply_waiting_replies(
    sender: object,
    *,
    user_id: int,
    usage_key: UsageKey,
    waiting_keys: frozenset[str],
    released_keys: frozenset[str] = frozenset(),
    **kwargs: object,
) -> None:
    """Apply the replies that a saved state waits for, and supersede replaced submissions."""
    submission_queue.supersede_replaced(user_id, usage_key, waiting_keys, released_keys)
    grader_replies.apply_waiting(user_id, usage_key, waiting_keys)


def supersede_replaced_in_lms(sender: object, *, instance: Any, **kwargs: object) -> None:
    """Supersede the submissions that a state saved by the platform has replaced; after commit.

    No statement for a state that waits for no grader, unless it has no checked answer, as after a
    reset; then one.
    """
    waiting_keys = platform_state.waiting_keys(instance)
    learner = (instance.student_id, instance.module_state_key)
    if waiting_keys:
        after_commit(partial(submission_queue.supersede_replaced, *learner, waiting_keys))
    elif platform_state.has_no_answer(instance):
        after_commit(partial(submission_queue.supersede_reset, *learner))


def send_external_grader_event(
    sender: object,
    *,
    reply_id: int,
    points: float | None,
    max_points: float | None,
    dispatch: str,
    **kwargs: object,
) -> None:
    """Send the platform's event about an applied grade; not for trial runs and failure replies."""
    if dispatch != Dispatch.SCORE_UPDATE:
        return
    grade = grader_replies.external_grade(reply_id, max_points)
    if grade is not None:
        external_grader_event.send(grade)


def receive_external_grader_event(sender: object, *, score: Any, **kwargs: object) -> None:
    """Store the result of a grader of edx-submissions; our own events are ignored."""
    if not external_grader_event.is_sending():
        submission_queue.receive_score(score)


def delete_history_of(
    sender: object, *, instance: StudentModule, using: str, **kwargs: object
) -> None:
    """Delete or keep the history of a deleted row, which has no foreign key to it."""
    store.delete_history_of(instance.pk, using)


def request_grade_of_deleted(
    sender: object, *, instance: StudentModule, origin: object = None, **kwargs: object
) -> None:
    """Mark a course grade dirty if a row with a score is deleted.

    Not if the user is deleted, because stored grades outlive the account.
    """
    if instance.max_grade is None or getattr(origin, "model", type(origin)) is not sender:
        return
    deleted = SavedScore(
        instance.student_id, instance.course_id, instance.module_state_key, version=None
    )
    course_grades.request_grades(scores=[deleted])


def store_published_score(
    sender: object,
    *,
    block: blocks.ProblemBlock,
    user: Any,
    raw_earned: float,
    raw_possible: float,
    only_if_higher: bool = False,
    **kwargs: object,
) -> bool:
    """Store the score that a block has published; return whether the row has changed."""
    if user.pk is None:
        return False  # an anonymous user has no grade
    return learner_state.publish_score(
        user.pk,
        blocks.course_key(block),
        blocks.usage_key(block),
        raw_earned,
        raw_possible,
        only_if_higher=only_if_higher,
    )


def request_course_regrade(
    sender: object, *, course_key: CourseKey, policy_changed: bool, **kwargs: object
) -> None:
    """Request the regrade of a course whose policy has changed; the sweeper runs it."""
    if policy_changed:
        course_grades.request_course(course_key)


def retire_user(sender: object, *, user: Any, **kwargs: object) -> None:
    """Retire what is stored about a user of the LMS; raise RetirementUnfinished.

    Runs in the request of the retirement pipeline, which repeats the step after an exception.
    """
    retire_learner(user.pk)
