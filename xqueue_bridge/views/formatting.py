"""Texts for points, percents and durations, with a dot as the decimal separator.

``templatetags/xqueue_bridge_numbers.py`` has the template filters, which localize them.
"""

from __future__ import annotations

DURATION_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def format_points(value: float) -> str:
    """Format points with at most two decimal places: 3, 2.5, 0.67."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def format_percent(share: float) -> str:
    """Format a share of 0..1 as percent with at most one decimal place, without the sign: 59.5."""
    return f"{share * 100:.1f}".removesuffix(".0")


def format_duration(seconds: float | None) -> str:
    """Format seconds in the largest SI unit that fits, rounded down; "" for None."""
    if seconds is None:
        return ""
    for unit, length in DURATION_UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"
