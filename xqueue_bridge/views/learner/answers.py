"""What a learner sees of answers that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xqueue_bridge.course_grades.grading_rules import weighted_score
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.submission_queue.api import AnswerStatus, Stage
from xqueue_bridge.views.learner import texts
from xqueue_bridge.views.learner.problems import describe_problems
from xqueue_bridge.views.learner.results import Block, shows_results


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """The status of one answer, and its texts in the active language."""

    status: AnswerStatus
    shows_result: bool
    headline: str
    lines: tuple[str, ...]
    #: As the problem shows them, after its weight; None if they are not shown.
    points: float | None = None
    possible: float | None = None

    @property
    def block(self) -> Block:
        return self.status.course_key, self.status.usage_key


def shown(user_id: int, statuses: Sequence[AnswerStatus]) -> list[ShownAnswer]:
    """Return the answers as their learner sees them.

    The statements of SHOW_RESULTS, and of DESCRIBE_PROBLEM if results are shown.
    """
    graded = [each for each in statuses if each.stage == Stage.GRADED]
    shows = shows_results(user_id, [(each.course_key, each.usage_key) for each in graded])
    problems = describe_problems(block for block, is_shown in shows.items() if is_shown)
    now, found = database_now(), []
    for status in statuses:
        block = status.course_key, status.usage_key
        # Only a grade can be hidden: why there is none is always told.
        shows_result = shows.get(block, False)
        weight = problems[block].weight if shows_result else None
        points = _weighted(status.points, status, weight) if shows_result else None
        possible = _weighted(status.possible, status, weight) if shows_result else None
        headline = texts.headline(status, points, possible)
        lines = tuple(texts.lines(status, shows_result, now))
        found.append(ShownAnswer(status, shows_result, headline, lines, points, possible))
    return found


def _weighted(points: float | None, status: AnswerStatus, weight: float | None) -> float | None:
    """Return points of an answer as a part of the weight of its problem."""
    if points is None or status.problem_points is None:
        return points
    return weighted_score(points, status.problem_points, weight)[0]
