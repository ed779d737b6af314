"""The gradebook as a CSV file whose cells a spreadsheet never reads as formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.views.gradebook_rows import Line, columns, learners, lines

#: A spreadsheet computes a cell that begins with one of these; some also accept the wide forms
#: of =, +, - and @.
FORMULA_STARTS = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
#: The byte order mark tells a spreadsheet that the file is UTF-8.
MARK = "\ufeff"


class _Echo:
    """A file object for the csv module; ``write`` returns its text, and so does ``writerow``."""

    def write(self, text: str) -> str:
        return text


def csv_lines(course: Course) -> Iterator[str]:
    """Yield the file line by line: a header, then one line for each learner, by name.

    Points are those that count, and empty if nothing was tried. ``percent`` is 0..1.
    """
    writer: Any = csv.writer(_Echo())
    yield MARK + writer.writerow([safe(cell) for cell in _head(course)])
    for line in lines(course, learners(course)):
        yield writer.writerow([safe(cell) for cell in _cells(line)])


def safe(cell: str) -> str:
    """Return text that no spreadsheet reads as a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA_STARTS) else cell


def _head(course: Course) -> list[str]:
    names = [each.display_name for each in columns(course)]
    parts = [f"{name}: {part}" for name in names for part in ("points", "possible")]
    return ["user_id", "username", "name", "percent", "letter", "passed", *parts]


def _cells(line: Line) -> list[str]:
    grade, learner = line.grade, line.learner
    head = [str(learner.user_id), learner.username, learner.full_name, f"{grade.percent:.2f}"]
    head += [grade.letter_grade or "", "yes" if grade.passed else "no"]
    for cell in line.cells:
        head += ["", ""] if cell.is_empty else [cell.earned, cell.possible]
    return head
