"""Each known pull grader completes its cycle against the bridge over HTTP."""

from __future__ import annotations

import io

import pytest

from tests.doubles.graders import EVERY_GRADER, PullGrader, StanfordGrader, StockWatcher
from tests.integration.conftest import ANSWER, eventually, grade_of, submit
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.api import read_state
from xqueue_bridge.data import UploadedFile

pytestmark = pytest.mark.django_db(transaction=True)

#: Seconds after which a missing grade fails the test.
PATIENCE = 60


@pytest.mark.parametrize("kind", EVERY_GRADER, ids=lambda kind: kind.__name__)
def test_grader_completes_its_cycle(kind: type[PullGrader], live_server, secret):
    """C101: login, pull, put_result and an empty queue, with the requests of each client."""
    grader = kind(live_server.url, "watcher", secret, "python")
    learners = [submit(f"key {number}") for number in range(2)]
    replies = [grader.cycle() for _ in range(3)]
    given = [reply["score"] for reply in replies[:2]]
    assert eventually(lambda: [grade_of(learner) for learner in learners] == given, PATIENCE)
    assert replies[2] is None


@pytest.mark.parametrize("kind", EVERY_GRADER, ids=lambda kind: kind.__name__)
def test_incorrect_reply_scores_zero(kind: type[PullGrader], live_server, secret):
    """C94, C101: each client's form of "not correct" leads to a score of 0."""

    def wrong(submission):
        return {"correct": False, "score": 0.25, "msg": "no"}

    learner = submit("key")
    reply = kind(live_server.url, "watcher", secret, "python", wrong).cycle()
    assert eventually(lambda: grade_of(learner) is not None, PATIENCE)
    entry = read_state(learner, PROBLEM, COURSE)["correct_map"][ANSWER]
    assert entry["correctness"] == ("correct" if reply["correct"] is True else "incorrect")
    assert entry["npoints"] == reply["score"]


def test_stock_watcher_sends_the_expected_requests(live_server, secret):
    """C62, C101: without a session: a redirect, one login with CSRF handshake, pull, put_result."""
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


def test_file_url_returns_the_content(live_server, secret):
    """C98: a plain GET of each file URL in a pulled submission returns the file's content."""
    files = (UploadedFile("main.py", io.BytesIO(b"print('hi')"), 11),)
    learner = submit("key", files=files)
    seen = {}

    def look(submission):
        seen.update(submission["downloaded"])
        return {"correct": True, "score": 1, "msg": "ok"}

    StanfordGrader(live_server.url, "watcher", secret, "python", look).cycle()
    assert seen == {"main.py": "print('hi')"}
    assert eventually(lambda: grade_of(learner) == 1, PATIENCE)


def test_rejected_result_does_not_cause_a_login(live_server, secret):
    """C85: a result with a wrong pull key is rejected without a redirect to the login."""
    submit("key")
    watcher = StockWatcher(live_server.url, "watcher", secret, "python")
    watcher.login()
    watcher.requests.clear()
    form = {"xqueue_header": '{"submission_id": 1, "submission_key": "x"}', "xqueue_body": "{}"}
    assert watcher.request("POST", "put_result/", data=form)[0] is False
    assert watcher.requests == [("POST", "put_result/", 200)]
