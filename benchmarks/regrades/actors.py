"""The learners and graders of a run, each kind in one process.

python -m benchmarks.regrades.actors ROLE FOLDER 1 [VALUES]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from benchmarks.soak.actors import TIMEOUT, Actor, Role, run


def learners(actor: Actor, number: str, seconds: str) -> None:
    """Let each of the learners send an answer every so many seconds, at random times."""
    from django.contrib.auth import get_user_model

    users = list(get_user_model().objects.order_by("pk").values_list("pk", flat=True))[
        : int(number)
    ]
    rate = len(users) / float(seconds)
    sent, due = 0, time.monotonic()
    actor.ready()
    while not (actor.stopped or actor.draining):
        due += actor.dice.expovariate(rate)
        time.sleep(max(0.0, due - time.monotonic()))
        if actor.draining:
            break
        actor.counts[_answer(actor, users[sent % len(users)], sent)] += 1
        sent += 1


def _answer(actor: Actor, user_id: int, number: int) -> str:
    from benchmarks.regrades.settings import QUEUE
    from benchmarks.regrades.world import COURSE, POINTS, PROBLEMS, waiting_state
    from tests.doubles.problem_block import problem_block
    from xqueue_bridge.learner_state import student_module as learner_state
    from xqueue_bridge.xqueue_service.api import XQueueInterface, XQueueService, make_xheader

    usage_key, queue_key = actor.dice.choice(PROBLEMS), f"live-{number}"
    block = problem_block(usage_key, user_id, POINTS)
    header = make_xheader(XQueueService(block).construct_callback(), queue_key, QUEUE)
    body = json.dumps({"student_response": str(actor.dice.randrange(3))})
    error, _ = XQueueInterface(block=block, use_submission_service=True).send_to_queue(header, body)
    if error:
        return "not sent"
    learner_state.save_fields(user_id, COURSE, usage_key, waiting_state(queue_key))
    return "sent"


def graders(
    actor: Actor, url: str, secret: str, number: str, grading_seconds: str, poll_seconds: str
) -> None:
    """Run graders that give the points that an answer names, and one more in the second regrade."""
    work = [
        threading.Thread(
            target=_grade, args=(actor, url, secret, float(grading_seconds), float(poll_seconds))
        )
        for _ in range(int(number))
    ]
    for thread in work:
        thread.start()
        time.sleep(float(poll_seconds) / len(work))  # they do not poll at the same time
    actor.ready()
    for thread in work:
        thread.join()


def _grade(actor: Actor, url: str, secret: str, grading: float, poll: float) -> None:
    import requests

    from benchmarks.regrades.settings import QUEUE
    from benchmarks.regrades.world import GRADER

    session = requests.Session()

    def call(method: str, endpoint: str, **kwargs: Any) -> dict[str, Any]:
        while not actor.stopped:
            try:
                response = session.request(
                    method, f"{url}/xqueue/{endpoint}/", timeout=TIMEOUT, **kwargs
                )
            except requests.ConnectionError:  # the web server was killed
                time.sleep(0.2)
                continue
            actor.counts[f"{endpoint} {response.status_code}"] += 1
            return response.json() if response.status_code == 200 else {"return_code": 1}
        return {"return_code": 1}

    call("POST", "login", data={"username": GRADER, "password": secret})
    while not actor.stopped:
        pulled = call("GET", "get_submission", params={"queue_name": QUEUE})
        if pulled["return_code"]:
            time.sleep(poll)
            continue
        content = json.loads(pulled["content"])
        answer = json.loads(content["xqueue_body"])["student_response"]
        points = int(answer) + (actor.folder / "second").exists()
        time.sleep(grading)
        body = json.dumps({"correct": points > 0, "score": points, "msg": f"<p>{points}</p>"})
        header = content["xqueue_header"]
        call("POST", "put_result", data={"xqueue_header": header, "xqueue_body": body})


ROLES: dict[str, Role] = {"learners": learners, "graders": graders}


if __name__ == "__main__":
    run(ROLES, *sys.argv[1:])
