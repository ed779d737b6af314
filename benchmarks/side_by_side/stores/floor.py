"""The floor stores nothing; only sessions and the grader's account are in its database."""

from __future__ import annotations

from benchmarks.side_by_side.stores.base import Store


class FloorStore(Store):
    """A store without submissions."""

    def fill(self, number: int, body_bytes: int, waits: bool = True) -> None:
        """Do nothing: the view returns a constant."""

    def clear(self) -> None:
        """Do nothing: there are no rows."""

    def counts(self) -> dict[str, int]:
        return {}

    def unfinished(self) -> int:
        return 0
