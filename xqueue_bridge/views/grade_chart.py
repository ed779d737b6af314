"""The chart of a learner's grade: bars on a scale from 0 to 100 %, with the cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from xqueue_bridge.course_grades.grading_rules import Cutoffs, SectionEntry

#: Pixels. Widths are percents of the page's width, so that text keeps its size on small screens.
TOP = 44
ROW = 46
BAR_BELOW = 22
LABEL_BELOW = 15
CUTOFF_ROWS = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``kind`` is counts, dropped, average or total. Numbers are formatted for the SVG."""

    label: str
    value: str
    kind: str
    width: str
    label_y: int
    bar_y: int


@dataclass(frozen=True, slots=True)
class CutoffLine:
    """The line of one letter; ``anchor`` keeps its label inside the chart."""

    letter: str
    x: str
    label_y: int
    anchor: str


@dataclass(frozen=True, slots=True)
class GradeChart:
    """All bars, from top to bottom, the total last."""

    bars: tuple[Bar, ...]
    cutoffs: tuple[CutoffLine, ...]
    top: int
    height: int


def grade_chart(
    sections: Sequence[SectionEntry], percent: float, letter: str | None, cutoffs: Cutoffs
) -> GradeChart:
    """Return the chart of a grade's breakdown. Bars end at 100 %; labels have the true value."""
    rows = [(each["label"], each["percent"], _kind(each, sections)) for each in sections]
    total = _("Course grade: %(letter)s") % {"letter": letter} if letter else _("Course grade")
    rows.append((total, percent, "total"))
    bars = tuple(_bar(n, *row) for n, row in enumerate(rows))
    lines = tuple(_line(n, letter, share) for n, (letter, share) in enumerate(cutoffs))
    return GradeChart(bars, lines, TOP, TOP + ROW * len(bars))


def is_average(entry: SectionEntry, sections: Sequence[SectionEntry]) -> bool:
    """Return whether an entry is the average of its type; False for the only entry of a type."""
    alike = [each for each in sections if each["category"] == entry["category"]]
    return entry.get("prominent", False) and len(alike) > 1


def _kind(entry: SectionEntry, sections: Sequence[SectionEntry]) -> str:
    if "mark" in entry:
        return "dropped"
    return "average" if is_average(entry, sections) else "counts"


def _bar(number: int, label: str, share: float, kind: str) -> Bar:
    y = TOP + ROW * number
    value = f"{share * 100:.0f}%"
    if kind == "dropped":
        value = _("%(percent)s, dropped") % {"percent": value}
    return Bar(label, value, kind, _on_scale(share), y + LABEL_BELOW, y + BAR_BELOW)


def _line(number: int, letter: str, share: float) -> CutoffLine:
    # Neighbouring labels are in different rows, because letters may be words.
    label_y = LABEL_BELOW + (TOP // CUTOFF_ROWS - 4) * (number % CUTOFF_ROWS)
    anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
    return CutoffLine(letter, _on_scale(share), label_y, anchor)


def _on_scale(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"
