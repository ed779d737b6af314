"""StudentModule, the row of a learner's state and score at one block; tombstones of learners."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.fields import LearningContextKeyField, UsageKeyField

MODE_LABELS = {
    RetirementMode.SCRUB: _("scrub: texts deleted"),
    RetirementMode.PURGE: _("purge: everything deleted"),
}


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
        verbose_name=_("learner"),
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="xqueue_bridge_student_modules",
    )
    course_id = LearningContextKeyField(_("course key"), max_length=255)
    module_state_key = UsageKeyField(_("usage key"), max_length=255, db_column="module_id")
    module_type = models.CharField(_("block type"), max_length=32)
    state = models.TextField(_("state of the block"), null=True, blank=True)
    grade = models.FloatField(_("points earned"), null=True, blank=True)
    max_grade = models.FloatField(_("maximum score"), null=True, blank=True)
    version = models.PositiveBigIntegerField(
        _("version of the state"), default=0, help_text=_("Grows with every write.")
    )
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))

    class Meta:
        verbose_name = _("student module")
        verbose_name_plural = _("student modules")
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

    user_id = models.PositiveBigIntegerField(_("user id"), primary_key=True)
    mode = models.CharField(
        _("kind of retirement"),
        max_length=5,
        choices=[(mode.value, MODE_LABELS[mode]) for mode in RetirementMode],
    )
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True)
    late_replies = models.PositiveIntegerField(
        _("late replies"),
        default=0,
        help_text=_("Replies that came afterwards; they are not stored."),
    )

    class Meta:
        verbose_name = _("retired learner")
        verbose_name_plural = _("retired learners")

    def __str__(self) -> str:
        values = {"id": self.user_id, "mode": self.get_mode_display()}
        return gettext("learner %(id)s (%(mode)s)") % values
