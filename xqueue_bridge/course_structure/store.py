"""The default ``COURSE_STRUCTURE_BACKEND``, which stores course structures in a table."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.module_loading import import_string
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.course import Course, CourseStructures
from xqueue_bridge.course_structure.json_format import read_document, write_document
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import InvalidCourse
from xqueue_bridge.signals import course_published

MAX_CACHED = 64  # parsed courses that a process caches

_cache: dict[str, Course] = {}
_cache_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing a course; ``previous`` is None for a new course."""

    course: Course
    previous: Course | None

    @property
    def is_new(self) -> bool:
        """Whether the current version has changed."""
        return self.previous is None or self.previous.version != self.course.version

    @property
    def policy_changed(self) -> bool:
        """Whether the grading policy has changed."""
        return self.previous is None or self.previous.policy.hash != self.course.policy.hash


class StoredStructures:
    """The structures that ``xqueue_bridge_import_course`` has loaded."""

    def get(self, course_key: CourseKey) -> Course | None:
        """Return the current version: one statement, a second one if it is not cached.

        The current version is read on each call, because a grade that is computed with an outdated
        structure would not be corrected.
        """
        current = CourseStructureVersion.objects.filter(course_key=course_key, is_current=True)
        found = current.values_list("digest", "pk").first()
        if found is None:
            return None
        digest, pk = found
        course = _cache.get(digest)
        return course or _parsed(digest, lambda: CourseStructureVersion.objects.get(pk=pk).document)


def course_structures() -> CourseStructures:
    """Return an instance of the configured ``COURSE_STRUCTURE_BACKEND``.

    Raises ImproperlyConfigured on a site without course grades.
    """
    path = options().COURSE_STRUCTURE_BACKEND
    if not path:
        raise ImproperlyConfigured('Course grades need XQUEUE_BRIDGE["COURSE_STRUCTURE_BACKEND"].')
    return cast(CourseStructures, import_string(path)())


def publish(course: Course) -> Published:
    """Make a course structure the current one; send ``course_published`` if it was not.

    A version that was loaded before becomes current again. Raises InvalidCourse if it was loaded
    with another content.
    """
    row = _row_for(course)
    return in_transaction(lambda: _make_current(course.course_key, row))


def _row_for(course: Course) -> CourseStructureVersion:
    """Return the row of this version; insert it if it was never loaded."""
    now = timezone.now()
    edited_on = course.edited_on or now
    document = write_document(replace(course, edited_on=edited_on))
    row, is_new = CourseStructureVersion.objects.get_or_create(
        course_key=course.course_key,
        version=course.version,
        defaults={
            "edited_on": edited_on,
            "loaded_at": now,
            "document": document,
            "digest": hashlib.sha256(document.encode()).hexdigest(),
        },
    )
    if not is_new and replace(read_document(row.document), edited_on=None) != replace(
        course, edited_on=None
    ):
        raise InvalidCourse("version", f"{course.version!r} was loaded with another content")
    return row


def _make_current(course_key: CourseKey, row: CourseStructureVersion) -> Published:
    versions = CourseStructureVersion.objects.filter(course_key=course_key)
    # Each publisher has inserted its row by now, so concurrent publishers of a course wait here.
    list(versions.order_by("pk").select_for_update().values_list("pk"))
    previous = StoredStructures().get(course_key)
    published = Published(_parsed(row.digest, lambda: row.document), previous)
    if published.is_new:
        regrade_due_at = timezone.now() if published.policy_changed else F("regrade_due_at")
        versions.filter(is_current=True).update(is_current=None)
        versions.filter(pk=row.pk).update(is_current=True, regrade_due_at=regrade_due_at)
        transaction.on_commit(lambda: _send_course_published(published))
    return published


def _send_course_published(published: Published) -> None:
    course, previous = published.course, published.previous
    course_published.send_robust(
        sender=CourseStructureVersion,
        course_key=course.course_key,
        version=course.version,
        previous_version=previous.version if previous else None,
        policy_changed=published.policy_changed,
    )


def _parsed(digest: str, load: Callable[[], str]) -> Course:
    """Return the parsed document, cached by its digest so that the cache is never outdated."""
    course = _cache.get(digest)
    if course is None:
        course = read_document(load())
        with _cache_lock:
            while len(_cache) >= MAX_CACHED:
                _cache.pop(next(iter(_cache)))
            _cache[digest] = course
    return course
