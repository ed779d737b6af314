"""Read a learner's scores at many blocks of a course with one statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache
from xqueue_bridge.learner_state.queries import with_key_text
from xqueue_bridge.learner_state.row import finite
from xqueue_bridge.lms.keys import without_branch

#: Above this number the statement does not list the locations: databases limit its parameters.
MOST_LISTED = 500


class ScoresClient:
    """The scores of one learner in one course. Call ``fetch_scores`` before ``get``."""

    class Score(NamedTuple):
        """Points at a block, both None without a score; ``created``: time of the first visit."""

        correct: float | None
        total: float | None
        created: datetime

    def __init__(self, course_key: LearningContextKey, user_id: int | None) -> None:
        self.course_key = course_key
        self.user_id = user_id
        self._scores: dict[UsageKey, ScoresClient.Score] = {}
        self._has_fetched = False

    @classmethod
    def create_for_locations(
        cls, course_id: LearningContextKey, user_id: int | None, locations: Iterable[UsageKey]
    ) -> ScoresClient:
        """Return a client that has fetched the scores at the locations."""
        client = cls(course_id, user_id)
        client.fetch_scores(locations)
        return client

    @classmethod
    def from_field_data_cache(cls, fd_cache: FieldDataCache) -> ScoresClient:
        """Return a client that has fetched the scores at all blocks of the cache that have any."""
        return cls.create_for_locations(
            fd_cache.course_id, fd_cache.user.pk, fd_cache.scorable_locations
        )

    def __contains__(self, location: UsageKey) -> bool:
        """Return whether the learner has a row at a block whose score was fetched."""
        return without_branch(location) in self._scores

    def fetch_scores(self, locations: Iterable[UsageKey]) -> None:
        """Fetch the scores at the locations and keep those that were fetched before."""
        wanted = {str(location): location for location in map(without_branch, locations)}
        if wanted:
            self._scores |= self._fetch(wanted)
        self._has_fetched = True

    def get(self, location: UsageKey) -> ScoresClient.Score | None:
        """Return the learner's score; None if the learner has no row at the block.

        Raises ValueError if nothing was fetched before.
        """
        if not self._has_fetched:
            raise ValueError(f"No scores of {self.course_key} have been fetched.")
        return self._scores.get(without_branch(location))

    def _fetch(self, wanted: Mapping[str, UsageKey]) -> dict[UsageKey, ScoresClient.Score]:
        # Keyed by the texts of the keys; those of deprecated (i4x) keys do not contain the run.
        rows: Any = with_key_text().filter(student_id=self.user_id, course_id=self.course_key)
        if len(wanted) <= MOST_LISTED:
            rows = rows.filter(module_state_key__in=wanted.values())
        found = rows.values_list("usage", "grade", "max_grade", "created")
        return {
            wanted[usage]: self.Score(finite(grade), finite(max_grade), created)
            for usage, grade, max_grade, created in found
            if usage in wanted
        }
