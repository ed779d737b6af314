"""Who has been forgotten: the one thing that is remembered of them."""

from django.db import models

from xqueue_bridge.data import RetirementMode


class RetiredLearner(models.Model):
    """A learner whose data is forgotten, or being forgotten.

    Written before the first batch and kept for good: it finishes what was interrupted, and turns
    away what comes later. Without it, the next reply would bring the learner back.

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
