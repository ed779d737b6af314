"""Models of received replies and of block locks."""

from django.db import models


class ReceivedReply(models.Model):
    """A reply to a submission, stored before it is processed.

    ``next_attempt_at`` is set while work is left; the sweeper selects rows by this column only.

    .. pii: Feedback to a learner, which can quote what the learner wrote.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Source(models.TextChoices):
        PUT_RESULT = "put_result", "put_result"
        CALLBACK = "callback", "XQueue callback"
        NOTICE = "notice", "our failure notice"

    class Status(models.TextChoices):
        PENDING = "pending", "to be delivered"
        APPLIED = "applied", "in the learner's state"
        STALE = "stale", "the learner's state no longer waits for it"
        REJECTED = "rejected", "does not keep the grade contract"
        DEAD = "dead", "cannot be delivered"

    submission = models.ForeignKey(
        "xqueue_bridge.Submission", on_delete=models.CASCADE, related_name="replies"
    )
    source = models.CharField(max_length=10, choices=Source)
    body = models.TextField()
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    received_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    problem = models.CharField(
        max_length=255, blank=True, help_text="Why it is not applied; never any of its content."
    )
    score_given = models.FloatField(null=True, help_text="The grader's own number.")
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

    place = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=32)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "delivery turn"

    def __str__(self) -> str:
        return f"turn until {self.expires_at}"
