"""The model of archived submissions."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.data import StoredFile
from xqueue_bridge.db.fields import LearningContextKeyField, UsageKeyField
from xqueue_bridge.submission_queue.states import Status


class ArchivedSubmission(models.Model):
    """A finished submission with its replies, after it has left the submission queue.

    Graders, learners' pages and the sweeper never read it.

    .. pii: What the learner wrote or uploaded, feedback to it, and the learner's id.
    .. pii_types: id, other
    .. pii_retirement: local_api
    """

    submission_id = models.PositiveBigIntegerField(_("former submission id"), primary_key=True)
    user_id = models.PositiveBigIntegerField(_("user id"), db_index=True)
    course_key = LearningContextKeyField(_("course key"), max_length=255)
    usage_key = UsageKeyField(_("usage key"), max_length=255)
    queue_name = models.CharField(_("queue name"), max_length=128)
    status = models.CharField(_("status"), max_length=10, choices=Status)
    created_at = models.DateTimeField(_("created at"))
    finished_at = models.DateTimeField(_("finished at"), db_index=True)
    archived_at = models.DateTimeField(_("archived at"), auto_now_add=True)
    header = models.TextField(_("header of the LMS"))
    body = models.TextField(_("body for graders"))
    points = models.JSONField(_("points of each answer"), default=dict)
    files = models.JSONField(_("uploaded files"), default=list)
    files_folder = models.CharField(
        _("folder of the files"), max_length=64, blank=True, db_index=True
    )
    replies = models.JSONField(
        _("replies"),
        default=list,
        encoder=DjangoJSONEncoder,
        help_text=_("The columns of each received reply."),
    )
    is_deleted = models.BooleanField(
        _("is deleted"),
        default=False,
        db_index=True,
        help_text=_("Only its files are left, and will be deleted."),
    )

    class Meta:
        verbose_name = _("archived submission")
        verbose_name_plural = _("archived submissions")

    def __str__(self) -> str:
        return f"archived submission {self.pk} ({self.queue_name}, {self.status})"

    def stored_files(self) -> tuple[StoredFile, ...]:
        """Return the uploaded files, in the order of upload."""
        return tuple(StoredFile(*entry) for entry in self.files)
