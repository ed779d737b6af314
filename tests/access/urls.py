"""Each URL of the bridge, who may open it, and a request that would change something there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

from django.urls import URLPattern, URLResolver

from tests.access.world import HOMEWORK, World
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM

Pattern = URLPattern | URLResolver


class For(StrEnum):
    """Who may open a URL."""

    #: Each learner, and each sees the own objects only.
    LEARNERS = "each learner"
    LEARNER = "the learner whose object it is"
    TEAM = "staff of the course"
    STAFF = "staff of the host"
    OPERATOR = "operators"
    GRADER = "a grader with a grant for the queue"
    LEARNER_OR_STAFF = "the learner, and staff of the host"
    TOKEN = "who has a token"
    ALL = "all, because it has nothing of a learner"


@dataclass(frozen=True)
class Url:
    """A path, for whom it is, and the form of a POST that would change something."""

    path: str
    audience: For
    form: dict[str, object] = field(default_factory=dict)


def urls_of(world: World) -> list[Url]:
    """Return each URL, of the world's learner where it is of one."""
    return [*_grader_urls(world), *_learner_urls(world), *_team_urls(world), *_staff_urls(world)]


def routes(patterns: list[Pattern], before: str = "") -> set[str]:
    """Return the routes of all patterns, as ``resolve(path).route`` has them below ``""``."""
    found: set[str] = set()
    for each in patterns:
        route = before + str(each.pattern).removeprefix("^")
        inner = isinstance(each, URLResolver)
        found |= routes(each.url_patterns, route) if inner else {route}
    return found


def _grader_urls(world: World) -> list[Url]:
    result = _result(submission_id=world.waiting, submission_key="0" * 32)
    login: dict[str, object] = {"username": "watcher", "password": "wrong"}
    found = []
    for slash in ("/", ""):
        found += [
            Url(f"/xqueue/get_submission{slash}?queue_name=python", For.GRADER),
            Url(f"/xqueue/get_queuelen{slash}?queue_name=python", For.GRADER),
            Url(f"/xqueue/put_result{slash}", For.GRADER, result),
            Url(f"/xqueue/submit{slash}", For.GRADER, result),
            Url(f"/xqueue/login{slash}", For.GRADER, login),
            Url(f"/xqueue/status{slash}", For.ALL),
        ]
    return [
        *found,
        Url(f"/xqueue/files/{world.token}x/", For.TOKEN),
        Url(f"/xqueue/files/{world.token}x/a.py", For.TOKEN),
        Url("/xqueue/openapi.json", For.ALL),
        Url("/xqueue/metrics/", For.TOKEN),
        Url("/xqueue/health/", For.STAFF),
        # It responds 200 to any queue key, and applies a reply only with the right one.
        Url(_callback(world), For.ALL, _result(lms_key="guessed")),
    ]


def _result(**header: object) -> dict[str, object]:
    return {"xqueue_header": json.dumps(header), "xqueue_body": GOOD_REPLY}


def _callback(world: World) -> str:
    return f"/courses/{COURSE}/xqueue/{world.ada.pk}/{PROBLEM}/score_update"


def _learner_urls(world: World) -> list[Url]:
    return [
        Url(f"/xqueue/grades/{COURSE}/progress/", For.LEARNERS),
        Url("/xqueue/my/", For.LEARNERS),
        Url("/xqueue/my.csv", For.LEARNERS),
        Url(f"/xqueue/my/status/{PROBLEM}/", For.LEARNERS),
        Url(f"/xqueue/my/{world.graded}/", For.LEARNER),
        Url(f"/xqueue/my/{world.waiting}/", For.LEARNER),
    ]


def _team_urls(world: World) -> list[Url]:
    team = f"/xqueue/courses/{COURSE}"
    new = {"scope": "problem", "problem": str(PROBLEM), "per_minute": 60, "action": "start"}
    found = [
        Url(f"{team}/submissions/{world.graded}/", For.TEAM),
        Url(f"{team}/regrades/new/", For.TEAM, {**new}),
        Url(f"{team}/regrades/{world.regrade}/", For.TEAM, {"action": "cancel"}),
        Url(f"{team}/regrades/{world.regrade}.csv", For.TEAM),
        Url(f"{team}/stuck/", For.TEAM, {"row": [world.stuck_row]}),
        Url(f"{team}/problems/{PROBLEM}/", For.TEAM),
    ]
    for name in ("submissions", "regrades", "problems"):
        found.append(Url(f"{team}/{name}/", For.TEAM))
    for name in ("submissions", "regrades", "problems", "stuck"):
        found.append(Url(f"{team}/{name}.csv", For.TEAM))
    return found


def _staff_urls(world: World) -> list[Url]:
    queues, grades = "/xqueue/queues", f"/xqueue/grades/{COURSE}"
    action: dict[str, object] = {"action": "end", "queue": "python"}
    points = {"set-earned": 0, "set-possible": 1, "set-reason": "x"}
    found = [
        Url(f"{queues}/act/?action=end&queue=python", For.OPERATOR, action),
        Url(f"{queues}/priority/", For.OPERATOR, {"queue": "python", "level": "1"}),
        Url(f"{queues}/graders/{world.grader_id}/revoke/", For.OPERATOR, {"notice_minutes": "0"}),
        Url(f"{queues}.csv", For.STAFF),
        Url(f"{queues}/", For.STAFF),
        Url(f"{grades}/progress/{world.ada.pk}/", For.LEARNER_OR_STAFF),
        Url(f"{grades}/gradebook/", For.STAFF),
        Url(f"{grades}/gradebook.csv", For.STAFF),
        Url(f"{grades}/tests.csv", For.STAFF),
        Url(f"{grades}/override/{world.ada.pk}/{HOMEWORK}/", For.STAFF, {**points}),
    ]
    names = ("history", "actions", "work", "priorities", "alerts", "graders", "graders/codes")
    for name in names:
        query = "?queue=python" if name == "history" else ""
        found += [
            Url(f"{queues}/{name}/{query}", For.STAFF),
            Url(f"{queues}/{name}.csv{query}", For.STAFF),
        ]
    # The last one, because it ends a grader's session.
    return [*found, Url("/xqueue/logout", For.ALL), Url("/xqueue/logout/", For.ALL)]
