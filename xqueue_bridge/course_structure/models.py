"""The table of published course structures."""

from django.db import models

from xqueue_bridge.db.fields import CaseSensitiveCharField, CourseKeyField


class CourseStructureVersion(models.Model):
    """One loaded version of a course structure; a publish adds a row and moves ``is_current``.

    ``document`` is the structure as JSON text, ``digest`` the hash of that text, which is the key
    of the parsed structures that each process caches.

    .. no_pii:
    """

    course_key = CourseKeyField(max_length=255)
    version = CaseSensitiveCharField(max_length=255)
    edited_on = models.DateTimeField()
    loaded_at = models.DateTimeField()
    document = models.TextField()
    digest = models.CharField(max_length=64)
    is_current = models.BooleanField(
        null=True, default=None, help_text="True, or empty: so that a course has one at most."
    )
    regrade_due_at = models.DateTimeField(
        null=True,
        default=None,
        db_index=True,
        help_text="When it brought another policy; empty once the grades are noted as out of date.",
    )

    class Meta:
        verbose_name = "course structure"
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
