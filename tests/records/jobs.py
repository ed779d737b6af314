"""What the processes of the race tests do."""

from __future__ import annotations

import random
import time

from tests.records.cast import COURSE, make_due, store_grade
from xqueue_bridge.records import api
from xqueue_bridge.records.sending import Outcome


def change_often(user_id: int, times: int) -> None:
    """Store one grade after the other, and enter each."""
    for number in range(times):
        store_grade(user_id, (number + 1) / 100)
        api.grade_changed(user_id, COURSE)
        time.sleep(random.uniform(0, 0.02))


def send_often(username: str, seconds: float) -> dict[str, int]:
    """Try to send a grade again and again, whatever the outbox says of its time."""
    random.seed()  # forked, it has the luck of its parent
    ends = time.monotonic() + seconds
    outcomes: dict[str, int] = {}
    while time.monotonic() < ends:
        outcome = api.send_grade(username, COURSE).outcome
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if outcome is Outcome.LATER:
            make_due(status="pending")
        time.sleep(random.uniform(0, 0.01))
    return outcomes


def enter_and_send(user_id: int, username: str) -> str:
    """What a worker does that has just heard of a grade."""
    api.grade_changed(user_id, COURSE)
    return api.send_grade(username, COURSE).outcome
