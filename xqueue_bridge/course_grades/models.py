"""Tables of stored grades, of overrides, and of the recalculations that are due.

Learners are stored as user ids without a foreign key, as upstream does: grades outlive accounts.
"""

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.data import GradeVersion
from xqueue_bridge.db.fields import CaseSensitiveCharField, CourseKeyField, UsageKeyField
from xqueue_bridge.db.work_item import WorkItem


class VisibleBlocks(models.Model):
    """The list of problems that a subsection grade was computed from; many learners share one.

    ``hashed`` is the hash of ``blocks_json``, so a key always has the same list, and it does not
    matter which process inserts it first.

    .. no_pii:
    """

    hashed = CaseSensitiveCharField(_("hash of the blocks"), max_length=100, unique=True)
    course_id = CourseKeyField(_("course key"), max_length=255, db_index=True)
    blocks_json = models.TextField(_("blocks as JSON"))

    class Meta:
        verbose_name = _("visible blocks")
        verbose_name_plural = _("visible blocks")

    def __str__(self) -> str:
        return self.hashed


class PersistentSubsectionGrade(models.Model):
    """One learner's total scores in one subsection, before any override.

    .. no_pii:
    """

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_id = CourseKeyField(_("course key"), max_length=255)
    usage_key = UsageKeyField(_("usage key"), max_length=255)
    subtree_edited_timestamp = models.DateTimeField(_("subsection edited at"), null=True)
    course_version = models.CharField(_("course version"), max_length=255, blank=True)
    earned_all = models.FloatField(_("points earned, all problems"))
    possible_all = models.FloatField(_("points possible, all problems"))
    earned_graded = models.FloatField(_("points earned, graded problems"))
    possible_graded = models.FloatField(_("points possible, graded problems"))
    first_attempted = models.DateTimeField(_("first attempted at"), null=True)
    visible_blocks = models.ForeignKey(
        VisibleBlocks,
        verbose_name=_("visible blocks"),
        to_field="hashed",
        db_column="visible_blocks_hash",
        db_constraint=False,  # the row is inserted just before, and never deleted
        on_delete=models.PROTECT,
        related_name="+",
    )
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))

    class Meta:
        verbose_name = _("subsection grade")
        verbose_name_plural = _("subsection grades")
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "course_id", "usage_key"], name="xqueue_bridge_subsection_grade"
            )
        ]

    def __str__(self) -> str:
        return f"grade of learner {self.user_id} at {self.usage_key}"


class Override(models.Model):
    """Fields of an override of a subsection grade; None leaves the computed value."""

    earned_all_override = models.FloatField(_("earned override, all"), null=True, blank=True)
    possible_all_override = models.FloatField(_("possible override, all"), null=True, blank=True)
    earned_graded_override = models.FloatField(_("earned override"), null=True, blank=True)
    possible_graded_override = models.FloatField(_("possible override"), null=True, blank=True)
    system = models.CharField(_("system that set it"), max_length=100, blank=True)
    override_reason = models.CharField(_("reason of the override"), max_length=300, blank=True)
    author_id = models.PositiveBigIntegerField(_("user id of the author"), null=True)

    class Meta:
        abstract = True


class PersistentSubsectionGradeOverride(Override):
    """A current override; it is applied when the grade is read, so recalculation keeps it.

    .. pii: What the course team wrote about a learner's grade.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    grade = models.OneToOneField(
        PersistentSubsectionGrade,
        verbose_name=_("subsection grade"),
        on_delete=models.CASCADE,
        related_name="override",
    )
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))

    class Meta:
        verbose_name = _("override of a subsection grade")
        verbose_name_plural = _("overrides of subsection grades")

    def __str__(self) -> str:
        return f"override of grade {self.grade_id}"


class PersistentSubsectionGradeOverrideHistory(Override):
    """Each override that was made, changed or removed, with its author.

    .. pii: What the course team wrote about a learner's grade.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Action(models.TextChoices):
        SET = "set", _("set")
        REMOVED = "removed", _("removed")

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_id = CourseKeyField(_("course key"), max_length=255)
    usage_key = UsageKeyField(_("usage key"), max_length=255)
    action = models.CharField(_("change"), max_length=8, choices=Action)
    created = models.DateTimeField(_("created"))
    #: Set while the entry, stored in a host's transaction, is not applied to the override: when it
    #: was stored, or the last attempt failed.
    pending_since = models.DateTimeField(_("not applied since"), null=True)

    class Meta:
        verbose_name = _("change of an override")
        verbose_name_plural = _("changes of overrides")
        indexes = [
            models.Index(fields=["user_id", "course_id", "id"], name="xqueue_bridge_overrides"),
            models.Index(fields=["pending_since"], name="xqueue_bridge_pending"),
        ]

    def __str__(self) -> str:
        values = {"id": self.user_id, "key": self.usage_key, "change": self.get_action_display()}
        return gettext("override of learner %(id)s at %(key)s: %(change)s") % values


