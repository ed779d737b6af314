"""StudentModule: the row of a learner's state and score at one block."""

from django.conf import settings
from django.db import models

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
