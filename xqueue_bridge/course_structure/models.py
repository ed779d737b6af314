"""The table of published course structures."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import CaseSensitiveCharField, CourseKeyField


class CourseStructureVersion(models.Model):
    """One loaded version of a course structure; a publish adds a row and moves ``is_current``.

    ``document`` is the structure as JSON text, ``digest`` the hash of that text, which is the key
    of the parsed structures that each process caches.

    .. no_pii:
    """

    course_key = CourseKeyField(_("course key"), max_length=255)
    version = CaseSensitiveCharField(_("version of the course"), max_length=255)
    edited_on = models.DateTimeField(_("edited at"))
    loaded_at = models.DateTimeField(_("loaded at"))
    document = models.TextField(_("structure as JSON"))
    digest = models.CharField(_("hash of the structure"), max_length=64)
    is_current = models.BooleanField(
        _("current version"),
        null=True,
        default=None,
        help_text=_("True, or empty: so that a course has one at most."),
    )
    regrade_due_at = models.DateTimeField(
        _("recalculation due at"),
        null=True,
        default=None,
        db_index=True,
        help_text=_("When it brought another policy; empty once the grades are marked dirty."),
    )

    class Meta:
        verbose_name = _("course structure")
        verbose_name_plural = _("course structures")
        constraints = [
            models.UniqueConstraint(
                fields=["course_key", "version"], name="xqueue_bridge_structure_version"
            ),
            models.UniqueConstraint(
                fields=["course_key", "is_current"], name="xqueue_bridge_structure_current"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course_key} {self.version}"
