"""Models of what operators have set for a queue, and of its past pauses."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import NameField


class QueueSettings(models.Model):
    """What operators have set for one queue; a queue without a row has none of it.

    .. no_pii:
    """

    queue_name = NameField(_("queue name"), max_length=128, unique=True)
    paused_at = models.DateTimeField(
        _("paused at"),
        null=True,
        editable=False,
        help_text=_("Since then graders get no submissions of it; empty: not paused."),
    )

    class Meta:
        verbose_name = _("queue settings")
        verbose_name_plural = _("queue settings")

    def __str__(self) -> str:
        return self.queue_name


class QueuePause(models.Model):
    """A past pause of a queue: its time does not count for MAX_AGE_SECONDS.

    .. no_pii:
    """

    queue_name = NameField(_("queue name"), max_length=128)
    paused_at = models.DateTimeField(_("paused at"))
    resumed_at = models.DateTimeField(_("resumed at"))

    class Meta:
        verbose_name = _("past pause of a queue")
        verbose_name_plural = _("past pauses of queues")
        indexes = [models.Index(fields=["queue_name", "resumed_at"], name="xqueue_bridge_pauses")]

    def __str__(self) -> str:
        return f"{self.queue_name} {self.paused_at:%Y-%m-%d %H:%M}"
