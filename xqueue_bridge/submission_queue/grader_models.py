"""Models of grader accounts: graders, their secrets, grants and pauses, and revoked sessions."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import NameField


class Grader(models.Model):
    """A grader account, which is not an LMS account.

    .. no_pii:
    """

    name = NameField(_("user name"), max_length=128, unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    may_pull = models.BooleanField(
        _("may pull"),
        default=True,
        help_text=_("Else it may only return the results of what it holds."),
    )
    may_submit = models.BooleanField(
        _("may submit"),
        default=False,
        help_text=_("Send submissions to /xqueue/submit/, as an LMS does."),
    )
    note = models.CharField(_("note"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_seen_at = models.DateTimeField(
        _("last seen at"),
        null=True,
        editable=False,
        help_text=_("When it last sent a valid request; to the minute."),
    )
    last_failed_login_at = models.DateTimeField(
        _("last failed login at"),
        null=True,
        editable=False,
        help_text=_("When a login with this name failed; to the minute."),
    )

    class Meta:
        verbose_name = _("grader")
        verbose_name_plural = _("graders")

    def __str__(self) -> str:
        return self.name


class GraderSecret(models.Model):
    """One secret of a grader, as a keyed hash. Two may be valid at once, for rotation.

    .. no_pii:
    """

    grader = models.ForeignKey(
        Grader, verbose_name=_("grader"), on_delete=models.CASCADE, related_name="secrets"
    )
    digest = models.CharField(_("hash of the secret"), max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)

    class Meta:
        verbose_name = _("grader secret")
        verbose_name_plural = _("grader secrets")

    def __str__(self) -> str:
        return f"secret {self.pk} of {self.grader_id}"


class QueueGrant(models.Model):
    """Permission of a grader to pull from a queue and post results to it.

    .. no_pii:
    """

    EVERY_QUEUE = "*"

    grader = models.ForeignKey(
        Grader, verbose_name=_("grader"), on_delete=models.CASCADE, related_name="grants"
    )
    queue_name = NameField(
        _("queue name"), max_length=128, help_text=_('The queue\'s name, or "*" for all.')
    )

    class Meta:
        verbose_name = _("queue grant")
        verbose_name_plural = _("queue grants")
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

    grader = models.ForeignKey(
        Grader, verbose_name=_("grader"), on_delete=models.CASCADE, related_name="pauses"
    )
    queue_name = NameField(_("queue name"), max_length=128)
    invalid_replies = models.PositiveIntegerField(
        _("invalid replies"), default=0, help_text=_("Invalid replies since the last valid one.")
    )
    since = models.DateTimeField(_("first invalid reply at"))
    paused_until = models.DateTimeField(_("paused until"), null=True)
    last_submission_id = models.PositiveBigIntegerField(_("last submission"), null=True)
    last_error = models.CharField(
        _("last error"),
        max_length=255,
        blank=True,
        help_text=_("Why the last reply was invalid; none of its content."),
    )

    class Meta:
        verbose_name = _("paused grader")
        verbose_name_plural = _("paused graders")
        constraints = [
            models.UniqueConstraint(
                fields=["grader", "queue_name"], name="xqueue_bridge_grader_pause"
            )
        ]

    def __str__(self) -> str:
        values = {"id": self.grader_id, "queue": self.queue_name}
        return gettext("grader %(id)s in %(queue)s") % values


class RevokedSession(models.Model):
    """A grader session that was logged out before it expired.

    Sessions are signed cookies, so only a revoked session needs a row.

    .. no_pii:
    """

    session_id = models.CharField(_("session id"), max_length=32, primary_key=True)
    revoked_at = models.DateTimeField(_("revoked at"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("revoked session")
        verbose_name_plural = _("revoked sessions")

    def __str__(self) -> str:
        return f"session revoked {self.revoked_at}"
