"""Functions that the processes of the race tests run."""

from __future__ import annotations

import random
import time

from tests.credentials.factories import COURSE, make_due, store_grade
from tests.credentials.factories import enqueue as enqueue_grade
from xqueue_bridge.credentials import api
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.credentials.send import Outcome

#: How many changes a grade may be ahead of its senders: else, on a slow machine, they would find
#: the last one only.
LEAD = 5


def change_often(user_id: int, times: int) -> None:
    """Store ``times`` grades one after the other, and enqueue each."""
    for number in range(times):
        while number - (sent_version(user_id) or 0) > LEAD:
            time.sleep(0.01)
        store_grade(user_id, (number + 1) / 100)
        enqueue_grade(user_id)
        time.sleep(random.uniform(0, 0.02))


def send_until(username: str, user_id: int, version: int) -> None:
    """Send a grade until Credentials has this version; due at once after a transient error."""
    random.seed()  # a forked process has the seed of its parent
    while sent_version(user_id) != version:
        if api.send_grade(username, COURSE).outcome is Outcome.RETRY:
            make_due(status="pending")
        time.sleep(random.uniform(0, 0.01))


def sent_version(user_id: int) -> int | None:
    """Return the version that Credentials is known to have."""
    rows = GradeOutbox.objects.filter(user_id=user_id, course_id=COURSE)
    return rows.values_list("sent_version", flat=True).first()


def enqueue_and_send(user_id: int, username: str) -> str:
    """Enqueue a grade and send it, as a worker does; return the outcome."""
    enqueue_grade(user_id)
    return api.send_grade(username, COURSE).outcome
