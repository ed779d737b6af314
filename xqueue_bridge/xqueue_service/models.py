"""Model of the transport overrides."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.fields import CaseSensitiveCharField


class TransportOverride(models.Model):
    """Override of the transport for a course, an organisation or the site.

    The override with the narrowest scope wins: course, then organisation, then site.

    .. no_pii:
    """

    class Scope(models.TextChoices):
        COURSE = "course", _("Course")
        ORGANISATION = "org", _("Organisation")
        SITE = "site", _("Site")

    scope = models.CharField(_("scope"), max_length=6, choices=Scope)
    name = CaseSensitiveCharField(
        _("course or organisation"),
        max_length=255,
        blank=True,
        help_text=_("The course key, or the organisation's short name; empty for the site."),
    )
    use_submissions_table = models.BooleanField(
        _("use the submissions table"),
        default=True,
        help_text=_("On: graders pull from this site. Off: submissions go to the XQueue server."),
    )
    modified = models.DateTimeField(_("modified"), auto_now=True)

    class Meta:
        verbose_name = _("transport override")
        verbose_name_plural = _("transport overrides")
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "name"], name="xqueue_bridge_transport_override"
            )
        ]

    def __str__(self) -> str:
        way = _("submissions table") if self.use_submissions_table else _("legacy XQueue")
        return f"{self.get_scope_display()} {self.name}: {way}"
