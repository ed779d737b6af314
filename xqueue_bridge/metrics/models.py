"""Samples of the queues, one row per queue and minute."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import NameField


class QueueSample(models.Model):
    """The figures of one queue at one minute, written by the sweeper.

    The counters are totals since the queue's first sample, so that a scrape reads them as they are
    and a rate is the difference of two samples.

    .. no_pii:
    """

    minute = models.DateTimeField(
        _("minute"), help_text=_("The counters include what happened before this time.")
    )
    queue_name = NameField(_("queue"), max_length=128)

    received_total = models.PositiveBigIntegerField(_("received"), default=0)
    answered_total = models.PositiveBigIntegerField(_("answered"), default=0)
    failed_total = models.PositiveBigIntegerField(_("failed"), default=0)
    grading_seconds_total = models.FloatField(
        _("grading seconds"),
        default=0.0,
        help_text=_("Sum of the seconds from the last delivery to the result."),
    )
    waiting_seconds_total = models.FloatField(
        _("waiting seconds"),
        default=0.0,
        help_text=_("Sum of the seconds from sending to the last delivery."),
    )

    waiting = models.PositiveBigIntegerField(_("waiting"))
    leased = models.PositiveBigIntegerField(_("leased"))
    oldest_seconds = models.FloatField(_("age of the oldest"), null=True)
    pending_replies = models.PositiveBigIntegerField(_("replies not applied"))
    graders = models.PositiveIntegerField(_("graders"))
    paused_graders = models.PositiveIntegerField(_("paused graders"))
    grader_seen_seconds = models.FloatField(_("seconds since a grader was seen"), null=True)

    is_paused = models.BooleanField(_("paused"), default=False)

    last_submission_id = models.PositiveBigIntegerField(
        _("newest submission"),
        default=0,
        help_text=_("The newest submission that the counters include, of any queue."),
    )

    class Meta:
        verbose_name = _("queue sample")
        verbose_name_plural = _("queue samples")
        constraints = [
            # The minute comes first: the newest samples are read, and the oldest are deleted.
            models.UniqueConstraint(
                fields=["minute", "queue_name"], name="xqueue_bridge_queue_sample"
            )
        ]

    def __str__(self) -> str:
        return f"{self.queue_name} at {self.minute:%Y-%m-%d %H:%M}"
