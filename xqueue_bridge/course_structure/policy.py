"""A course's grading policy, parsed and validated; pure."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from xqueue_bridge.course_structure.validation import number_from
from xqueue_bridge.exceptions import InvalidCourse

log = logging.getLogger(__name__)

#: Bounded because a placeholder is created for each assignment up to min_count.
MAX_COUNT = 1000
MAX_WEIGHT = 1000.0
#: A number as text; without exponents, infinity and NaN.
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{0,20})?")
MAX_LETTER = 255  # the column length in a stored grade

#: The platform's policy of a course that has none.
DEFAULT_POLICY: Mapping[str, object] = {
    "GRADER": [
        {
            "type": "Homework",
            "short_label": "HW",
            "min_count": 12,
            "drop_count": 2,
            "weight": 0.15,
        },
        {"type": "Lab", "min_count": 12, "drop_count": 2, "weight": 0.15},
        {
            "type": "Midterm Exam",
            "short_label": "Midterm",
            "min_count": 1,
            "drop_count": 0,
            "weight": 0.3,
        },
        {
            "type": "Final Exam",
            "short_label": "Final",
            "min_count": 1,
            "drop_count": 0,
            "weight": 0.4,
        },
    ],
    "GRADE_CUTOFFS": {"Pass": 0.5},
}


@dataclass(frozen=True, slots=True)
class AssignmentFormat:
    """One entry of ``GRADER``: the assignments of one type, and their share of the grade.

    ``min_count`` assignments are expected; missing ones count as 0. The ``drop_count`` lowest do
    not count. ``weight`` 1.0 is the whole grade; weights need not add up to it. ``category`` (in
    breakdowns), ``section_type`` (in details) and ``short_label`` (in labels) default to ``type``.
    """

    type: str
    min_count: int
    drop_count: int
    category: str = ""
    section_type: str = ""
    short_label: str = ""
    show_only_average: bool = False
    hide_average: bool = False
    starting_index: int = 1
    weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("category", "section_type", "short_label"):
            object.__setattr__(self, name, getattr(self, name) or self.type)


@dataclass(frozen=True, slots=True)
class GradingPolicy:
    """A course's grading policy. Created by ``parse_policy``.

    ``cutoffs`` are (letter, smallest percent 0..1), highest first. ``source`` is the policy as
    its author wrote it, as compact JSON with sorted keys; ``hash``, which stored grades contain, is
    computed of it as the LMS does.
    """

    assignments: tuple[AssignmentFormat, ...]
    cutoffs: tuple[tuple[str, float], ...]
    source: str
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).digest()
        object.__setattr__(self, "hash", base64.b64encode(digest).decode())


def parse_policy(document: object, where: str = "grading_policy") -> GradingPolicy:
    """Return the policy in ``{"GRADER": [...], "GRADE_CUTOFFS": {...}}``.

    Raises InvalidCourse (a ValueError), which names the entry below ``where``.
    """
    if not isinstance(document, Mapping):
        raise InvalidCourse(where, "must be an object with GRADER and GRADE_CUTOFFS")
    assignments = parse_assignments(document.get("GRADER"), f"{where}.GRADER")
    cutoffs = _cutoffs(document.get("GRADE_CUTOFFS"), f"{where}.GRADE_CUTOFFS")
    source = json.dumps(document, separators=(",", ":"), sort_keys=True)
    return GradingPolicy(assignments, cutoffs, source)


def parse_assignments(entries: object, where: str = "GRADER") -> tuple[AssignmentFormat, ...]:
    """Return the assignment formats in a ``GRADER`` list. Raises InvalidCourse."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise InvalidCourse(where, "must be a list of assignment types")
    found = tuple(_assignment(entry, f"{where}[{n}]") for n, entry in enumerate(entries))
    categories: set[str] = set()
    for number, assignment in enumerate(found):
        if assignment.category in categories:
            named = f"{where}[{number}] ({assignment.category!r})"
            raise InvalidCourse(named, "another entry has this type and category")
        categories.add(assignment.category)
    return found


def _assignment(entry: object, where: str) -> AssignmentFormat:
    if not isinstance(entry, Mapping):
        raise InvalidCourse(where, "must be an object")
    kind = entry.get("type")
    if not isinstance(kind, str) or not kind.strip():
        raise InvalidCourse(f"{where}.type", "must be a name, such as 'Homework'")
    where = f"{where} ({kind!r})"
    ignored = entry.keys() - {known.name for known in fields(AssignmentFormat)}
    if ignored:
        log.warning("%s: ignored: %s", where, ", ".join(sorted(map(str, ignored))))
    return AssignmentFormat(
        type=kind,
        min_count=_count(entry, "min_count", where),
        drop_count=_count(entry, "drop_count", where),
        weight=_number(entry.get("weight", 0.0), f"{where}.weight", MAX_WEIGHT),
        short_label=_text(entry, "short_label", where),
        category=_text(entry, "category", where),
        section_type=_text(entry, "section_type", where),
        show_only_average=bool(entry.get("show_only_average")),
        hide_average=bool(entry.get("hide_average")),
        starting_index=_count({"starting_index": 1, **entry}, "starting_index", where),
    )


def _cutoffs(given: object, where: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(given, Mapping):
        raise InvalidCourse(where, "must be an object of letters and percents, 0 to 1")
    found: list[tuple[str, float]] = []
    for letter, value in given.items():
        is_name = isinstance(letter, str) and letter.isprintable()
        if not is_name or not 0 < len(letter) <= MAX_LETTER:
            what = f"a letter must be a name of at most {MAX_LETTER} printable characters"
            raise InvalidCourse(where, what)
        found.append((letter, _number(value, f"{where}.{letter}", 1.0)))
    return tuple(sorted(found, key=lambda cutoff: (-cutoff[1], cutoff[0])))


def _count(entry: Mapping[str, object], name: str, where: str) -> int:
    """Return a count; Studio has written them as numbers and as text."""
    where = f"{where}.{name}"
    if name not in entry:
        raise InvalidCourse(where, "is missing")
    value = entry[name]
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        value = int(value)
    number = _number(value, where, MAX_COUNT)
    if number != int(number):
        raise InvalidCourse(where, "must be a whole number")
    return int(number)


def _number(value: object, where: str, limit: float) -> float:
    """Return a number; Studio has written them as numbers and as text."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    return number_from(value, where, limit)


def _text(entry: Mapping[str, object], name: str, where: str) -> str:
    value = entry.get(name)
    if isinstance(value, int | float):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise InvalidCourse(f"{where}.{name}", "must be text")
    return value or ""
