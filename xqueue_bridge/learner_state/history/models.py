"""The abstract history entry of a StudentModule, and its two tables.

The entry's StudentModule may be in another database, so an entry references it by id and has its
own copy of the keys: reading needs no join, and history can outlive its row.
"""

from django.db import models

from xqueue_bridge.db.fields import LearningContextKeyField, UsageKeyField


class Reason(models.TextChoices):
    """Why an entry was written."""

    STATE = "state", "the block saved"
    SCORE = "score", "a score was set"
    REPLY = "reply", "a grader replied"
    REQUEUE = "requeue", "staff requeued the submission"
    DELETE = "delete", "fields were deleted"
    RESET = "reset", "attempts were reset"
    RESCORE = "rescore", "the problem was scored again"
    RETIRE = "retire", "the learner was retired"
    REPAIR = "repair", "the state could not be read, and was about to be replaced"


class BaseStudentModuleHistory(models.Model):
    """The state and score of a StudentModule after one write.

    ``student_module_id`` and ``version`` together identify an entry in both tables, so moving an
    entry, or writing it again after a failure, creates no duplicate.
    """

    Reason = Reason

    student_module_id = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField(help_text="The row's version after the write.")
    student_id = models.PositiveBigIntegerField()
    course_id = LearningContextKeyField(max_length=255)
    module_state_key = UsageKeyField(max_length=255, db_column="module_id")
    state = models.TextField(null=True)
    grade = models.FloatField(null=True)
    max_grade = models.FloatField(null=True)
    reason = models.CharField(max_length=8, choices=Reason)
    batch = models.BigIntegerField(
        null=True, help_text="The number of the history batch that wrote it, if one did."
    )
    created = models.DateTimeField(help_text="When the row was written: its `modified`.")

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
        verbose_name = "student module history"
        verbose_name_plural = "student module histories"
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
        verbose_name = "student module history (extended)"
        verbose_name_plural = "student module histories (extended)"
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
