"""Alerts: trouble of a queue, and whether operators were told."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import NameField
from xqueue_bridge.db.work_item import WorkItem


class Alert(WorkItem):
    """One kind of trouble of one queue. The row stays when the trouble ends, and is used again.

    A notification is due, at ``next_attempt_at``, while ``is_open`` differs from ``is_told``.

    .. no_pii:
    """

    class Kind(models.TextChoices):
        STALLED = "stalled", _("A submission waits too long")
        NO_GRADER = "no_grader", _("No grader may pull from the queue")
        GRADER_GONE = "grader_gone", _("No grader of the queue is running")
        GRADER_PAUSED = "grader_paused", _("A grader sends invalid replies only")
        FAILED = "failed", _("Submissions fail")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    queue_name = NameField(_("queue"), max_length=128)
    is_open = models.BooleanField(_("open"), help_text=_("Whether the trouble goes on."))
    is_told = models.BooleanField(
        _("told"), default=False, help_text=_("Whether the last notification said that it is open.")
    )
    changed_at = models.DateTimeField(_("changed at"), help_text=_("When it began or ended."))
    notified_at = models.DateTimeField(_("notified at"), null=True)
    detail = models.CharField(_("measured"), max_length=255, blank=True)

    #: A notification of a state that has changed meanwhile ends no work.
    compared_fields = ("is_open", "next_attempt_at")
    queue_lookup = "queue_name"

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["kind", "queue_name"], name="xqueue_bridge_alert_kind")
        ]
        indexes = [models.Index(fields=["next_attempt_at"], name="xqueue_bridge_alert_due")]

    def __str__(self) -> str:
        return gettext("%(kind)s: %(queue)s") % {
            "kind": self.get_kind_display(),
            "queue": self.queue_name,
        }
