"""EXTERNAL_GRADER_SCORE_SUBMITTED of openedx-events: sending, and the platform's own receiver."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from xqueue_bridge.data import ExternalGrade

NAME = "EXTERNAL_GRADER_SCORE_SUBMITTED"

_is_sending: ContextVar[bool] = ContextVar("xqueue_bridge_is_sending", default=False)


def get_signal() -> Any:
    """Return the event's signal; None without openedx-events, or if its release has none."""
    try:
        from openedx_events.learning import signals
    except ImportError:
        return None
    return getattr(signals, NAME, None)


def send(grade: ExternalGrade) -> None:
    """Send the event of an applied grade; do nothing without openedx-events.

    Its numbers are integers: the points earned are rounded down, the possible ones up. The exact
    points are in ``score_msg``. openedx-events logs the exceptions of receivers.
    """
    signal = get_signal()
    if signal is None:
        return
    from openedx_events.learning.data import ExternalGraderScoreData

    score = ExternalGraderScoreData(
        points_possible=math.ceil(grade.possible),
        points_earned=math.floor(grade.earned),
        course_id=str(grade.course_key),
        score_msg=grade.score_msg,
        submission_id=grade.submission_id,
        user_id=grade.anonymous_user_id,
        module_id=str(grade.usage_key),
        queue_key=grade.queue_key,
        queue_name=grade.queue_name,
    )
    token = _is_sending.set(True)
    try:
        signal.send_event(score=score)
    finally:
        _is_sending.reset(token)


def is_sending() -> bool:
    """Return whether the bridge is sending the event now, so that receivers can ignore it."""
    return _is_sending.get()


def platform_receiver() -> Callable[..., None] | None:
    """Return the platform's function that grades on the event; None outside of such a release."""
    try:
        from lms.djangoapps.grades.signals import handlers
    except ImportError:
        return None
    return getattr(handlers, "handle_external_grader_score", None)


def unless_sent_by_us(grade: Callable[..., None]) -> Callable[..., None]:
    """Return a receiver that ignores the bridge's own events, whose grades are applied already."""

    def receive(**kwargs: object) -> None:
        if not is_sending():
            grade(**kwargs)

    return receive
