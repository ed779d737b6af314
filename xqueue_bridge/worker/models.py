"""Heartbeats of background processes."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a kind of background process last ran, written by ``heartbeat.record``.

    .. no_pii:
    """

    name = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
