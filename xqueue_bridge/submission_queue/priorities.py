"""When a submission is due, which gives the order of a queue; how many a learner may have pending.

A pull takes the submission of the queue that is due first. An answer is due when it is sent. Each
step makes it due ``PRIORITY_SECONDS`` earlier or later: the steps of its priority, and one step
later if its learner has MANY pending answers. So a submission is overtaken for a limited time,
whatever enters the queue after it, and submissions with the same steps keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, IntegerField, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.conf import options
from xqueue_bridge.data import NewSubmission
from xqueue_bridge.exceptions import TooManyPending
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.priority_models import Priority
from xqueue_bridge.submission_queue.states import Status

#: With so many pending answers in a queue, a learner's next one is due a step later. A problem may
#: have several inputs, which are sent at once.
MANY = 5
#: Steps by which a regrade is due later: more than those of any answer.
REGRADE_STEPS = 4


class _Rows(Subquery):
    """Count the rows of a queryset, which may be sliced."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides when a new submission is due."""

    #: Submissions that a grader could pull now.
    length: int = 0
    #: Pending answers of the learner in the queue, and at the problem.
    pending: int = 0
    pending_at_problem: int = 0
    priority: int = 0

    @property
    def delay(self) -> timedelta:
        """Return how long after it is sent the submission is due; negative with a priority."""
        return _steps((self.pending >= MANY) - self.priority)

    def check(self) -> None:
        """Raise TooManyPending if the learner may not send another answer to the problem."""
        most = options().MAX_PENDING_ANSWERS
        if most and self.pending_at_problem >= most:
            raise TooManyPending(self.pending_at_problem)


def standing(new: NewSubmission, available: QuerySet[Submission]) -> Standing:
    """Return the standing of a submission before it enters the queue; one statement.

    ``available`` are the submissions of the queue that a grader could pull.
    """
    target = new.target
    pending = Submission.objects.filter(
        user_id=target.user_id,
        status__in=(Status.WAITING, Status.LEASED),
        is_replaced=False,
        regrade_of=None,
    )
    priorities = Priority.objects.filter(
        queue_name__in=(new.queue_name, ""), course_key__in=(str(target.course_key), "")
    ).order_by("-course_key", "-queue_name")
    # An aggregate, so that there is always one row.
    nothing = Count("pk") * 0
    return Standing(
        **pending.aggregate(
            length=nothing + _Rows(available.values("pk")),
            pending=Count("pk", filter=Q(queue_name=new.queue_name)),
            pending_at_problem=Count(
                "pk", filter=Q(usage_key=target.usage_key, course_key=target.course_key)
            ),
            priority=nothing + Coalesce(Subquery(priorities.values("level")[:1]), 0),
        )
    )


def set_priority(queue_name: str, course_key: LearningContextKey | None, level: int | None) -> None:
    """Set the priority of a queue ("": every queue) and a course (None: every course).

    ``level`` None removes it. It counts for submissions that are sent from now on.
    """
    if queue_name:
        check_name(queue_name, "queue_name")
    course = str(course_key or "")
    if level is None:
        Priority.objects.filter(queue_name=queue_name, course_key=course).delete()
    else:
        Priority.objects.update_or_create(
            queue_name=queue_name, course_key=course, defaults={"level": level}
        )


def regrade_delay() -> timedelta:
    """Return how long after its release a regrade is due."""
    return _steps(REGRADE_STEPS)


def _steps(number: int) -> timedelta:
    return timedelta(seconds=number * options().PRIORITY_SECONDS)
