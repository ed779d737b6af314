"""Models of regrades: the job that a course team started, and one item for each submission."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import (
    CaseSensitiveCharField,
    LearningContextKeyField,
    NameField,
    UsageKeyField,
)


class Regrade(models.Model):
    """One job of a course team: graders grade a set of submissions again.

    .. pii: The user id of the member of the course team who started it.
    .. pii_types: id
    .. pii_retirement: retained
    """

    class Scope(models.TextChoices):
        SUBMISSION = "submission", _("one submission")
        FAILED = "failed", _("all failed submissions")
        PROBLEM = "problem", _("all submissions of a problem")
        QUEUE = "queue", _("all submissions of a queue")

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        CANCELLED = "cancelled", _("cancelled")
        FINISHED = "finished", _("finished")

    course_key = LearningContextKeyField(max_length=255, verbose_name=_("course key"))
    scope = models.CharField(max_length=10, choices=Scope, verbose_name=_("scope"))
    usage_key = UsageKeyField(max_length=255, null=True, verbose_name=_("usage key"))
    queue_name = NameField(max_length=128, blank=True, verbose_name=_("queue name"))
    since = models.DateTimeField(null=True, verbose_name=_("since"))
    only_if_higher = models.BooleanField(
        default=False,
        verbose_name=_("only if higher"),
        help_text=_("A result counts only if it has more points than the learner has now."),
    )
    keep_feedback = models.BooleanField(
        default=True,
        verbose_name=_("keep the feedback"),
        help_text=_("Learners see the previous feedback until the new one is there."),
    )
    per_minute = models.PositiveIntegerField(
        default=60,
        verbose_name=_("per minute"),
        help_text=_("Maximum of submissions that graders are offered per minute."),
    )
    status = models.CharField(
        max_length=9, choices=Status, default=Status.RUNNING, verbose_name=_("status")
    )
    author_id = models.PositiveBigIntegerField(
        null=True, verbose_name=_("author id"), help_text=_("Who started it; NULL: a command.")
    )
    created_at = models.DateTimeField(verbose_name=_("created at"))
    released_until = models.DateTimeField(
        verbose_name=_("released until"),
        help_text=_("The time up to which the pace per minute is used."),
    )
    finished_at = models.DateTimeField(null=True, verbose_name=_("finished at"))

    class Meta:
        verbose_name = _("regrade")
        verbose_name_plural = _("regrades")
        indexes = [models.Index(fields=["finished_at", "id"], name="xqueue_bridge_regrade_open")]

    def __str__(self) -> str:
        return f"regrade {self.pk} ({self.status})"


class RegradeItem(models.Model):
    """One submission of a regrade, and its outcome.

    ``kept_entry`` is the learner's previous feedback while the learner's state waits for the new.

    .. pii: Says that a learner, by id, answered a problem, with points before and after.
    .. pii_types: id, other
    .. pii_retirement: local_api
    """

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        OPEN = "open", _("in grading")
        UP = "up", _("more points")
        DOWN = "down", _("fewer points")
        SAME = "same", _("same points")
        KEPT = "kept", _("not higher, kept")
        SKIPPED = "skipped", _("skipped")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    regrade = models.ForeignKey(
        Regrade, on_delete=models.CASCADE, related_name="items", verbose_name=_("regrade")
    )
    # Ids without constraints: a submission may be deleted, and the report stays.
    original_id = models.PositiveBigIntegerField(verbose_name=_("submission"))
    submission_id = models.PositiveBigIntegerField(
        null=True, db_index=True, verbose_name=_("regrade of the submission")
    )
    user_id = models.PositiveBigIntegerField(db_index=True, verbose_name=_("user id"))
    usage_key = UsageKeyField(max_length=255, verbose_name=_("usage key"))
    queue_name = NameField(max_length=128, verbose_name=_("queue name"))
    queue_key = CaseSensitiveCharField(
        max_length=255, blank=True, editable=False, verbose_name=_("queue key")
    )
    answer_id = CaseSensitiveCharField(max_length=255, verbose_name=_("answer id"))
    status = models.CharField(
        max_length=9, choices=Status, default=Status.PLANNED, verbose_name=_("status")
    )
    points_before = models.FloatField(null=True, verbose_name=_("points before"))
    points_after = models.FloatField(null=True, verbose_name=_("points after"))
    reason = models.CharField(max_length=255, blank=True, verbose_name=_("reason"))
    kept_entry = models.JSONField(null=True, verbose_name=_("kept entry"))
    changed_at = models.DateTimeField(verbose_name=_("changed at"))

    class Meta:
        verbose_name = _("regrade item")
        verbose_name_plural = _("regrade items")
        indexes = [
            models.Index(fields=["regrade", "status", "id"], name="xqueue_bridge_regrade_item"),
            models.Index(fields=["status", "queue_name"], name="xqueue_bridge_item_open"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk} of regrade {self.regrade_id} ({self.status})"


#: Statuses of an item that is not finished; only such an item keeps feedback.
UNFINISHED = (RegradeItem.Status.PLANNED, RegradeItem.Status.OPEN)
#: Statuses of an item on which no more work is done.
FINAL = frozenset(RegradeItem.Status) - set(UNFINISHED)
