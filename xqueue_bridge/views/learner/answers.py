"""What a learner sees of answers that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from xqueue_bridge.submission_queue.api import AnswerStatus, Stage
from xqueue_bridge.views.learner import texts
from xqueue_bridge.views.learner.results import shows_results


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """The status of one answer, and its texts in the active language."""

    status: AnswerStatus
    shows_result: bool
    headline: str
    lines: tuple[str, ...]


def shown(user_id: int, statuses: Sequence[AnswerStatus]) -> list[ShownAnswer]:
    """Return the answers as their learner sees them; the statements of SHOW_RESULTS."""
    graded = [each for each in statuses if each.stage == Stage.GRADED]
    shows = shows_results(user_id, [(each.course_key, each.usage_key) for each in graded])
    now, found = timezone.now(), []
    for status in statuses:
        # Only a grade can be hidden: why there is none is always told.
        shows_result = shows.get((status.course_key, status.usage_key), False)
        headline = texts.headline(status, shows_result)
        lines = tuple(texts.lines(status, shows_result, now))
        found.append(ShownAnswer(status, shows_result, headline, lines))
    return found
