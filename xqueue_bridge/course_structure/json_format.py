"""Read and write a course structure as one JSON document; pure.

The format is published as ``docs/references/course_structure.schema.json``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_structure.course import (
    Block,
    Chapter,
    Course,
    ShowCorrectness,
    Subsection,
)
from xqueue_bridge.course_structure.policy import parse_policy
from xqueue_bridge.course_structure.validation import (
    MAX_TEXT,
    Node,
    course_key_from,
    json_from,
    usage_key_from,
)
from xqueue_bridge.exceptions import InvalidCourse

COURSE = ("course_key", "display_name", "version", "edited_on", "end", "grading_policy", "chapters")
CHAPTER = ("key", "display_name", "subsections")
SUBSECTION = ("key", "display_name", "format", "graded", "due", "show_correctness",
              "selection_counts", "blocks")  # fmt: skip
BLOCK = ("key", "type", "display_name", "weight", "max_score", "graded", "pool")


def read_document(text: str | bytes) -> Course:
    """Return the course in a document. Raises InvalidCourse, which names the element."""
    return course_from(json_from(text, "document"))


def write_document(course: Course) -> str:
    """Return a document from which ``read_document`` makes an equal course."""
    return json.dumps(document_of(course), indent=1)


def content_version(course: Course) -> str:
    """Return a version that changes only when the content does."""
    document = document_of(replace(course, version="", edited_on=None))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def course_from(document: Any) -> Course:
    """Return the course in a parsed document. Raises InvalidCourse, which names the element.

    A document without a version gets ``content_version``.
    """
    node = Node("", document)
    node.only(*COURSE)
    course_key = course_key_from(node.need("course_key"), "course_key")
    seen: dict[UsageKey, Subsection] = {}
    course = Course(
        course_key=course_key,
        version=version_from(node.text("version") or "", "version"),
        edited_on=node.time("edited_on"),
        end=node.time("end"),
        policy=parse_policy(node.need("grading_policy")),
        chapters=tuple(_chapter(each, course_key, seen) for each in node.nodes("chapters")),
        display_name=node.text("display_name") or "",
    )
    return course if course.version else replace(course, version=content_version(course))


def _chapter(node: Node, course_key: CourseKey, seen: dict[UsageKey, Subsection]) -> Chapter:
    node.only(*CHAPTER)
    found = []
    for each in node.nodes("subsections"):
        subsection = _subsection(each, course_key)
        if seen.setdefault(subsection.usage_key, subsection) != subsection:
            raise InvalidCourse(each.path, "differs from the subsection with the same key")
        found.append(subsection)
    usage_key = usage_key_from(node.need("key"), node.at("key"), course_key)
    return Chapter(usage_key, node.text("display_name") or "", tuple(found))


def _subsection(node: Node, course_key: CourseKey) -> Subsection:
    node.only(*SUBSECTION)
    selection_counts = {
        usage_key_from(key, node.at("selection_counts"), course_key): count
        for key, count in node.counts("selection_counts")
    }
    blocks: dict[UsageKey, Block] = {}
    for each in node.nodes("blocks"):
        block = _block(each, course_key)
        if block.pool is not None and block.pool not in selection_counts:
            raise InvalidCourse(each.at("pool"), "is not in the subsection's selection_counts")
        if block.usage_key in blocks:
            raise InvalidCourse(each.at("key"), "stands in this subsection already")
        blocks[block.usage_key] = block
    return Subsection(
        usage_key=usage_key_from(node.need("key"), node.at("key"), course_key),
        display_name=node.text("display_name") or "",
        format=node.text("format") or None,
        graded=node.flag("graded") or False,
        due=node.time("due"),
        show_correctness=show_correctness_from(node.text("show_correctness"), node.path),
        blocks=tuple(blocks.values()),
        selection_counts=selection_counts,
    )


def _block(node: Node, course_key: CourseKey) -> Block:
    node.only(*BLOCK)
    usage_key = usage_key_from(node.need("key"), node.at("key"), course_key)
    pool = node.value.get("pool")
    return Block(
        usage_key=usage_key,
        block_type=node.text("type") or usage_key.block_type,
        weight=node.number("weight"),
        max_score=node.number("max_score"),
        graded=node.flag("graded"),
        pool=None if pool is None else usage_key_from(pool, node.at("pool"), course_key),
        display_name=node.text("display_name") or "",
    )


def version_from(text: str, where: str) -> str:
    """Return the text if it is a valid version. Raises InvalidCourse."""
    if not text.isprintable() or len(text) > MAX_TEXT:
        raise InvalidCourse(where, f"must be at most {MAX_TEXT} printable characters")
    return text


def show_correctness_from(given: str | None, where: str) -> ShowCorrectness:
    """Return the value, "always" by default. Raises InvalidCourse."""
    try:
        return ShowCorrectness(given or ShowCorrectness.ALWAYS)
    except ValueError:
        known = ", ".join(ShowCorrectness)
        raise InvalidCourse(f"{where}.show_correctness", f"is not one of {known}") from None


def document_of(course: Course) -> dict[str, object]:
    """Return the course as a document, ready for ``json.dumps``."""
    return {
        "course_key": str(course.course_key),
        "display_name": course.display_name,
        "version": course.version,
        "edited_on": _time(course.edited_on),
        "end": _time(course.end),
        "grading_policy": json.loads(course.policy.source),
        "chapters": [
            {
                "key": str(chapter.usage_key),
                "display_name": chapter.display_name,
                "subsections": [_subsection_document(each) for each in chapter.subsections],
            }
            for chapter in course.chapters
        ],
    }


def _subsection_document(subsection: Subsection) -> dict[str, object]:
    return {
        "key": str(subsection.usage_key),
        "display_name": subsection.display_name,
        "format": subsection.format,
        "graded": subsection.graded,
        "due": _time(subsection.due),
        "show_correctness": str(subsection.show_correctness),
        "selection_counts": {
            str(pool): count for pool, count in subsection.selection_counts.items()
        },
        "blocks": [_block_document(block) for block in subsection.blocks],
    }


def _block_document(block: Block) -> dict[str, object]:
    return {
        "key": str(block.usage_key),
        "type": block.block_type,
        "display_name": block.display_name,
        "weight": block.weight,
        "max_score": block.max_score,
        "graded": block.graded,
        "pool": None if block.pool is None else str(block.pool),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
