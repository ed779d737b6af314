"""Count what a submission passes: functions, files and statements of four walks, on SQLite.

    python -m benchmarks.walks

Functions are those of ``xqueue_bridge`` that are called at least once, without lambdas and
comprehensions. A move is a call whose function is in another file than that of the call before.
Statements are without BEGIN, COMMIT and savepoints. Each walk is made once before it is counted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

from benchmarks.command import set_up

Step: TypeAlias = Callable[[int], object]

PACKAGE = str(Path(__file__).resolve().parent.parent / "xqueue_bridge") + os.sep
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass
class Walk:
    """What was called during one walk."""

    calls: list[CodeType] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def profile(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<":
            self.calls.append(code)

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """Calls, functions, files, moves between files, and statements."""
        files = [code.co_filename for code in self.calls]
        moves = sum(one != other for one, other in pairwise(files))
        written = [sql for sql in self.statements if not sql.startswith(_CONTROL)]
        return len(files), len(set(self.calls)), len(set(files)), moves, len(written)


def main() -> None:
    set_up("sqlite")
    from benchmarks.database import a_database

    _configure()
    with a_database():
        walks = _walks()
        for learner in range(3):  # the learners whose walks fill the caches, and the one counted
            counted = {name: _counted(*walk, learner) for name, walk in walks.items()}
        _expect(_outbox_rows(), 3 * 2)
        print(f"{'walk':34}{'calls':>7}{'functions':>11}{'files':>7}{'moves':>7}{'statements':>12}")
        for name, walk in counted.items():
            calls, functions, files, moves, statements = walk.figures
            print(f"{name:34}{calls:7}{functions:11}{files:7}{moves:7}{statements:12}")
        if "--list" in sys.argv:
            _list(counted)


def _list(walks: dict[str, Walk]) -> None:
    for name, walk in walks.items():
        print(f"\n{name}")
        for code in dict.fromkeys(walk.calls):
            print(f"  {code.co_filename.removeprefix(PACKAGE)}:{code.co_qualname}")
        for sql in walk.statements:
            print(f"  {sql[:110]}")


def _configure() -> None:
    from django.conf import settings

    settings.DATABASE_ROUTERS = []  # the default; the tests use two
    settings.XQUEUE_BRIDGE = {
        "BACKGROUND_THREAD": False,  # the profiler follows this thread only
        "CREDENTIALS": {
            "URL": "https://credentials.example.com/api/v2",
            "TOKEN_URL": "https://lms.example.com/oauth2/access_token",
            "CLIENT_ID": "id",
            "CLIENT_SECRET": "secret",
        },
    }


def _walks() -> dict[str, tuple[Step, Step]]:
    """Return by name what prepares a walk, and the walk; both take the number of a learner."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.utils import timezone

    from tests.grader_replies.factories import make_state, waiting_state
    from tests.submission_queue.factories import COURSE, PROBLEM, make_grader, new_submission
    from xqueue_bridge.course_structure import api as course_structure
    from xqueue_bridge.course_structure.policy import parse_policy
    from xqueue_bridge.submission_queue import api as queue

    blocks = (course_structure.Block(PROBLEM, "problem", max_score=1.0),)
    homework = course_structure.Subsection(
        COURSE.make_usage_key("sequential", "h"), "H", "Homework", graded=True, blocks=blocks
    )
    chapter = course_structure.Chapter(COURSE.make_usage_key("chapter", "c"), "C", (homework,))
    grader = {"type": "Homework", "min_count": 1, "drop_count": 0, "weight": 1.0}
    policy = parse_policy({"GRADER": [grader], "GRADE_CUTOFFS": {"Pass": 0.5}})
    course_structure.publish(
        course_structure.Course(COURSE, "1", timezone.now(), None, policy, (chapter,))
    )
    client = make_grader()
    users = get_user_model().objects
    learners = [users.create_user(f"learner{n}").pk for n in range(6)]
    leases: list[Any] = []

    def enqueue(number: int) -> None:
        queue.enqueue(new_submission(user_id=learners[number], queue_key=f"key-{number}"))

    def pull(number: int) -> None:
        leases.append(client.pull())

    def save(number: int) -> None:
        make_state(learners[number], waiting_state(a_2_1=f"key-{number}"), usage_key=PROBLEM)

    def save_legacy(number: int) -> None:
        state = waiting_state(a_2_1=f"legacy-{number}")
        make_state(learners[3 + number], state, usage_key=PROBLEM)

    def put_result(number: int) -> None:
        _expect(client.put(leases[-1].header)["return_code"], 0)

    def callback(number: int) -> None:
        learner, key = learners[3 + number], f"legacy-{number}"
        header = json.dumps({"lms_key": key, "queue_name": "python"})
        body = json.dumps({"correct": True, "score": 1, "msg": "<p>ok</p>"})
        path = f"/courses/{COURSE}/xqueue/{learner}/{PROBLEM}/score_update"
        form = {"xqueue_header": header, "xqueue_body": body}
        _expect(Client().post(path, form).status_code, 200)

    return {
        "answer to row": (_nothing, enqueue),
        "get_submission": (save, pull),
        "put_result to outbox row": (_nothing, put_result),
        "legacy callback to outbox row": (save_legacy, callback),
    }


def _outbox_rows() -> int:
    """Count where the two walks of each learner pair have ended; one that broke off has no row."""
    from xqueue_bridge.credentials.models import GradeOutbox

    return GradeOutbox.objects.count()


def _nothing(number: int) -> None:
    """Prepare nothing."""


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise RuntimeError(f"the walk ended with {found} instead of {wanted}")


def _counted(prepare: Step, walk: Step, learner: int) -> Walk:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    prepare(learner)
    found = Walk()
    connection.queries_log.clear()  # it is of limited length
    with CaptureQueriesContext(connection) as queries:
        sys.setprofile(found.profile)
        try:
            walk(learner)
        finally:
            sys.setprofile(None)
    found.statements = [query["sql"] for query in queries]
    return found


if __name__ == "__main__":
    main()
