"""A course is switched forth and back during a load of submissions; then each has one grade.

    python -m benchmarks.flip --database postgres

Learners submit in threads, graders of both sides answer: ours over HTTP, and those of a stand-in
for a legacy XQueue server, which posts to the callback URL. Exits with 1 if a submission has no
grade, or more than one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.command import argument_parser, set_up

#: Seconds for everything that is still open when the last answer is submitted.
DRAIN_SECONDS = 300
LEARNER_THREADS, GRADER_THREADS = 4, 2
#: Times that the stand-in posts a result that the LMS does not take.
CALLBACK_ATTEMPTS = 20
QUEUE = "python"


@dataclass
class Run:
    """One load: where the site listens, how much is submitted, and what has happened."""

    url: str
    secret: str
    grader: str
    submissions: int
    flips: int
    stop: threading.Event = field(default_factory=threading.Event)
    sent: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.sent[what] += 1


def run(load: Run, legacy: Any) -> list[str]:
    """Run the load against the site and the stand-in ``legacy``; return what is violated."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    learners = [users.create(username=f"learner {n}").pk for n in range(load.submissions)]
    jobs: list[Callable[[], None]] = [lambda: _flip(load), lambda: _sweep(load)]
    for number in range(LEARNER_THREADS):
        jobs.append(lambda part=learners[number::LEARNER_THREADS]: _learn(load, part))
    for number in range(GRADER_THREADS):
        jobs.append(lambda: _grade_here(load))
        jobs.append(lambda part=number: _grade_there(load, legacy, part))
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = [pool.submit(_closing, job) for job in jobs]
        try:
            _wait_until_graded(load, learners, futures)
        finally:
            load.stop.set()
    for future in futures:
        future.result()
    return violations(load, learners)


def violations(load: Run, learners: list[int]) -> list[str]:
    """Return a line for each submission without exactly one grade, and for what did not happen."""
    from django.db.models import Count, Q

    from tests.doubles.problem_block import USAGE_KEY
    from tests.submission_queue.factories import COURSE
    from xqueue_bridge.learner_state import student_module as learner_state
    from xqueue_bridge.submission_queue.models import Submission

    applied = Count("replies", filter=Q(replies__status="applied"))
    rows = Submission.objects.annotate(applied=applied)
    grades = Counter(dict.fromkeys(learners, 0))
    by_side: Counter[str] = Counter()
    for user_id, transport, number in rows.values_list("user_id", "transport", "applied"):
        grades[user_id] += number
        by_side[transport] += 1
    load.sent.update(by_side)
    found = [f"learner {user}: {n} grades" for user, n in grades.items() if n != 1]
    for user in learners:
        score = learner_state.read_score(user, USAGE_KEY, COURSE)
        if score is None or score.earned != 1:
            found.append(f"learner {user}: no score")
    if load.sent["flip"] != load.flips:
        found.append(f"{load.sent['flip']} flips instead of {load.flips}")
    if not (by_side["table"] and by_side["legacy"]):
        found.append(f"one side got nothing: {dict(by_side)}")
    return found


def _learn(load: Run, learners: list[int]) -> None:
    """Send each learner's answer by the course's transport, and save the waiting state."""
    from tests.doubles.problem_block import USAGE_KEY, problem_block
    from tests.integration.conftest import waiting_state
    from tests.submission_queue.factories import COURSE
    from xqueue_bridge.learner_state import student_module as learner_state
    from xqueue_bridge.xqueue_service.api import XQueueInterface, XQueueService, make_xheader

    for user_id in learners:
        key = f"key of {user_id}"
        block = problem_block(USAGE_KEY, user_id, 1)
        header = make_xheader(XQueueService(block).construct_callback(), key, QUEUE)
        error, msg = XQueueInterface(block=block).send_to_queue(header, '{"student_response": "1"}')
        if error:
            raise RuntimeError(f"not sent: {msg}")
        learner_state.save_fields(user_id, COURSE, USAGE_KEY, waiting_state(key))
        load.count("answer")


def _flip(load: Run) -> None:
    """Switch the course at equal distances of the load."""
    from tests.submission_queue.factories import COURSE
    from xqueue_bridge.xqueue_service.models import TransportOverride

    for number in range(1, load.flips + 1):
        due = load.submissions * number // (load.flips + 1)
        while load.sent["answer"] < due and not load.stop.wait(0.005):
            pass
        TransportOverride.objects.update_or_create(
            scope="course", name=str(COURSE), defaults={"use_submissions_table": bool(number % 2)}
        )
        load.count("flip")


def _grade_here(load: Run) -> None:
    """Pull from the submissions table and post results, as xqueue-watcher does."""
    import requests

    session = requests.Session()

    def call(method: str, endpoint: str, **kwargs: Any) -> dict[str, Any]:
        url = f"{load.url}/xqueue/{endpoint}/"
        return session.request(method, url, timeout=60, **kwargs).json()

    call("POST", "login", data={"username": load.grader, "password": load.secret})
    while not load.stop.is_set():
        pulled = call("GET", "get_submission", params={"queue_name": QUEUE})
        if pulled["return_code"]:
            load.stop.wait(0.02)
            continue
        header = json.loads(pulled["content"])["xqueue_header"]
        call("POST", "put_result", data={"xqueue_header": header, "xqueue_body": _reply()})


def _grade_there(load: Run, legacy: Any, part: int) -> None:
    """Answer this grader's part of the stand-in's submissions; post each until it is taken."""
    number = part
    while not load.stop.is_set():
        if number >= len(legacy.items):
            load.stop.wait(0.02)
            continue
        for _attempt in range(CALLBACK_ATTEMPTS):
            if legacy.answer(legacy.items[number], _reply(), via=load.url).status_code == 200:
                break
            load.count("callback repeated")
            load.stop.wait(0.05)
        number += GRADER_THREADS


def _reply() -> str:
    return json.dumps({"correct": True, "score": 1, "msg": "<p>graded</p>"})


def _sweep(load: Run) -> None:
    from xqueue_bridge.tasks import sweep

    while not load.stop.wait(0.5):
        sweep()


def _wait_until_graded(load: Run, learners: list[int], futures: list[Any]) -> None:
    from xqueue_bridge.grader_replies.models import ReceivedReply

    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        failed = [each for each in futures if each.done() and each.exception()]
        applied = ReceivedReply.objects.filter(status="applied").count()
        if failed or (applied >= len(learners) and load.sent["answer"] == len(learners)):
            return
        time.sleep(0.1)


def _closing(job: Callable[[], None]) -> None:
    from django.db import connections

    try:
        job()
    finally:
        connections.close_all()


@contextmanager
def _site() -> Iterator[str]:
    """Serve this process's Django on a free port, one thread for each connection."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--submissions", type=int, default=500)
    parser.add_argument("--flips", type=int, default=20)
    wanted = parser.parse_args()
    set_up(wanted.database)
    from django.test import override_settings

    from benchmarks.database import a_database
    from tests.doubles import xqueue_server
    from xqueue_bridge.submission_queue import api as submission_queue

    with a_database(), _site() as url, xqueue_server.running() as legacy:
        legacy.queues.add(QUEUE)
        interface = {"url": legacy.url, "django_auth": legacy.auth}
        with override_settings(XQUEUE_INTERFACE=interface):
            secret = submission_queue.create_grader("flip", [QUEUE])
            load = Run(url, secret, "flip", wanted.submissions, wanted.flips)
            started = time.monotonic()
            found = run(load, legacy)
        print(f"{wanted.database}: {time.monotonic() - started:.0f} s, {dict(load.sent)}")
    print("\n".join(found) or "every submission has exactly one grade")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
