"""COURSE_STAFF_CHECK by default: staff of the host, and the course team of one course."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.lms.project_type import is_lms

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser, AnonymousUser


def is_course_staff(user: AbstractUser | AnonymousUser, course_key: CourseKey) -> bool:
    """Return whether the user is staff of this course: by the LMS's roles, or by a group.

    Staff of the host are staff of every course. In a project without an LMS the members of the
    group ``group_name(course_key)`` are staff of that course.
    """
    if user.is_staff or user.is_superuser:
        return True
    if is_lms():
        from lms.djangoapps.courseware.access import has_access

        return bool(has_access(user, "staff", course_key))
    groups = getattr(user, "groups", None)
    return groups is not None and groups.filter(name=group_name(course_key)).exists()


def group_name(course_key: CourseKey) -> str:
    """Return the name of the group whose members are course staff."""
    return f"course-staff:{course_key}"
