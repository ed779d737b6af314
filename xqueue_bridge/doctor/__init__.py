"""Examination of an installation: what is wrong, and what to write where.

Each function of the modules here yields the findings of one area, with a fixed number of statements
and requests. What cannot be examined is a finding, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xqueue_bridge.doctor import addresses, installation, work
from xqueue_bridge.doctor.finding import Finding

_AREAS: tuple[Callable[[], Iterator[Finding]], ...] = (
    installation.settings_of_host,
    installation.database,
    installation.storage,
    work.courses,
    work.graders,
    work.queues,
    installation.sweeper,
    work.other_queues,
)
_WITH_REQUESTS: tuple[Callable[[], Iterator[Finding]], ...] = (
    addresses.address,
    addresses.callback,
    installation.workers,
)


def examine(*, network: bool = True) -> Iterator[Finding]:
    """Yield the findings of all areas; ``network``: also those that need requests."""
    for area in (*_AREAS, *(_WITH_REQUESTS if network else ())):
        try:
            yield from area()
        except Exception as exc:  # the message may hold an address with a password
            text = f"cannot be examined: {type(exc).__name__}"
            yield Finding(area.__name__, text, "see the log of the server it needs", True)
