"""The outbox of course grades for Credentials, and the cursor of the search for missed ones."""

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.db.fields import CourseKeyField
from xqueue_bridge.db.work_item import WorkItem


class GradeOutbox(WorkItem):
    """The outbox row of one learner in one course.

    The row holds no grade: the grade is read from its table when it is sent. ``wanted_*``
    identify the grade that was enqueued, ``sent_*`` the one that was sent. ``next_attempt_at`` is
    set while there is work left; while a process sends, it is the end of that process's claim.

    .. no_pii:
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_id = CourseKeyField(_("course key"), max_length=255)
    verified = models.BooleanField(_("verified learner"), default=True)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.PENDING)
    wanted_version = models.PositiveBigIntegerField(_("version to send"))
    wanted_modified = models.DateTimeField(_("change to send"))
    sent_version = models.PositiveBigIntegerField(_("version sent"), null=True)
    sent_modified = models.DateTimeField(_("change sent"), null=True)
    sent_at = models.DateTimeField(_("sent at"), null=True)

    #: Also the wanted grade: an attempt for a grade that has changed meanwhile ends no work.
    compared_fields = ("status", "next_attempt_at", "wanted_version", "wanted_modified")

    class Meta:
        verbose_name = _("grade for Credentials")
        verbose_name_plural = _("grades for Credentials")
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "course_id"], name="xqueue_bridge_grade_outbox"
            )
        ]
        indexes = [models.Index(fields=["next_attempt_at"], name="xqueue_bridge_grade_due")]

    def __str__(self) -> str:
        values = {"id": self.user_id, "course": self.course_id, "status": self.get_status_display()}
        return gettext("grade of learner %(id)s in %(course)s (%(status)s)") % values

    @property
    def key(self) -> tuple[int, CourseKey]:
        """The user id and the course key."""
        return self.user_id, self.course_id


class GradeOutboxCursor(models.Model):
    """The last grade change that the sweeper has searched for grades that were not enqueued.

    .. no_pii:
    """

    ONLY = 1

    id = models.PositiveSmallIntegerField(_("number"), primary_key=True, default=ONLY)
    modified = models.DateTimeField(_("last grade change"))
    grade_id = models.PositiveBigIntegerField(_("grade with the last change"), default=0)

    class Meta:
        verbose_name = _("cursor of the grade outbox")
        verbose_name_plural = _("cursors of the grade outbox")

    def __str__(self) -> str:
        return f"grades seen up to {self.modified}"
