"""Load a course structure from a path, in any supported format."""

from __future__ import annotations

from pathlib import Path

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.course_structure.json_format import read_document
from xqueue_bridge.course_structure.olx.reader import read_olx
from xqueue_bridge.course_structure.olx.tree import Report
from xqueue_bridge.exceptions import InvalidCourse

MAX_BYTES = 50_000_000


def read_course(
    path: Path, course_key: CourseKey | None = None, report: Report | None = None
) -> Course:
    """Return the course in an OLX folder, a tar.gz, or a JSON document (``*.json``).

    ``course_key`` replaces the course key of an OLX course; a document contains its own.
    ``report``: see ``read_olx``. Raises InvalidCourse, which names file and element.
    """
    if path.suffix != ".json":
        return read_olx(path, course_key, report)
    course = read_document(_content(path))
    if course_key not in (None, course.course_key):
        raise InvalidCourse("course_key", f"is {course.course_key}, not {course_key}")
    return course


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidCourse("document", f"is larger than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as exc:
        raise InvalidCourse("document", exc.strerror or "cannot be read") from None
