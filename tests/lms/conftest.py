"""Fixtures of the tests with openedx-events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from xqueue_bridge import handlers, signals


@pytest.fixture
def connect(settings) -> Iterator[Callable[..., None]]:
    """Return a function that starts the app with these settings, as far as the event goes."""
    from openedx_events.learning.signals import EXTERNAL_GRADER_SCORE_SUBMITTED as EVENT

    before = list(EVENT.receivers)

    def start(**chosen: bool) -> None:
        settings.XQUEUE_BRIDGE = chosen
        handlers.connect_external_grader_event()

    yield start
    EVENT.receivers[:] = before
    EVENT.sender_receivers_cache.clear()
    signals.reply_applied.disconnect(dispatch_uid="xqueue_bridge.send_external_grader_event")
