"""Pulls, grades, answers; waits when there is nothing, and stops when asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from demo.grader.client import LoginRefused, Pulled, RequestRefused, XQueueClient, XQueueError
from demo.grader.grading import GradingError, grade
from xqueue_bridge.worker.stop_signals import StopFlag

log = logging.getLogger("demo.grader")

#: Seconds before each further try of handing in a reply; the lease is longer than their sum.
PUT_AGAIN_AFTER = (0.2, 1, 3, 10)
#: How many failures in a row end the program, for a supervisor to start it anew.
MAX_FAILURES = 40
MAX_PAUSE = 15.0


class Worker:
    """One grader of some queues."""

    def __init__(
        self,
        client: XQueueClient,
        queue_names: Sequence[str],
        poll: float,
        stop: StopFlag | None = None,
    ) -> None:
        self.client = client
        self.queue_names = queue_names
        self.poll = poll
        self._stop = stop or StopFlag()

    def run(self) -> int:
        """Work until stopped; return the program's exit status."""
        failures = 0
        while not self._stop.received:
            try:
                busy = [self._one(queue_name) for queue_name in self.queue_names]
                failures, pause = 0, 0.0 if any(busy) else self.poll
            except XQueueError as exc:
                failures += 1
                log.warning("%s", exc)
                if failures >= MAX_FAILURES:
                    log.error("giving up after %d failures in a row", failures)
                    return 1
                pause = min(MAX_PAUSE, self.poll * 2**failures)
            self._stop.wait(pause)
        log.info("stopped")
        return 0

    def stop(self) -> None:
        """End after the submission that is being graded."""
        self._stop.set()

    def _one(self, queue_name: str) -> bool:
        """Grade one submission of a queue; return whether there was one."""
        pulled = self.client.get_submission(queue_name)
        if pulled is None:
            return False
        started = time.monotonic()
        try:
            files = {name: self.client.download(url) for name, url in pulled.files.items()}
            reply = grade(pulled.body, files)
        except (GradingError, XQueueError) as exc:
            # No reply: its lease will end, and the queue says when enough is enough.
            log.error("submission %s is left ungraded: %s", pulled.submission_id, exc)
            return True
        self._hand_in(pulled, reply)
        log.info("submission %s graded in %.2f s", pulled.submission_id, time.monotonic() - started)
        return True

    def _hand_in(self, pulled: Pulled, reply: dict) -> None:
        for pause in (*PUT_AGAIN_AFTER, None):
            try:
                return self.client.put_result(pulled.header, reply)
            except (RequestRefused, LoginRefused) as refusal:
                log.error("the reply to submission %s: %s", pulled.submission_id, refusal)
                return None
            except XQueueError as exc:
                log.warning("the reply to submission %s: %s", pulled.submission_id, exc)
                if pause is not None:
                    # Not _stop.wait(): StopSignals gives a reply that exists these seconds.
                    time.sleep(pause)
        return None