class PersistentCourseGrade(models.Model):
    """The course grade of one learner.

    ``percent_grade`` is 0..1 in whole percents, or more with extra credit; ``exact_percent`` is
    the value before rounding. ``modified`` and ``version`` change only when percent, letter or
    pass do; ``computed_at`` changes with every computation. ``passed_timestamp`` is the first
    pass, which a later fail does not clear.

    .. no_pii:
    """

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_id = CourseKeyField(_("course key"), max_length=255)
    course_edited_timestamp = models.DateTimeField(_("course edited at"), null=True)
    course_version = models.CharField(_("course version"), max_length=255, blank=True)
    grading_policy_hash = models.CharField(_("hash of the grading policy"), max_length=255)
    percent_grade = models.FloatField(_("rounded grade (0 to 1)"))
    exact_percent = models.FloatField(_("exact grade (0 to 1)"))
    letter_grade = models.CharField(_("letter grade"), max_length=255, blank=True)
    passed = models.BooleanField(_("passed"))
    passed_timestamp = models.DateTimeField(_("first passed at"), null=True, blank=True)
    version = models.PositiveBigIntegerField(_("version of the grade"), default=0)
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))
    computed_at = models.DateTimeField(_("computed at"))

    class Meta:
        verbose_name = _("course grade")
        verbose_name_plural = _("course grades")
        constraints = [
            models.UniqueConstraint(
                fields=["course_id", "user_id"], name="xqueue_bridge_course_grade"
            )
        ]
        indexes = [
            models.Index(fields=["user_id"], name="xqueue_bridge_grade_learner"),
            models.Index(fields=["modified", "id"], name="xqueue_bridge_grade_changed"),
        ]

    def __str__(self) -> str:
        values = {"id": self.user_id, "course": self.course_id}
        return gettext("grade of learner %(id)s in %(course)s") % values

    @property
    def stored_version(self) -> GradeVersion:
        return GradeVersion(self.user_id, self.course_id, self.version, self.modified)


class GradeRecalculation(WorkItem):
    """Whether a learner's course grade is dirty, and the lock under which it is computed.

    Each changed score raises ``wanted`` and adds a line to ``changes`` (usage key, a tab, the
    version of the score), in the score's own transaction. A recalculation processes all of them
    and sets ``done`` to the ``wanted`` that it read. ``next_attempt_at`` is set while a
    recalculation is scheduled. If it is None and ``done`` is behind ``wanted``, the recalculation
    has failed.

    .. no_pii:
    """

    user_id = models.PositiveBigIntegerField(_("user id"))
    course_id = CourseKeyField(_("course key"), max_length=255)
    #: The row is locked meanwhile; a new request changes ``wanted``.
    compared_fields = ("wanted", "next_attempt_at")

    wanted = models.PositiveBigIntegerField(_("requests"), default=0)
    done = models.PositiveBigIntegerField(_("requests processed"), default=0)
    changes = models.TextField(_("changed scores"), blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("grade recalculation")
        verbose_name_plural = _("grade recalculations")
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "course_id"], name="xqueue_bridge_recalculation"
            )
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="xqueue_bridge_grades_due"),
            models.Index(fields=["course_id", "next_attempt_at"], name="xqueue_bridge_course_due"),
        ]

    def __str__(self) -> str:
        values = {"id": self.user_id, "course": self.course_id}
        return gettext("recalculation of learner %(id)s in %(course)s") % values
