"""Cache of problems' maximum scores for learners without a score, shared by all learners."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.cache import BestEffortCache

DAY = 24 * 60 * 60
#: Memcached allows 250 characters, of which Django uses some for its prefix and version.
LONGEST_NAME = 200


class PublishedCourse(Protocol):
    """A course of the platform; ``subtree_edited_on`` is read, too, if it has one."""

    id: CourseKey


class MaxScoresCache:
    """Maximum scores of problems, under cache keys that a publish of the course changes.

    Call ``fetch_from_remote``, then ``get``; if that is None load the problem and ``set``; then
    ``push_to_remote``. Reads and writes Django's cache ``XQUEUE_BRIDGE["CACHE_ALIAS"]`` in one
    call each.
    """

    def __init__(self, cache_prefix: str) -> None:
        self.cache_prefix = cache_prefix
        self._fetched: dict[UsageKey, float] = {}
        self._pending: dict[UsageKey, float] = {}

    @classmethod
    def create_for_course(cls, course: PublishedCourse) -> MaxScoresCache:
        """Return a cache for the course as it was last published.

        ``course`` has an ``id`` and, if it is known, the time ``subtree_edited_on``.
        """
        edited_on = getattr(course, "subtree_edited_on", None)
        return cls(f"{course.id}.{edited_on.isoformat()}" if edited_on else f"{course.id}")

    def fetch_from_remote(self, locations: Iterable[UsageKey]) -> None:
        """Read the cached maximums of the locations."""
        names = {self._remote_name(location): location for location in locations}
        found = self._remote.get_many(names)
        self._fetched.update({names[name]: score for name, score in found.items()})

    def get(self, location: UsageKey) -> float | None:
        """Return the maximum; None if it is not known."""
        if location in self._pending:
            return self._pending[location]
        return self._fetched.get(location)

    def set(self, location: UsageKey, max_score: float) -> None:
        """Remember a maximum unless it is unchanged."""
        if self.get(location) != max_score:
            self._pending[location] = max_score

    def push_to_remote(self) -> None:
        """Write the new maximums, for a day; make no cache call if there are none."""
        if self._pending:
            new = {self._remote_name(key): score for key, score in self._pending.items()}
            self._remote.set_many(new, DAY)

    def num_cached_from_remote(self) -> int:
        """Return how many maximums were read."""
        return len(self._fetched)

    def num_cached_updates(self) -> int:
        """Return how many maximums are new."""
        return len(self._pending)

    @property
    def _remote(self) -> BestEffortCache:
        return BestEffortCache()

    def _remote_name(self, location: UsageKey) -> str:
        name = f"grades.MaxScores.{self.cache_prefix}___{location}"
        if len(name) <= LONGEST_NAME and name.isascii() and name.isprintable() and " " not in name:
            return name
        return f"grades.MaxScores.{hashlib.sha256(name.encode()).hexdigest()}"
