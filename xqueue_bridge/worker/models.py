"""Heartbeats of background processes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Heartbeat(models.Model):
    """When a kind of background process last ran, written by ``heartbeat.record``.

    .. no_pii:
    """

    name = models.CharField(_("kind of process"), max_length=32, primary_key=True)
    seen_at = models.DateTimeField(_("last seen at"))

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.name
