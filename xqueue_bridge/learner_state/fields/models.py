"""Tables of the field scopes other than user_state."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import (
    BlockTypeKeyField,
    CaseSensitiveCharField,
    LearningContextKeyField,
    UsageKeyField,
)


class StoredField(models.Model):
    """One value of one field, as JSON text."""

    field_name = CaseSensitiveCharField(_("name of the field"), max_length=64)
    value = models.TextField(_("value as JSON"), default="null")
    created = models.DateTimeField(_("created"))
    modified = models.DateTimeField(_("modified"))

    class Meta:
        abstract = True


class StudentField(StoredField):
    """One value of one field of a learner."""

    student = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("learner"),
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="+",
    )

    class Meta:
        abstract = True


class XModuleUserStateSummaryField(StoredField):
    """A block's field that all its learners share: the counts of a poll, for example.

    ``course_id`` is the course or library of the block. A deprecated (i4x) key does not contain
    its run, so without this column two runs would share their summaries.

    .. pii: What learners contributed, without their names: the words of a word cloud, say.
    .. pii_types: other
    .. pii_retirement: retained
    """

    course_id = LearningContextKeyField(_("course key"), max_length=255)
    usage_id = UsageKeyField(_("usage key"), max_length=255)

    class Meta:
        verbose_name = _("user state summary field")
        verbose_name_plural = _("user state summary fields")
        constraints = [
            models.UniqueConstraint(
                fields=["course_id", "usage_id", "field_name"],
                name="xqueue_bridge_summary_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of all learners at {self.usage_id}"


class XModuleStudentPrefsField(StudentField):
    """A learner's preference, the same at all blocks of one type.

    .. pii: How the learner likes blocks to behave.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    module_type = BlockTypeKeyField(_("block type"), max_length=64)

    class Meta:
        verbose_name = _("student preferences field")
        verbose_name_plural = _("student preferences fields")
        constraints = [
            models.UniqueConstraint(
                fields=["student", "module_type", "field_name"],
                name="xqueue_bridge_prefs_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of learner {self.student_id} at every {self.module_type}"


class XModuleStudentInfoField(StudentField):
    """A learner's field that blocks of every type share.

    .. pii: What the learner told blocks about themselves, such as a language.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    class Meta:
        verbose_name = _("student info field")
        verbose_name_plural = _("student info fields")
        constraints = [
            models.UniqueConstraint(
                fields=["student", "field_name"],
                name="xqueue_bridge_info_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of learner {self.student_id}"
