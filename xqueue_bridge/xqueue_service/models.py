"""Model of the transport overrides."""

from django.db import models

from xqueue_bridge.db.fields import CaseSensitiveCharField


class TransportOverride(models.Model):
    """Override of the transport for a course, an organisation or the site.

    The override with the narrowest scope wins: course, then organisation, then site.

    .. no_pii:
    """

    class Scope(models.TextChoices):
        COURSE = "course", "Course"
        ORGANISATION = "org", "Organisation"
        SITE = "site", "Site"

    scope = models.CharField(max_length=6, choices=Scope)
    name = CaseSensitiveCharField(
        max_length=255,
        blank=True,
        help_text="The course key, or the organisation's short name; empty for the site.",
    )
    use_submissions_table = models.BooleanField(
        default=True,
        help_text="On: graders pull from this site. Off: submissions go to the XQueue server.",
    )
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "transport override"
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "name"], name="xqueue_bridge_transport_override"
            )
        ]

    def __str__(self) -> str:
        way = "submissions table" if self.use_submissions_table else "legacy XQueue"
        return f"{self.get_scope_display()} {self.name}: {way}"
