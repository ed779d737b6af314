"""The loop of one grader process: pull, grade, put the result; wait while the queue is empty."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xqueue_bridge.grader.client import (
    LoginRefused,
    QueueClient,
    QueueUnavailable,
    RequestRefused,
    Submission,
    XQueueError,
)
from xqueue_bridge.grader.results import Result
from xqueue_bridge.protocol.codes import MEANINGS, Code
from xqueue_bridge.worker.backoff import backoff
from xqueue_bridge.worker.stop_signals import StopFlag

log = logging.getLogger("xqueue_bridge.grader")

Grade = Callable[[Submission], "Result | dict[str, Any]"]

#: Seconds before each further attempt to put a result; the lease is longer than their sum.
PUT_RETRY_SECONDS = (0.2, 1.0, 3.0, 10.0)
#: Failed requests in a row after which the process exits, for a supervisor to restart it.
MAX_FAILURES = 40
MAX_PAUSE = 15.0
#: Exceptions of ``grade`` in a row after which the worker pauses, because it may be broken: each
#: further submission would lose a delivery. The pause doubles up to MAX_BROKEN_PAUSE.
MAX_ERRORS = 3
MAX_BROKEN_PAUSE = 300.0
#: Seconds for which a gateway may hold a pull.
HOLD_SECONDS = 8.0


@dataclass
class Worker:
    """One process's work on some queues.

    ``on_error``: after an exception of ``grade``, "retry" sends nothing, so that the lease ends
    and the submission is delivered again, and after MAX_ERRORS in a row the worker pauses;
    "report" sends a result of 0 points whose staff note names the exception's class.
    """

    client: QueueClient
    queue_names: tuple[str, ...]
    grade: Grade
    poll_seconds: float = 1.0
    on_error: str = "retry"
    as_fraction: bool = False
    #: A worker of several ends when the process that started it is gone.
    parent_pid: int | None = None
    stop: StopFlag = field(default_factory=StopFlag)
    #: Exceptions of ``grade`` since its last result.
    errors: int = 0
    #: Whether a pull is under way, which has no submission yet.
    is_pulling: bool = False

    def run(self) -> int:
        """Work until ``stop`` is set; return an exit status: 1 after too many failures in a row."""
        # A pull that is held would delay those from the other queues.
        self.client.hold_seconds = HOLD_SECONDS if len(self.queue_names) == 1 else 0.0
        failures = 0
        while not self._should_stop():
            began = time.monotonic()
            try:
                busy = sum(
                    self._work_on(name) for name in self.queue_names if not self._should_stop()
                )
                # What a server with long-polling has waited counts as a part of the pause.
                held = time.monotonic() - began if self.client.was_held else 0.0
                failures, pause = 0, 0.0 if busy else max(self.poll_seconds - held, 0.0)
            except XQueueError as exc:
                failures += 1
                log.warning("attempt %d: %s", failures, exc)
                if failures >= MAX_FAILURES or (isinstance(exc, LoginRefused) and failures > 3):
                    log.error("stopped after %d failed attempts in a row: %s", failures, exc)
                    return 1
                # Full jitter: the processes of a class of graders must not return together.
                longest = min(MAX_PAUSE, self.poll_seconds * 2**failures)
                pause = longest * (0.5 + random.random() / 2)  # noqa: S311
            self.stop.wait(pause)
        log.info("stopped")
        return 0

    def _should_stop(self) -> bool:
        orphaned = self.parent_pid is not None and os.getppid() != self.parent_pid
        return bool(self.stop.received) or orphaned

    def _work_on(self, queue_name: str) -> bool:
        """Grade one submission of a queue; return whether there was one."""
        self.is_pulling = True
        try:
            submission = self.client.pull(queue_name)
        finally:
            self.is_pulling = False
        if submission is None:
            return False
        self._grade(submission, queue_name)
        if self.errors >= MAX_ERRORS:
            pause = backoff(self.errors - MAX_ERRORS + 1, 1.0, MAX_BROKEN_PAUSE, jitter=0)
            log.error("grade() raised %d times in a row: no pull for %d s", self.errors, pause)
            self.stop.wait(pause)
        return True

    def _grade(self, submission: Submission, queue_name: str) -> None:
        started = time.monotonic()
        reply = self._reply_to(submission)
        if reply is not None and self._put(submission, reply):
            seconds = time.monotonic() - started
            log.info("submission %s of %s graded in %.2f s", submission.id, queue_name, seconds)

    def _reply_to(self, submission: Submission) -> dict[str, object] | None:
        try:
            result = self.grade(submission)
            if isinstance(result, Result):
                reply = self._written(result, submission)
            else:
                reply = dict(result)
            self.errors = 0
            return reply
        except Exception as exc:  # the author's code; its message can quote the learner's answer
            log.error("submission %s: grade() raised %s", submission.id, type(exc).__name__)
            if self.on_error != "report":
                self.errors += 1
                return None
            note = f"The grader raised {type(exc).__name__}."
            failed = Result(score=0, message="Your answer could not be graded.", staff_note=note)
            return self._written(failed, submission)

    def _written(self, result: Result, submission: Submission) -> dict[str, object]:
        return result.to_reply(as_fraction=self.as_fraction, as_data=submission.takes_tests)

    def _put(self, submission: Submission, reply: dict[str, object]) -> bool:
        _warn_of_score(submission, reply.get("score"))
        for pause in (*PUT_RETRY_SECONDS, None):
            try:
                warnings = self.client.put_result(submission.header, reply)
            except (RequestRefused, LoginRefused) as exc:
                log.error("the result of submission %s was refused: %s", submission.id, exc)
                code = getattr(exc, "code", "")
                if code in MEANINGS:
                    log.error("%s: %s", code, MEANINGS[Code(code)].advice)
                return False
            except QueueUnavailable as exc:
                log.warning("the result of submission %s was not sent: %s", submission.id, exc)
                if pause is not None:
                    # Also while stopping: a result that exists is worth these seconds.
                    time.sleep(pause)
            else:
                for each in warnings:
                    advice = MEANINGS[each.code].advice
                    log.warning("submission %s: %s %s", submission.id, each, advice)
                return True
        return False


def _warn_of_score(submission: Submission, score: object) -> None:
    """Log that a score is above the submission's maximum; the server says so only to staff."""
    most = submission.max_score
    if most is None or not isinstance(score, int | float) or not score > most:
        return
    code = Code.SCORE_ABOVE_MAXIMUM
    text = "submission %s: %s: score %s is above the maximum score %g, which will count. %s"
    log.warning(text, submission.id, code, score, most, MEANINGS[code].advice)
