"""The model of what operators have set for a queue."""

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
