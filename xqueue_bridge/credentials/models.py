"""The outbox of course grades for Credentials, and the cursor of the search for missed ones."""

from typing import Any

from django.db import models
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.db.fields import LearningContextKeyField
from xqueue_bridge.db.work_item import WorkItem


class GradeOutbox(WorkItem):
    """The outbox row of one learner in one course.

    The row holds no grade: the grade is read from its table when it is sent. ``wanted_*``
    identify the grade that was enqueued, ``sent_*`` the one that was sent. ``next_attempt_at`` is
    set while there is work left; while a process sends, it is the end of that process's claim.

    .. no_pii:
    """

    class Status(models.TextChoices):
        PENDING = "pending", "pending"
        SENDING = "sending", "sending"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"

    user_id = models.PositiveBigIntegerField()
    course_id = LearningContextKeyField(max_length=255)
    verified = models.BooleanField(default=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    wanted_version = models.PositiveBigIntegerField()
    wanted_modified = models.DateTimeField()
    sent_version = models.PositiveBigIntegerField(null=True)
    sent_modified = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    #: Also the wanted grade: an attempt for a grade that has changed meanwhile ends no work.
    compared_fields = ("status", "next_attempt_at", "wanted_version", "wanted_modified")

    class Meta:
        verbose_name = "grade for Credentials"
        verbose_name_plural = "grades for Credentials"
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "course_id"], name="xqueue_bridge_grade_outbox"
            )
        ]
        indexes = [models.Index(fields=["next_attempt_at"], name="xqueue_bridge_grade_due")]

    def __str__(self) -> str:
        return f"grade of learner {self.user_id} in {self.course_id} ({self.status})"

    @property
    def key(self) -> tuple[int, CourseKey]:
        """The user id and the course key."""
        course_key: Any = self.course_id
        return self.user_id, course_key


class GradeOutboxCursor(models.Model):
    """The last grade change that the sweeper has searched for grades that were not enqueued.

    .. no_pii:
    """

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    modified = models.DateTimeField()
    grade_id = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = "cursor of the grade outbox"

    def __str__(self) -> str:
        return f"grades seen up to {self.modified}"
