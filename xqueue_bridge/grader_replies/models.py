"""Models of received replies and of block locks."""

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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
        PUT_RESULT = "put_result", _("result of a grader")
        CALLBACK = "callback", _("XQueue callback")
        EVENT = "event", _("event of openedx-events")
        SYSTEM = "system", _("failure reply of the bridge")
        OPERATOR = "operator", _("failure reply of an operator")

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        APPLIED = "applied", _("applied")
        STALE = "stale", _("stale")
        REJECTED = "rejected", _("invalid")
        DEAD = "dead", _("dead")
        LATE = "late", _("late")

    #: The sources of failure replies.
    FAILURES = (Source.SYSTEM, Source.OPERATOR)

    failed = models.Q(status=Status.DEAD)
    queue_lookup = "submission__queue_name"

    submission = models.ForeignKey(
        "xqueue_bridge.Submission",
        verbose_name=_("submission"),
        on_delete=models.CASCADE,
        related_name="replies",
    )
    source = models.CharField(_("source"), max_length=10, choices=Source)
    body = models.TextField(_("body as received"))
    digest = models.CharField(_("SHA-256 of the body"), max_length=64)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.PENDING)
    received_at = models.DateTimeField(_("received at"))
    correct = models.BooleanField(
        _("correct"), null=True, help_text=_("NULL if the body is not a valid reply.")
    )
    score_given = models.FloatField(_("score from the grader"), null=True)
    message = models.TextField(_("feedback, sanitised"), blank=True)
    tests = models.JSONField(_("tests"), default=list)
    staff_note = models.TextField(_("note for staff"), blank=True)
    codes = models.JSONField(
        _("codes"),
        default=list,
        help_text=_("Why it is invalid, or the warnings of a valid reply."),
    )
    score_applied = models.FloatField(
        _("points applied"), null=True, help_text=_("The points that the learner got for it.")
    )
    applied_at = models.DateTimeField(_("applied at"), null=True)
    answer_id = models.CharField(
        _("answer id"),
        max_length=255,
        blank=True,
        help_text=_("The answer of the problem that it graded."),
    )

    #: Whether a newer submission has the queue key; set by ``queries.with_submission``.
    is_replaced: bool

    class Meta:
        verbose_name = _("received reply")
        verbose_name_plural = _("received replies")
        indexes = [models.Index(fields=["next_attempt_at"], name="xqueue_bridge_reply_due")]

    def __str__(self) -> str:
        values = {"id": self.pk, "of": self.submission_id, "status": self.get_status_display()}
        return gettext("reply %(id)s to submission %(of)s (%(status)s)") % values


class ReplyCodeCount(models.Model):
    """How many replies of a grader had a code: why they were refused, or a warning.

    .. no_pii:
    """

    grader = models.ForeignKey(
        "xqueue_bridge.Grader",
        verbose_name=_("grader"),
        on_delete=models.CASCADE,
        related_name="code_counts",
    )
    code = models.CharField(_("code"), max_length=40)
    count = models.PositiveBigIntegerField(_("count"), default=0)
    last_at = models.DateTimeField(_("last time"), null=True)

    class Meta:
        verbose_name = _("reply code count")
        verbose_name_plural = _("reply code counts")
        constraints = [
            models.UniqueConstraint(
                fields=["grader", "code"], name="xqueue_bridge_reply_code_count"
            )
        ]

    def __str__(self) -> str:
        values = {"count": self.count, "code": self.code, "grader": self.grader_id}
        return gettext("%(count)s x %(code)s of grader %(grader)s") % values


class BlockLock(models.Model):
    """Lock of one learner's block, held while a reply backend runs foreign code.

    The lock expires at ``expires_at``, so that a killed process does not keep it.

    .. no_pii:
    """

    key = models.CharField(_("key of the lock"), max_length=64, primary_key=True)
    owner = models.CharField(_("owner of the lock"), max_length=32)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("block lock")
        verbose_name_plural = _("block locks")

    def __str__(self) -> str:
        return f"block lock until {self.expires_at}"
