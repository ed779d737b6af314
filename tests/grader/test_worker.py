"""Worker: its loop, its retries and their bounds, on a client that is a stand-in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xqueue_bridge.grader import QueueUnavailable, RequestRefused, Result, Submission, worker

HEADER = '{"submission_id": 7, "submission_key": "k3y"}'
ANSWER = Submission(HEADER, '{"student_response": "the learner\'s work"}')
AWAY = QueueUnavailable("away")


class Queue:
    """Stands in for the client: delivers its items, and collects replies."""

    was_held = False

    def __init__(self, *items: Submission | Exception, faults: list[Exception] | None = None):
        self.items = list(items)
        self.faults = faults or []
        self.replies: list[dict[str, Any]] = []
        self.worker = worker.Worker(self, ("demo",), grade, poll_seconds=1e-9)  # type: ignore[arg-type]

    def pull(self, queue_name: str) -> Submission | None:
        if not self.items:
            self.worker.stop.set()
            return None
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def put_result(self, header: str, reply: dict[str, Any]) -> str:
        if self.faults:
            raise self.faults.pop(0)
        self.replies.append(reply)
        return ""


def grade(submission: Submission) -> Result:
    """Return a full result; raise for an answer that is not a problem's."""
    if not submission.response:
        raise LookupError(submission.body)
    return Result(score=2, max_score=2)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PUT_RETRY_SECONDS", (0,) * len(worker.PUT_RETRY_SECONDS))
    monkeypatch.setattr(worker, "MAX_PAUSE", 0.0)


def test_grades_until_stopped() -> None:
    queue = Queue(ANSWER, ANSWER)
    assert queue.worker.run() == 0
    assert [reply["score"] for reply in queue.replies] == [2, 2]


def test_no_further_queue_is_pulled_from_after_the_stop() -> None:
    queue = Queue(ANSWER, ANSWER)
    queue.worker.queue_names = ("demo", "other")

    def grade_last(submission: Submission) -> Result:
        queue.worker.stop.set()
        return grade(submission)

    queue.worker.grade = grade_last
    assert queue.worker.run() == 0
    assert len(queue.replies) == len(queue.items) == 1


def test_result_is_sent_again_while_the_server_is_unavailable() -> None:
    queue = Queue(ANSWER, faults=[AWAY] * len(worker.PUT_RETRY_SECONDS))
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1


def test_attempts_to_send_a_result_are_bounded() -> None:
    queue = Queue(ANSWER, faults=[AWAY] * 100)
    assert queue.worker.run() == 0
    assert len(queue.faults) == 100 - len(worker.PUT_RETRY_SECONDS) - 1


def test_refused_result_is_not_sent_again() -> None:
    queue = Queue(ANSWER, faults=[RequestRefused("Incorrect key for submission")])
    assert queue.worker.run() == 0
    assert (queue.faults, queue.replies) == ([], [])


def test_answer_that_cannot_be_graded_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(Submission(HEADER, "no json: the learner's work"), ANSWER)
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1
    assert "submission 7: grade() raised LookupError" in caplog.text
    assert "k3y" not in caplog.text
    assert "learner's work" not in caplog.text


def test_unavailable_server_is_polled_again() -> None:
    queue = Queue(*[AWAY] * (worker.MAX_FAILURES - 1), ANSWER)
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1


def test_failed_polls_are_bounded() -> None:
    queue = Queue(*[AWAY] * 1000)
    assert queue.worker.run() == 1
    assert len(queue.items) == 1000 - worker.MAX_FAILURES


@pytest.mark.parametrize(
    ("score", "most", "warned"),
    [
        (2, 1, True),
        (10**400, 1, True),
        (True, 0, True),
        (2, 2, False),
        (2, None, False),
        (float("nan"), 1, False),
        ("2", 1, False),
        (None, 1, False),
    ],
)
def test_score_above_the_maximum_is_logged(score, most, warned, caplog) -> None:
    """C95: also of a plain reply; what is no number is left to the server's refusal."""
    queue = Queue(replace(ANSWER, max_score=most))
    queue.worker.grade = lambda submission: {"correct": True, "score": score}
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1
    assert ("score_above_maximum" in caplog.text) is warned


BROKEN = Submission(HEADER, "{}")


def test_worker_that_is_broken_pauses(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """Kind 10: it does not take a delivery of each waiting submission; the pause doubles."""
    queue = Queue(*[BROKEN] * 6, ANSWER, *[BROKEN] * 3)
    pauses: list[float] = []
    monkeypatch.setattr(type(queue.worker.stop), "wait", lambda self, pause: pauses.append(pause))
    assert queue.worker.run() == 0
    assert [pause for pause in pauses if pause >= 1] == [1, 2, 4, 8, 1]
    assert "grade() raised 4 times in a row: no pull for 2 s" in caplog.text
    queue.worker.errors = 10_000
    queue.items = [BROKEN]
    queue.worker._work_on("demo")
    assert pauses[-1] == worker.MAX_BROKEN_PAUSE


def test_worker_that_reports_errors_does_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(*[BROKEN] * 6)
    queue.worker.on_error = "report"
    pauses: list[float] = []
    monkeypatch.setattr(type(queue.worker.stop), "wait", lambda self, pause: pauses.append(pause))
    assert queue.worker.run() == 0
    assert len(queue.replies) == 6
    assert max(pauses) < 1


@pytest.mark.parametrize(
    ("body", "entered"),
    [
        ('{"student_response": null}', ""),
        ("{}", ""),
        ("null", ""),
        ('{"student_response": 5}', "5"),
        ("[" * 100_000, ""),
        ('{"student_response": NaN}', "nan"),
    ],
)
def test_response_of_any_body_is_text(body: str, entered: str) -> None:
    """Kind 5: a body without a text as the answer is no error."""
    assert Submission(HEADER, body).response == entered
    assert Submission("[" * 100_000, body).id == "?"


@pytest.mark.parametrize(("was_held", "seconds"), [(True, 0.7), (False, 1.0)])
def test_wait_of_a_server_with_long_polling_is_a_part_of_the_pause(
    monkeypatch, was_held, seconds
) -> None:
    """A server that says it has held the request, but has not, is polled no more often."""
    queue = Queue()
    queue.was_held = was_held
    queue.worker.poll_seconds = 1.0
    pauses: list[float] = []
    times = iter((10.0, 10.3))
    monkeypatch.setattr(worker.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(queue.worker.stop, "wait", pauses.append)
    queue.worker.run()
    assert pauses == [pytest.approx(seconds)]
