"""The abstract history entry of a StudentModule, and its two tables.

The entry's StudentModule may be in another database, so an entry references it by id and has its
own copy of the keys: reading needs no join, and history can outlive its row.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import LearningContextKeyField, UsageKeyField


class Reason(models.TextChoices):
    """Why an entry was written."""

    STATE = "state", _("the block saved")
    SCORE = "score", _("a score was set")
    REPLY = "reply", _("a grader replied")
    REQUEUE = "requeue", _("staff requeued the submission")
    DELETE = "delete", _("fields were deleted")
    RESET = "reset", _("attempts were reset")
    RESCORE = "rescore", _("the problem was scored again")
    RETIRE = "retire", _("the learner was retired")
    REPAIR = "repair", _("the state could not be read, and was about to be replaced")


class BaseStudentModuleHistory(models.Model):
    """The state and score of a StudentModule after one write.

    ``student_module_id`` and ``version`` together identify an entry in both tables, so moving an
    entry, or writing it again after a failure, creates no duplicate.
    """

    Reason = Reason

    student_module_id = models.PositiveBigIntegerField(_("id of the student module"))
    version = models.PositiveBigIntegerField(_("version of the state"))
    student_id = models.PositiveBigIntegerField(_("user id"))
    course_id = LearningContextKeyField(_("course key"), max_length=255)
    module_state_key = UsageKeyField(_("usage key"), max_length=255, db_column="module_id")
    state = models.TextField(_("state of the block"), null=True)
    grade = models.FloatField(_("points earned"), null=True)
    max_grade = models.FloatField(_("maximum score"), null=True)
    reason = models.CharField(_("reason of the entry"), max_length=8, choices=Reason)
    batch = models.BigIntegerField(
        _("history batch"),
        null=True,
        help_text=_("The number of the history batch that wrote it, if one did."),
    )
    created = models.DateTimeField(
        _("created"), help_text=_("When the row was written: its `modified`.")
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"version {self.version} of student module {self.student_module_id}"


class StudentModuleHistory(BaseStudentModuleHistory):
    """History in the database of the StudentModules.

    .. pii: What the learner answered, and the feedback to it.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Meta:
        verbose_name = _("student module history")
        verbose_name_plural = _("student module histories")
        constraints = [
            models.UniqueConstraint(
                fields=["student_module_id", "version"], name="xqueue_bridge_history_entry"
            )
        ]
        indexes = [
            models.Index(
                fields=["student_id", "module_state_key"], name="xqueue_bridge_history_learner"
            )
        ]


class StudentModuleHistoryExtended(BaseStudentModuleHistory):
    """History in a table that may be in a separate database: see ``HistoryRouter``.

    .. pii: What the learner answered, and the feedback to it.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Meta:
        verbose_name = _("student module history (extended)")
        verbose_name_plural = _("student module histories (extended)")
        constraints = [
            models.UniqueConstraint(
                fields=["student_module_id", "version"], name="xqueue_bridge_histext_entry"
            )
        ]
        indexes = [
            models.Index(
                fields=["student_id", "module_state_key"], name="xqueue_bridge_histext_learner"
            )
        ]
