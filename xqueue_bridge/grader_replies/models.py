"""Models of received replies and of block locks."""

from django.db import models

from xqueue_bridge.db.work_item import WorkItem


class ReceivedReply(WorkItem):
    """A reply to a submission, stored before it is applied.

    ``body`` is the text as received. It is parsed and sanitised once, when the row is inserted;
    ``correct``, ``score_given`` and ``message`` are the result, and what is applied.

    .. pii: Feedback to a learner, which can quote what the learner wrote.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Source(models.TextChoices):
        PUT_RESULT = "put_result", "put_result"
        CALLBACK = "callback", "XQueue callback"
        SYSTEM = "system", "failure reply of the bridge"

    class Status(models.TextChoices):
        PENDING = "pending", "pending"
        APPLIED = "applied", "applied"
        STALE = "stale", "stale"
        REJECTED = "rejected", "invalid"
        DEAD = "dead", "dead"
        LATE = "late", "late"

    submission = models.ForeignKey(
        "xqueue_bridge.Submission", on_delete=models.CASCADE, related_name="replies"
    )
    source = models.CharField(max_length=10, choices=Source)
    body = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the body.")
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    received_at = models.DateTimeField()
    correct = models.BooleanField(null=True, help_text="NULL if the body is not a valid reply.")
    score_given = models.FloatField(null=True, help_text="The grader's own number.")
    message = models.TextField(blank=True, help_text="The feedback, sanitised, as it is applied.")
    is_shortened = models.BooleanField(default=False, help_text="The feedback was too long.")
    score_applied = models.FloatField(null=True, help_text="The points the learner has for it.")
    applied_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "received reply"
        verbose_name_plural = "received replies"
        indexes = [models.Index(fields=["next_attempt_at"], name="xqueue_bridge_reply_due")]

    def __str__(self) -> str:
        return f"reply {self.pk} to submission {self.submission_id} ({self.status})"


class BlockLock(models.Model):
    """Lock of one learner's block, held while a reply backend runs foreign code.

    The lock expires at ``expires_at``, so that a killed process does not keep it.

    .. no_pii:
    """

    key = models.CharField(max_length=64, primary_key=True)
    owner = models.CharField(max_length=32)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "block lock"

    def __str__(self) -> str:
        return f"block lock until {self.expires_at}"
