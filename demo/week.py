"""A week of history for the demo: classmates with grades, a slow queue, and a grader that fails.

Everything goes through the bridge, as in a live site; afterwards the times are moved back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Max
from django.utils import timezone

from demo import runtime, users
from demo.course import OLX, course
from xqueue_bridge.exceptions import RequestRefused
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.models import (
    Grader,
    QueueSample,
    ReceivedReply,
    StudentModule,
    StudentModuleHistory,
    StudentModuleHistoryExtended,
    Submission,
)
from xqueue_bridge.operations import course_team
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.results import put_result

SLOW, FAILING = "slow", "failing"
#: Queue -> the grader account of the demo that may use it.
GRADERS = {SLOW: "slow-grader", FAILING: "failing-grader"}
CLASSMATES = 24
#: Problems that every classmate has answered; the first is regraded.
ANSWERED = ("fizzbuzz", "triangle")
#: Classmates whose answers wait in the slow queue, and in the queue whose grader fails.
WAITING_SLOWLY, REFUSED = 8, 6
WEEK = timedelta(days=7)
SAMPLES: dict[str, Any] = json.loads((Path(OLX) / "samples.json").read_text(encoding="utf-8"))
SHARES = {"right": 1.0, "partial": 0.5, "wrong": 0.0, "broken": 0.0}
FEEDBACK = {
    1.0: "<p>All tests passed.</p>",
    0.5: "<p>Half of the tests passed.</p>",
    0.0: "<p>No test passed: compare the expected output with yours.</p>",
}


def seed_week(grader_name: str, queue_name: str) -> bool:
    """Store the week, once; return whether it was stored now. Takes a few seconds."""
    if User.objects.filter(username__startswith=users.CLASSMATE).exists():
        return False
    people = users.create_classmates(CLASSMATES)
    for name, account in GRADERS.items():
        submission_queue.create_grader(account, [name])
    kinds = cycle(("right", "right", "partial", "wrong", "right"))
    for url_name in ANSWERED:
        for person in people:
            submit(person, url_name, next(kinds))
    _grade_all(Grader.objects.get(name=grader_name), queue_name)
    _move_back()
    _stick(people[:2])
    _refuse(people[:REFUSED])
    _wait_slowly(people[-WAITING_SLOWLY:])
    _take_samples((queue_name, SLOW, FAILING))
    team = User.objects.get(username=users.TEAM)
    fizzbuzz = regrading.Selection(course().key, usage_key=_key(ANSWERED[0]))
    options = regrading.RegradeOptions(per_minute=6)
    course_team.start_regrade(fizzbuzz, options, author_id=team.pk)
    return True


def _key(url_name: str) -> Any:
    return course().by_url_name(url_name).usage_key


def submit(person: User, url_name: str, kind: str) -> Submission:
    """Submit a sample answer of a learner; return the submission."""
    known = SAMPLES[url_name]
    sample = known.get(kind) or known["wrong"]
    key = _key(url_name)
    outcome = runtime.submit(runtime.load_block(person.pk, key.context_key, key), sample["answers"])
    if not outcome.ok:
        raise RuntimeError(outcome.message)
    return Submission.objects.latest("pk")


def _grade_all(grader: Grader, queue_name: str) -> None:
    """Pull and grade the queue as its grader; the scores follow from the answers."""
    principal = Principal(grader.pk, 0, frozenset({queue_name}))
    while pulled := queue.pull(queue_name, grader.pk):
        share = _share(pulled.body)
        worth = sum(pulled.points.values()) or 1
        reply = {
            "correct": share == 1,
            "score": share * worth,
            "msg": FEEDBACK[share],
            "tests": [
                {"name": "examples", "score": share * worth / 2, "max_score": worth / 2},
                {
                    "name": "large input",
                    "score": share * worth / 2,
                    "max_score": worth / 2,
                    "visible": False,
                },
            ],
            "staff_note": "Ran in 0.1 s.",
        }
        put_result(principal, _fields(pulled, json.dumps(reply)))
    grader_replies.apply_due(1000)


def _share(body: str) -> float:
    """Return the share of the points that a sample answer earns."""
    text = json.loads(body)["student_response"]
    for known in SAMPLES.values():
        for kind, sample in known.items():
            if text in sample.get("answers", ()):
                return SHARES[kind]
    return 0.0


def _fields(pulled: Any, body: str) -> dict[str, str]:
    header = {"submission_id": pulled.submission_id, "submission_key": pulled.pullkey}
    return {"xqueue_header": json.dumps(header), "xqueue_body": body}


def _move_back() -> None:
    """Spread the graded submissions over the week, with their replies, states and history."""
    rows = list(Submission.objects.order_by("pk"))
    begin = timezone.now() - WEEK
    for number, row in enumerate(rows):
        sent = begin + (number + 1) * WEEK / (len(rows) + 1)
        leased = sent + timedelta(seconds=3 + number * 7 % 40)
        done = leased + timedelta(seconds=1 + number * 3 % 9)
        Submission.objects.filter(pk=row.pk).update(
            created_at=sent, leased_at=leased, finished_at=done
        )
        ReceivedReply.objects.filter(submission=row.pk).update(received_at=done, applied_at=done)
        block = {"student_id": row.user_id, "module_state_key": row.usage_key}
        StudentModule.objects.filter(**block).update(created=sent, modified=done)
        for history in (StudentModuleHistory, StudentModuleHistoryExtended):
            history.objects.filter(**block).exclude(reason="reply").update(created=sent)
            history.objects.filter(**block, reason="reply").update(created=done)


def _stick(people: Sequence[User]) -> None:
    """Let one answer wait for a submission that is gone, and one for a reply that was applied."""
    lost = submit(people[0], "caesar", "right")
    Submission.objects.filter(pk=lost.pk).delete()
    applied = submit(people[1], "caesar", "right")
    waiting = StudentModule.objects.get(student=people[1], module_state_key=_key("caesar"))
    grader = Grader.objects.get(name=GRADERS[SLOW])
    Submission.objects.filter(pk=applied.pk).update(queue_name=SLOW)
    _grade_all(grader, SLOW)
    hours_ago = timezone.now() - timedelta(hours=3)
    rows = StudentModule.objects.filter(student__in=people, module_state_key=_key("caesar"))
    StudentModule.objects.filter(pk=waiting.pk).update(state=waiting.state)
    rows.update(modified=hours_ago)


def _refuse(people: Sequence[User]) -> None:
    """Let a grader return what is not a result, until the bridge pauses it."""
    ids = [submit(person, "primes", "wrong").pk for person in people]
    Submission.objects.filter(pk__in=ids).update(queue_name=FAILING)
    grader = Grader.objects.get(name=GRADERS[FAILING])
    principal = Principal(grader.pk, 0, frozenset({FAILING}))
    for _ in people:
        pulled = queue.pull(FAILING, grader.pk)
        if pulled is None:
            break
        try:
            put_result(principal, _fields(pulled, '{"correct": "maybe", "score": "?"}'))
        except RequestRefused:
            continue
    Grader.objects.update(last_seen_at=timezone.now())


def _wait_slowly(people: Sequence[User]) -> None:
    ids = [submit(person, "primes", "right").pk for person in people]
    Submission.objects.filter(pk__in=ids).update(queue_name=SLOW)


def _take_samples(queue_names: Sequence[str]) -> None:
    """Store a sample of each queue and minute of the last day, with more work in the afternoon."""
    last = (timezone.now() - timedelta(minutes=1)).replace(second=0, microsecond=0)
    newest = Submission.objects.aggregate(newest=Max("pk"))["newest"] or 0
    samples: list[QueueSample] = []
    for number, name in enumerate(queue_names):
        samples += _samples_of(name, 1 / (1 + 2 * number), last, newest)
    QueueSample.objects.bulk_create(samples, batch_size=500, ignore_conflicts=True)


def _samples_of(name: str, busy: float, last: datetime, newest: int) -> Iterator[QueueSample]:
    minutes = 24 * 60
    received = answered = failed = 0.0
    for minute in range(minutes + 1):
        # Two waves a day; never below nothing.
        wave = 1 + math.sin(minute / minutes * 4 * math.pi)
        received += busy * wave
        lag = 0.02 if name == SLOW else 0.0
        failed += busy * wave * (0.3 if name == FAILING else 0.01)
        answered = max(answered, received * (1 - lag) - failed)
        waiting = max(round(received - answered - failed), 0)
        yield QueueSample(
            minute=last - timedelta(minutes=minutes - minute),
            queue_name=name,
            received_total=int(received),
            answered_total=int(answered),
            failed_total=int(failed),
            grading_seconds_total=answered * (20 if name == SLOW else 4),
            waiting_seconds_total=answered * (90 if name == SLOW else 6),
            waiting=waiting,
            leased=1,
            oldest_seconds=waiting * 20.0 if waiting else None,
            pending_replies=0,
            graders=1,
            paused_graders=int(name == FAILING and minute > minutes - 60),
            grader_seen_seconds=1.0,
            last_submission_id=newest,
        )
