"""Template filters for points, percents and durations, in the format of the active language."""

from __future__ import annotations

from django import template
from django.utils.formats import number_format

from xqueue_bridge.views.formatting import format_duration, format_percent, format_points

register = template.Library()


@register.filter
def points(value: float | None) -> str:
    """Format points with at most two decimal places, "2.5"; "" for None."""
    return "" if value is None else number_format(format_points(value))


@register.filter
def percent(share: float | None) -> str:
    """Format a share of 0..1 with at most one decimal place, "59.5%"; "" for None."""
    return "" if share is None else f"{number_format(format_percent(share))}%"


register.filter("duration", format_duration)
