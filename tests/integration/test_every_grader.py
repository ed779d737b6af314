"""Each pull grader in the field completes its cycle against us, unchanged, over real HTTP."""

from __future__ import annotations

import io

import pytest

from tests.doubles.graders import EVERY_GRADER, PullGrader, StanfordGrader, StockWatcher
from tests.integration.conftest import ANSWER, eventually, grade_of, submit
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.learner_state.api import read_state

pytestmark = pytest.mark.django_db(transaction=True)

#: Seconds after which a grade that has not come counts as lost.
PATIENCE = 60


@pytest.mark.parametrize("kind", EVERY_GRADER, ids=lambda kind: kind.__name__)
def test_it_grades(kind: type[PullGrader], live_server, secret):
    """C101: login, pull, put and an empty queue, with the habits of each known client."""
    grader = kind(live_server.url, "watcher", secret, "python")
    learners = [submit(f"key {number}") for number in range(2)]
    replies = [grader.cycle() for _ in range(3)]
    given = [reply["score"] for reply in replies[:2]]
    assert eventually(lambda: [grade_of(learner) for learner in learners] == given, PATIENCE)
    assert replies[2] is None


@pytest.mark.parametrize("kind", EVERY_GRADER, ids=lambda kind: kind.__name__)
def test_wrong_answers_are_wrong(kind: type[PullGrader], live_server, secret):
    """C94, C101: nobody's way of saying "not correct" is taken for correct."""

    def wrong(submission):
        return {"correct": False, "score": 0.25, "msg": "no"}

    learner = submit("key")
    reply = kind(live_server.url, "watcher", secret, "python", wrong).cycle()
    assert eventually(lambda: grade_of(learner) is not None, PATIENCE)
    entry = read_state(learner, PROBLEM, COURSE)["correct_map"][ANSWER]
    assert entry["correctness"] == ("correct" if reply["correct"] is True else "incorrect")
    assert entry["npoints"] == reply["score"]


def test_the_stock_watchers_trace(live_server, secret):
    """C62, C101: from cold, a redirect, one login with handshake, then pull and put."""
    learner = submit("key")
    watcher = StockWatcher(live_server.url, "watcher", secret, "python")
    watcher.cycle()
    assert eventually(lambda: grade_of(learner) == 1, PATIENCE)
    assert watcher.requests == [
        ("GET", "get_submission/", 302),
        ("GET", "login/", 200),
        ("POST", "login/", 200),
        ("GET", "get_submission/", 200),
        ("POST", "put_result/", 200),
    ]


def test_files_are_downloaded(live_server, secret):
    """C98: the addresses that a grader is handed bring the files' content by a plain GET."""
    files = (UploadedFile("main.py", io.BytesIO(b"print('hi')"), 11),)
    learner = submit("key", files=files)
    seen = {}

    def look(submission):
        seen.update(submission["downloaded"])
        return {"correct": True, "score": 1, "msg": "ok"}

    StanfordGrader(live_server.url, "watcher", secret, "python", look).cycle()
    assert seen == {"main.py": "print('hi')"}
    assert eventually(lambda: grade_of(learner) == 1, PATIENCE)


def test_a_wrong_key_costs_no_login(live_server, secret):
    """C85: a refused result is an answer, not a reason to log in again."""
    submit("key")
    watcher = StockWatcher(live_server.url, "watcher", secret, "python")
    watcher.login()
    watcher.requests.clear()
    form = {"xqueue_header": '{"submission_id": 1, "submission_key": "x"}', "xqueue_body": "{}"}
    assert watcher.request("POST", "put_result/", data=form)[0] is False
    assert watcher.requests == [("POST", "put_result/", 200)]
