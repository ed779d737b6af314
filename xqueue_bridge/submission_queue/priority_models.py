"""Model of the priorities of queues and courses."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.db.fields import CaseSensitiveCharField, NameField


def validate_course_key(value: str) -> None:
    """Raise ValidationError if a form's value is not a course key."""
    try:
        LearningContextKey.from_string(value)
    except InvalidKeyError:
        raise ValidationError(_("Enter a course key.")) from None


class Priority(models.Model):
    """The priority of a course, of a queue, or of a course in one queue.

    The row of course and queue counts before that of the course, and this before the queue's.

    .. no_pii:
    """

    class Level(models.IntegerChoices):
        HIGHEST = 2, _("highest")
        HIGH = 1, _("high")
        NORMAL = 0, _("normal")
        LOW = -1, _("low")
        LOWEST = -2, _("lowest")

    queue_name = NameField(
        _("queue name"), max_length=128, blank=True, help_text=_("Empty: every queue.")
    )
    course_key = CaseSensitiveCharField(
        _("course key"),
        max_length=255,
        blank=True,
        validators=[validate_course_key],
        help_text=_("Empty: every course."),
    )
    level = models.SmallIntegerField(_("priority"), choices=Level)
    modified = models.DateTimeField(_("modified"), auto_now=True)

    class Meta:
        verbose_name = _("priority")
        verbose_name_plural = _("priorities")
        constraints = [
            models.UniqueConstraint(
                fields=["queue_name", "course_key"], name="xqueue_bridge_priority_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.queue_name or '*'} {self.course_key or '*'}: {self.get_level_display()}"
