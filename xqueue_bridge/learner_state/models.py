"""StudentModule, the row of a learner's state and score at one block; tombstones of learners."""

from django.conf import settings
from django.db import models

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.fields import LearningContextKeyField, UsageKeyField


class StudentModule(models.Model):
    """A learner's state and score at one block.

    ``state`` is JSON text: NULL if nothing was ever stored, ``"{}"`` if all of it was deleted.
    It is text, not a JSON column, because the database must not rewrite what a block stored.

    .. pii: What the learner answered, and the feedback to it.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    student = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="xqueue_bridge_student_modules",
    )
    course_id = LearningContextKeyField(max_length=255)
    module_state_key = UsageKeyField(max_length=255, db_column="module_id")
    module_type = models.CharField(max_length=32)
    state = models.TextField(null=True, blank=True)
    grade = models.FloatField(null=True, blank=True)
    max_grade = models.FloatField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0, help_text="Grows with every write.")
    created = models.DateTimeField()
    modified = models.DateTimeField()

    class Meta:
        verbose_name = "student module"
        constraints = [
            models.UniqueConstraint(
                fields=["student", "module_state_key", "course_id"],
                name="xqueue_bridge_student_module",
            )
        ]
        indexes = [
            # The order of the pages in which all learners' rows are read.
            models.Index(fields=["course_id", "id"], name="xqueue_bridge_course"),
            models.Index(fields=["module_state_key", "id"], name="xqueue_bridge_module"),
        ]

    def __str__(self) -> str:
        return f"state of learner {self.student_id} at {self.module_state_key}"


class RetiredLearner(models.Model):
    """The tombstone of a learner who is retired, or is being retired.

    Written before the first batch and never deleted: an interrupted retirement is finished from
    it, and later replies are refused because of it, which would store the learner's data again.

    .. pii: Says that a learner, by id, has left.
    .. pii_types: id
    .. pii_retirement: retained
    """

    user_id = models.PositiveBigIntegerField(primary_key=True)
    mode = models.CharField(max_length=5, choices=[(m.value, m.value) for m in RetirementMode])
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    late_replies = models.PositiveIntegerField(
        default=0, help_text="Replies that came afterwards, belonging to nothing: not stored."
    )

    class Meta:
        verbose_name = "retired learner"

    def __str__(self) -> str:
        return f"learner {self.user_id} ({self.mode})"
