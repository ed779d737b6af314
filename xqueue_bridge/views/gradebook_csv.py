"""The gradebook as a CSV file whose cells a spreadsheet never reads as formulas.

Headers and numbers are the same in every language, because programs read the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.gradebook_rows import GradebookRow, graded_subsections, rows
from xqueue_bridge.views.learners import Learner

#: A spreadsheet computes a cell that begins with one of these; some also accept the wide forms
#: of =, +, - and @.
FORMULA_STARTS = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
#: The byte order mark tells a spreadsheet that the file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"


class Echo:
    """A file object for the csv module; ``write`` returns its text, and so does ``writerow``."""

    def write(self, text: str) -> str:
        return text


def csv_lines(course: Course, found: Sequence[Learner]) -> Iterator[Sequence[str]]:
    """Yield the lines of the file: a header, then one for each of the learners.

    Points are those that count, and empty if nothing was tried. ``percent`` is 0..1.
    """
    yield _header(course)
    for row in rows(course, found):
        yield _cells(row)


def safe(cell: str) -> str:
    """Return text that no spreadsheet reads as a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA_STARTS) else cell


def _header(course: Course) -> list[str]:
    names = [each.display_name for each in graded_subsections(course)]
    parts = [f"{name}: {part}" for name in names for part in ("points", "possible")]
    return ["user_id", "username", "name", "percent", "letter", "passed", *parts]


def _cells(row: GradebookRow) -> list[str]:
    grade, learner = row.grade, row.learner
    line = [str(learner.user_id), learner.username, learner.full_name, f"{grade.percent:.2f}"]
    line += [grade.letter_grade or "", "yes" if grade.passed else "no"]
    for cell in row.cells:
        for value in (cell.earned, cell.possible):
            line.append("" if cell.is_empty or value is None else format_points(value))
    return line
