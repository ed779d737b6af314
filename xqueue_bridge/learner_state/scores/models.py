"""The score ledger: the final outcome of each reply."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import CaseSensitiveCharField, LearningContextKeyField, UsageKeyField


class ScoreLedger(models.Model):
    """One reply that may change a score, and its outcome.

    ``idempotency_key`` is unique, and inserted before any other write: a second process with the
    same key finds the outcome of the first. No text of a learner or a grader is stored.

    .. no_pii:
    """

    class Outcome(models.TextChoices):
        APPLIED = "applied", _("it is the learner's score")
        DUPLICATE = "duplicate", _("it had come before")
        STALE = "stale", _("the learner has answered again since")
        LOWER = "lower", _("the learner's score is higher")
        REJECTED = "rejected", _("not a score, or of an unknown learner")

    idempotency_key = CaseSensitiveCharField(_("idempotency key"), max_length=191, unique=True)
    user_id = models.PositiveBigIntegerField(_("user id"))
    course_key = LearningContextKeyField(_("course key"), max_length=255)
    usage_key = UsageKeyField(_("usage key"), max_length=255)
    attempt = models.PositiveBigIntegerField(
        _("attempt number"), null=True, help_text=_("Grows with a learner's answers.")
    )
    earned = models.FloatField(
        _("points earned"), null=True, help_text=_("Points, before the block's weight.")
    )
    possible = models.FloatField(_("points possible"), null=True)
    digest = models.CharField(_("hash of the reply"), max_length=64, blank=True)
    outcome = models.CharField(_("outcome"), max_length=9, choices=Outcome)
    duplicate_count = models.PositiveIntegerField(_("duplicate count"), default=0)
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))

    class Meta:
        verbose_name = _("score ledger entry")
        verbose_name_plural = _("score ledger")
        indexes = [models.Index(fields=["user_id", "usage_key"], name="xqueue_bridge_ledger")]

    def __str__(self) -> str:
        return f"{self.idempotency_key}: {self.get_outcome_display()}"
