"""Factories of courses, subsections, blocks and grading policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_structure.course import Block, Chapter, Course, Subsection
from xqueue_bridge.course_structure.json_format import content_version
from xqueue_bridge.course_structure.policy import parse_policy

COURSE_KEY = CourseKey.from_string("course-v1:DemoX+GRADES+2026")

HOMEWORK = {"type": "Homework", "min_count": 1, "drop_count": 0, "short_label": "HW", "weight": 1.0}


def key(block_type: str, name: str) -> UsageKey:
    return COURSE_KEY.make_usage_key(block_type, name)


def policy(*assignments: Mapping[str, Any], **cutoffs: float) -> Any:
    return parse_policy({"GRADER": list(assignments or [HOMEWORK]), "GRADE_CUTOFFS": cutoffs})


def block(name: str, max_score: float | None = 1.0, **fields: Any) -> Block:
    return Block(key("problem", name), "problem", max_score=max_score, **fields)


def subsection(name: str, *blocks: Block, format: str | None = "Homework", **fields: Any) -> Any:
    fields = {"display_name": name.title(), "graded": True, "blocks": blocks, **fields}
    return Subsection(key("sequential", name), format=format, **fields)


def chapter(name: str, *subsections: Subsection) -> Chapter:
    return Chapter(key("chapter", name), name.title(), subsections)


def course(
    *subsections: Subsection,
    grading: Any = None,
    chapters: Iterable[Chapter] | None = None,
    **fields: Any,
) -> Course:
    made = Course(
        course_key=COURSE_KEY,
        version="",
        edited_on=datetime(2026, 1, 1, tzinfo=UTC),
        end=None,
        policy=grading or policy(Pass=0.6),
        chapters=tuple(chapters or [chapter("only", *subsections)]),
        display_name="Grades",
    )
    made = replace(made, **fields)
    return made if made.version else replace(made, version=content_version(made))
