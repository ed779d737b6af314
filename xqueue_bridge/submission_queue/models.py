"""Models of submissions, graders, their secrets, grants and revoked sessions."""

from __future__ import annotations

from typing import Any, cast

from django.db import models

from xqueue_bridge.data import Dispatch, StoredFile, Target
from xqueue_bridge.db.fields import (
    CaseSensitiveCharField,
    LearningContextKeyField,
    NameField,
    UsageKeyField,
)
from xqueue_bridge.submission_queue.states import Status


class SubmissionContent(models.Model):
    """The immutable content of a submission, written before its Submission row.

    .. pii: What the learner wrote or uploaded, and the learner's id inside header and body.
    .. pii_types: id, other
    .. pii_retirement: local_api
    """

    header = models.TextField(help_text="The LMS's header, byte for byte. Graders never see it.")
    body = models.TextField(help_text="What graders are given, byte for byte.")
    points = models.JSONField(
        default=dict, help_text="Answer id to the points it is worth; {} where it is not known."
    )
    files = models.JSONField(
        default=list, help_text="[name, name in storage, size in bytes] of each uploaded file."
    )
    files_folder = models.CharField(
        max_length=64, blank=True, db_index=True, help_text="The folder of its files in storage."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "submission content"

    def __str__(self) -> str:
        return f"content {self.pk}"

    def stored_files(self) -> tuple[StoredFile, ...]:
        """Return the uploaded files, in the order of upload."""
        return tuple(StoredFile(*entry) for entry in self.files)


class Submission(models.Model):
    """The mutable part of a submission: everything that changes during grading.

    .. pii: Says that a learner, by id, answered a problem.
    .. pii_types: id
    .. pii_retirement: local_api
    """

    class Transport(models.TextChoices):
        TABLE = "table", "our submissions table"
        LEGACY = "legacy", "a legacy XQueue server"
        SUBMIT = "submit", "submitted to our /xqueue/submit/"

    content = models.OneToOneField(SubmissionContent, on_delete=models.PROTECT)
    transport = models.CharField(max_length=6, choices=Transport, default=Transport.TABLE)
    queue_name = NameField(max_length=128)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    available_at = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    pullkey_digest = models.CharField(max_length=64, blank=True, editable=False)
    # No index: each delivery would write it, and this lookup is rare.
    grader = models.ForeignKey(
        "xqueue_bridge.Grader",
        null=True,
        on_delete=models.SET_NULL,
        db_index=False,
        related_name="submissions",
    )

    user_id = models.PositiveBigIntegerField()
    course_key = LearningContextKeyField(max_length=255)
    usage_key = UsageKeyField(max_length=255)
    dispatch = models.CharField(max_length=20, choices=[(d.value, d.value) for d in Dispatch])
    queue_key = CaseSensitiveCharField(max_length=255, editable=False)

    is_replaced = models.BooleanField(
        default=False, help_text="A newer answer has replaced it: superseded when its lease ends."
    )

    created_at = models.DateTimeField()
    retry_until = models.DateTimeField(
        null=True, help_text="It fails at the first delivery that ends without a result later."
    )
    leased_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # The work index gives the order in which a queue is served. A finished row has
            # available_at NULL, so a range scan never reads it, on any database.
            models.Index(fields=["queue_name", "available_at", "id"], name="xqueue_bridge_work"),
            models.Index(fields=["user_id", "usage_key"], name="xqueue_bridge_learner_block"),
            models.Index(fields=["status", "finished_at"], name="xqueue_bridge_finished"),
        ]

    def __str__(self) -> str:
        return f"submission {self.pk} ({self.queue_name}, {self.status})"

    @property
    def answers_by_callback(self) -> bool:
        """Return whether replies are posted to the callback URL of the process that submitted."""
        return self.transport == self.Transport.SUBMIT

    @property
    def target(self) -> Target:
        """Return the learner's block that the reply is applied to."""
        # The stubs of opaque_keys type every key as optional.
        course_key, usage_key = cast(Any, self.course_key), cast(Any, self.usage_key)
        return Target(self.user_id, course_key, usage_key, Dispatch(self.dispatch))


class Grader(models.Model):
    """A grader account, which is not an LMS account.

    .. no_pii:
    """

    name = NameField(max_length=128, unique=True, help_text="The user name it logs in with.")
    is_active = models.BooleanField(default=True)
    may_submit = models.BooleanField(
        default=False, help_text="Send submissions to /xqueue/submit/, as an LMS does."
    )
    note = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(
        null=True, editable=False, help_text="When it last sent a valid request; to the minute."
    )
    last_failed_login_at = models.DateTimeField(
        null=True, editable=False, help_text="When a login with this name failed; to the minute."
    )

    def __str__(self) -> str:
        return self.name


class GraderSecret(models.Model):
    """One secret of a grader, as a keyed hash. Two may be valid at once, for rotation.

    .. no_pii:
    """

    grader = models.ForeignKey(Grader, on_delete=models.CASCADE, related_name="secrets")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "grader secret"

    def __str__(self) -> str:
        return f"secret {self.pk} of {self.grader_id}"


class QueueGrant(models.Model):
    """Permission of a grader to pull from a queue and post results to it.

    .. no_pii:
    """

    EVERY_QUEUE = "*"

    grader = models.ForeignKey(Grader, on_delete=models.CASCADE, related_name="grants")
    queue_name = NameField(max_length=128, help_text='The queue\'s name, or "*" for all.')

    class Meta:
        verbose_name = "queue grant"
        constraints = [
            models.UniqueConstraint(
                fields=["grader", "queue_name"], name="xqueue_bridge_queue_grant"
            )
        ]

    def __str__(self) -> str:
        return self.queue_name


class GraderPause(models.Model):
    """Invalid replies in a row of a grader in a queue, and the pause of its pulls.

    .. no_pii:
    """

    grader = models.ForeignKey(Grader, on_delete=models.CASCADE, related_name="pauses")
    queue_name = NameField(max_length=128)
    invalid_replies = models.PositiveIntegerField(
        default=0, help_text="Invalid replies since the last valid one."
    )
    since = models.DateTimeField(help_text="The time of the first of them.")
    paused_until = models.DateTimeField(null=True)
    last_submission_id = models.PositiveBigIntegerField(null=True)
    last_error = models.CharField(
        max_length=255, blank=True, help_text="Why the last reply was invalid; none of its content."
    )

    class Meta:
        verbose_name = "paused grader"
        constraints = [
            models.UniqueConstraint(
                fields=["grader", "queue_name"], name="xqueue_bridge_grader_pause"
            )
        ]

    def __str__(self) -> str:
        return f"grader {self.grader_id} in {self.queue_name}"


class RevokedSession(models.Model):
    """A grader session that was logged out before it expired.

    Sessions are signed cookies, so only a revoked session needs a row.

    .. no_pii:
    """

    session_id = models.CharField(max_length=32, primary_key=True)
    revoked_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = "revoked session"

    def __str__(self) -> str:
        return f"session revoked {self.revoked_at}"
