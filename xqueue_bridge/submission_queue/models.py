"""Models of submissions and their content."""

from __future__ import annotations

import hashlib

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.data import Dispatch, StoredFile, Target
from xqueue_bridge.db.fields import (
    CaseSensitiveCharField,
    LearningContextKeyField,
    NameField,
    UsageKeyField,
)
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.submission_queue.states import Status

DISPATCH_LABELS = {
    Dispatch.SCORE_UPDATE: _("graded answer"),
    Dispatch.UNGRADED_RESPONSE: _("trial run"),
}


class SubmissionContent(models.Model):
    """The immutable content of a submission, written before its Submission row.

    .. pii: What the learner wrote or uploaded, and the learner's id inside header and body.
    .. pii_types: id, other
    .. pii_retirement: local_api
    """

    header = models.TextField(
        _("header of the LMS"),
        help_text=_("The LMS's header, byte for byte. Graders never see it."),
    )
    body = models.TextField(
        _("body for graders"), help_text=_("What graders are given, byte for byte.")
    )
    points = models.JSONField(
        _("points of each answer"),
        default=dict,
        help_text=_("Answer id to its maximum points; empty if unknown."),
    )
    files = models.JSONField(
        _("uploaded files"),
        default=list,
        help_text=_("[name, name in storage, size in bytes] of each uploaded file."),
    )
    files_folder = models.CharField(
        _("folder of the files"), max_length=64, blank=True, db_index=True
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("submission content")
        verbose_name_plural = _("submission contents")

    def __str__(self) -> str:
        return f"content {self.pk}"

    def stored_files(self) -> tuple[StoredFile, ...]:
        """Return the uploaded files, in the order of upload."""
        return tuple(StoredFile(*entry) for entry in self.files)


class Submission(models.Model):
    """The mutable part of a submission: everything that changes during grading.

    .. pii: Says that a learner, by id, answered a problem.
    .. pii_types: id
    .. pii_retirement: local_api
    """

    class Transport(models.TextChoices):
        TABLE = "table", _("our submissions table")
        LEGACY = "legacy", _("a legacy XQueue server")
        SUBMIT = "submit", _("submitted to our /xqueue/submit/")

    content = models.OneToOneField(
        SubmissionContent, verbose_name=_("submission content"), on_delete=models.PROTECT
    )
    transport = models.CharField(
        _("transport"), max_length=6, choices=Transport, default=Transport.TABLE
    )
    queue_name = NameField(_("queue name"), max_length=128)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.WAITING)
    available_at = models.DateTimeField(_("available at"), null=True)
    due_at = models.DateTimeField(
        _("due at"),
        null=True,
        help_text=_("Graders get the submission that is due first. Empty: finished."),
    )
    deliveries = models.PositiveSmallIntegerField(_("deliveries"), default=0)
    pullkey_digest = models.CharField(
        _("hash of the pull key"), max_length=64, blank=True, editable=False
    )
    # No index: each delivery would write it, and this lookup is rare.
    grader = models.ForeignKey(
        "xqueue_bridge.Grader",
        verbose_name=_("grader"),
        null=True,
        on_delete=models.SET_NULL,
        db_index=False,
        related_name="submissions",
    )

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_key = LearningContextKeyField(_("course key"), max_length=255)
    usage_key = UsageKeyField(_("usage key"), max_length=255)
    dispatch = models.CharField(
        _("dispatch"),
        max_length=20,
        choices=[(each.value, DISPATCH_LABELS[each]) for each in Dispatch],
    )
    queue_key = CaseSensitiveCharField(_("queue key"), max_length=255, editable=False)

    is_replaced = models.BooleanField(
        _("replaced by a newer answer"),
        default=False,
        help_text=_("The learner's state waits for it no more: superseded when its lease ends."),
    )

    regrade_of = models.PositiveBigIntegerField(
        _("regrade of"),
        null=True,
        help_text=_("The id of the submission that it grades again; empty: an answer."),
    )

    created_at = models.DateTimeField(_("created at"))
    retry_until = models.DateTimeField(
        _("retry until"),
        null=True,
        help_text=_("It fails at the first delivery that ends without a result later."),
    )
    leased_at = models.DateTimeField(_("leased at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("submission")
        verbose_name_plural = _("submissions")
        indexes = [
            # The work index gives the order in which a queue is served. A finished row has due_at
            # NULL, so a range scan never reads it, on any database. available_at is read from the
            # index: rows that graders hold are due later, and are passed over without reading them.
            models.Index(
                fields=["queue_name", "due_at", "available_at", "id"], name="xqueue_bridge_work"
            ),
            models.Index(
                fields=["user_id", "usage_key", "status"], name="xqueue_bridge_learner_block"
            ),
            models.Index(fields=["status", "finished_at"], name="xqueue_bridge_finished"),
            models.Index(fields=["course_key", "id"], name="xqueue_bridge_of_course"),
        ]
        constraints = [
            # A finished row with a due_at would stay in the range of the work index; an open row
            # without one would never be pulled.
            models.CheckConstraint(
                name="xqueue_bridge_due_if_available",
                condition=models.Q(available_at=None, due_at=None)
                | models.Q(available_at__isnull=False, due_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        values = {"id": self.pk, "queue": self.queue_name, "status": self.get_status_display()}
        return gettext("submission %(id)s (%(queue)s, %(status)s)") % values

    @property
    def answers_by_callback(self) -> bool:
        """Return whether replies are posted to the callback URL of the process that submitted."""
        return self.transport == self.Transport.SUBMIT

    @property
    def target(self) -> Target:
        """Return the learner's block that the reply is applied to."""
        usage_key = with_run(self.usage_key, self.course_key)
        return Target(self.user_id, self.course_key, usage_key, Dispatch(self.dispatch))


def pullkey_digest(pullkey: str) -> str:
    """Return the stored digest of a pullkey, an unsalted hash of a long random text."""
    return hashlib.sha256(pullkey.encode("utf-8", "surrogatepass")).hexdigest()
