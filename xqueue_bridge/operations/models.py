"""The record of what operators and course staff did."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import NameField


class OperatorAction(models.Model):
    """One action of an operator or of course staff: who did what, when, how much of it is done.

    An action on many submissions runs in batches. The transaction of a batch moves ``done_until``
    forward, so that two processes never run the same batch, and counts what it has changed.

    .. pii: The user id of the operator or member of the course team.
    .. pii_types: id
    .. pii_retirement: local_api
    """

    class Kind(models.TextChoices):
        PAUSE = "pause", _("pause the queue")
        RESUME = "resume", _("resume the queue")
        MOVE = "move", _("move to another queue")
        END = "end", _("end the grading")
        REQUEUE = "requeue", _("requeue failed submissions")
        RETRY = "retry", _("retry to apply replies")
        REVOKE = "revoke", _("revoke a grader")
        ROTATE = "rotate", _("rotate a grader's secret")
        CREATE = "create", _("create a grader")
        GRANT = "grant", _("grant queues to a grader")
        DENY = "deny", _("deny queues to a grader")
        ACCOUNT = "account", _("change a grader account")
        DELETE = "delete", _("delete a grader account")
        PRIORITY = "priority", _("set the priority")
        TRANSPORT = "transport", _("choose a transport")
        REGRADE = "regrade", _("regrade")
        REPAIR = "repair", _("repair stuck answers")
        PRUNE = "prune", _("prune")
        IMPORT = "import", _("import submissions")
        RESEND = "resend", _("send grades again")
        OTHER = "other", _("an action of the admin")

    kind = models.CharField(_("action"), max_length=16, choices=Kind)
    queue_name = NameField(
        _("queue name"), max_length=128, blank=True, help_text=_("Empty: of any queue.")
    )
    parameters = models.JSONField(_("parameters"), default=dict)
    author_id = models.PositiveBigIntegerField(
        _("author id"), null=True, help_text=_("Who did it; empty: a command, or a retired user.")
    )
    created_at = models.DateTimeField(_("created at"))
    selected = models.PositiveBigIntegerField(_("selected"), default=0)
    changed = models.PositiveBigIntegerField(_("changed"), default=0)
    done_until = models.PositiveBigIntegerField(_("done until"), default=0)
    last_id = models.PositiveBigIntegerField(
        _("last id"), default=0, help_text=_("The newest row that the action concerns.")
    )
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("operator action")
        verbose_name_plural = _("operator actions")
        permissions = [("operate_queues", "Can act on queues")]
        indexes = [
            models.Index(fields=["queue_name", "-id"], name="xqueue_bridge_of_queue"),
            models.Index(fields=["finished_at"], name="xqueue_bridge_action_due"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.queue_name}".strip()
