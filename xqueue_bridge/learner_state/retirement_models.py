"""Tombstones of retired learners."""

from django.db import models

from xqueue_bridge.data import RetirementMode


class RetiredLearner(models.Model):
    """The tombstone of a learner who is retired, or is being retired.

    Written before the first batch and never deleted: an interrupted retirement is finished from
    it, and later replies are refused because of it, which would store the learner's data again.

    .. pii: Says that a learner, by id, has left.
    .. pii_types: id
    .. pii_retirement: retained
    """

    user_id = models.PositiveBigIntegerField(primary_key=True)
    mode = models.CharField(max_length=5, choices=[(m.value, m.value) for m in RetirementMode])
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    late_replies = models.PositiveIntegerField(
        default=0, help_text="Replies that came afterwards, belonging to nothing: not stored."
    )

    class Meta:
        verbose_name = "retired learner"

    def __str__(self) -> str:
        return f"learner {self.user_id} ({self.mode})"
