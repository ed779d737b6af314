"""The score ledger: the final outcome of each reply."""

from django.db import models

from xqueue_bridge.db.fields import CaseSensitiveCharField, LearningContextKeyField, UsageKeyField


class ScoreLedger(models.Model):
    """One reply that may change a score, and its outcome.

    ``idempotency_key`` is unique, and inserted before any other write: a second process with the
    same key finds the outcome of the first. No text of a learner or a grader is stored.

    .. no_pii:
    """

    class Outcome(models.TextChoices):
        APPLIED = "applied", "it is the learner's score"
        DUPLICATE = "duplicate", "it had come before"
        STALE = "stale", "the learner has answered again since"
        LOWER = "lower", "the learner's score is higher"
        REJECTED = "rejected", "not a score, or of an unknown learner"

    idempotency_key = CaseSensitiveCharField(max_length=191, unique=True)
    user_id = models.PositiveBigIntegerField()
    course_key = LearningContextKeyField(max_length=255)
    usage_key = UsageKeyField(max_length=255)
    attempt = models.PositiveBigIntegerField(null=True, help_text="Grows with a learner's answers.")
    earned = models.FloatField(null=True, help_text="Points, before the block's weight.")
    possible = models.FloatField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Fingerprint of the reply.")
    outcome = models.CharField(max_length=9, choices=Outcome)
    duplicate_count = models.PositiveIntegerField(default=0, help_text="How often it came again.")
    created = models.DateTimeField()
    modified = models.DateTimeField()

    class Meta:
        verbose_name = "score ledger entry"
        verbose_name_plural = "score ledger"
        indexes = [models.Index(fields=["user_id", "usage_key"], name="xqueue_bridge_ledger")]

    def __str__(self) -> str:
        return f"{self.idempotency_key}: {self.outcome}"
