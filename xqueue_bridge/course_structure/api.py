"""Public API of the package: the structure and grading policy of a course."""

from xqueue_bridge.course_structure.course import Block, Chapter, Course, Subsection
from xqueue_bridge.course_structure.json_format import version_from
from xqueue_bridge.course_structure.load import read_course
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.course_structure.store import course_structures, publish

__all__ = [
    "Block",
    "Chapter",
    "Course",
    "CourseStructureVersion",
    "Subsection",
    "course_structures",
    "publish",
    "read_course",
    "version_from",
]
