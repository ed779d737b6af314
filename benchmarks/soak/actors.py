"""The processes of a run. Each works until the file ``stop`` exists in the run's folder.

    python -m benchmarks.soak.actors ROLE FOLDER SEED [URL SECRET]

Roles: web, learner, grader, staff. Each appends its counts to FOLDER/ROLE-SEED.json at its end.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TIMEOUT = 30
SECONDS_BETWEEN_ANSWERS = 0.05

#: What an actor does; it gets the actor, and the role's own arguments.
Role = Callable[..., None]


class Actor:
    """One process: its folder, its random numbers and what it counts."""

    def __init__(self, folder: Path, role: str, seed: str) -> None:
        self.folder = folder
        self.name = f"{role}-{seed}"
        self.dice = random.Random(seed)  # noqa: S311
        self.counts: Counter[str] = Counter()

    def ready(self) -> None:
        """Report that this process works; the run's time begins when all do."""
        (self.folder / f"ready-{self.name}").touch()

    def save(self) -> None:
        """Write the counts, completely or not at all."""
        path = self.folder / f"{self.name}.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.counts))
        new.replace(path)

    @property
    def stopped(self) -> bool:
        return (self.folder / "stop").exists()

    @property
    def draining(self) -> bool:
        """Learners and staff have stopped, and graders answer everything correctly."""
        return (self.folder / "drain").exists()


def learner(actor: Actor) -> None:
    """Send answers, half of them followed by a corrected one, and save the waiting state."""
    from django.contrib.auth import get_user_model

    users = list(get_user_model().objects.values_list("pk", flat=True))
    number = 0
    actor.ready()
    while not (actor.stopped or actor.draining):
        user_id = actor.dice.choice(users)
        if (actor.folder / f"retired-{user_id}").exists():
            continue
        number += 1
        _answer(actor, user_id, f"{os.getpid()}-{number}")
        time.sleep(actor.dice.random() * 2 * SECONDS_BETWEEN_ANSWERS)


def _answer(actor: Actor, user_id: int, queue_key: str) -> None:
    from benchmarks.soak.settings import QUEUE
    from benchmarks.soak.world import COURSE, POINTS, PROBLEMS
    from tests.doubles.problem_block import problem_block
    from xqueue_bridge.exceptions import XQueueBridgeError
    from xqueue_bridge.learner_state import student_module as learner_state
    from xqueue_bridge.xqueue_service.api import XQueueInterface, XQueueService, make_xheader

    usage_key = actor.dice.choice(PROBLEMS)
    block = problem_block(usage_key, user_id, POINTS)
    header = make_xheader(XQueueService(block).construct_callback(), queue_key, QUEUE)
    body = json.dumps({"student_response": "x" * actor.dice.randrange(2000)})
    error, _ = XQueueInterface(block=block, use_submission_service=True).send_to_queue(header, body)
    if error:
        actor.counts["not sent"] += 1
        return
    entry = {
        "correctness": "incomplete",
        "queuestate": {"key": queue_key, "time": "20260101000000"},
    }
    state = {"correct_map": {"a_2_1": entry}, "score": {"raw_earned": 0, "raw_possible": POINTS}}
    try:
        learner_state.save_fields(user_id, COURSE, usage_key, state)
    except XQueueBridgeError:
        actor.counts["state not saved"] += 1  # the learner was retired meanwhile
    else:
        actor.counts["sent"] += 1


def staff(actor: Actor) -> None:
    """Reset attempts, delete states, publish the course, and retire learners."""
    from django.contrib.auth import get_user_model

    from benchmarks.soak.world import COURSE, PROBLEMS, publish_course
    from xqueue_bridge import deletion, retirement

    users = list(get_user_model().objects.values_list("pk", flat=True))
    version = 0
    actor.ready()
    while not (actor.stopped or actor.draining):
        user_id, problem = actor.dice.choice(users), actor.dice.choice(PROBLEMS)
        action = actor.dice.choices(["reset", "delete", "publish", "retire"], [40, 40, 4, 1])[0]
        if action == "reset":
            deletion.reset_attempts(user_id, COURSE, problem)
        elif action == "delete":
            deletion.delete_state(user_id, COURSE, problem)
        elif action == "publish":
            version += 1
            publish_course(version)
        else:
            # Learners' processes no longer answer for this learner, as if the account were closed.
            (actor.folder / f"retired-{user_id}").touch()
            time.sleep(1)
            retirement.retire_learner(user_id)
        actor.counts[action] += 1
        time.sleep(actor.dice.random())


def grader(actor: Actor, url: str, secret: str) -> None:
    """Pull and answer; before the run drains, replies are late, bad, repeated or missing, too."""
    import requests

    from benchmarks.soak.settings import LEASE_SECONDS, QUEUE
    from benchmarks.soak.world import GRADER

    session = requests.Session()

    def call(method: str, endpoint: str, **kwargs: Any) -> dict[str, Any]:
        while True:
            try:
                response = session.request(
                    method, f"{url}/xqueue/{endpoint}/", timeout=TIMEOUT, **kwargs
                )
                answer = response.json() if response.status_code == 200 else {"return_code": 1}
            # The web server was killed, perhaps between the head and the body of a response.
            except (requests.ConnectionError, requests.JSONDecodeError):
                actor.counts["connection lost"] += 1
                if actor.stopped:
                    return {"return_code": 1, "content": "stopped"}
                time.sleep(0.2)
                continue
            actor.counts[f"status {response.status_code}"] += 1
            actor.save()  # this process may be killed
            return answer

    call("POST", "login", data={"username": GRADER, "password": secret})
    actor.ready()
    while not actor.stopped:
        began = time.monotonic()
        pulled = call("GET", "get_submission", params={"queue_name": QUEUE})
        if pulled["return_code"]:
            time.sleep(0.2)
            continue
        header = json.loads(pulled["content"])["xqueue_header"]
        habit = "good" if actor.draining else _habit(actor.dice)
        actor.counts[habit] += 1
        if habit == "crashed":
            continue
        if habit == "late":
            time.sleep(LEASE_SECONDS + 0.5)
        score = actor.dice.randrange(5) / 4
        good = json.dumps({"correct": score > 0.5, "score": score, "msg": "<p>graded</p>"})
        body = "not JSON" if habit == "bad" else good
        for _ in range(2 if habit == "repeated" else 1):
            answered = call(
                "POST", "put_result", data={"xqueue_header": header, "xqueue_body": body}
            )
            in_time = time.monotonic() - began < LEASE_SECONDS
            if answered["return_code"] and habit != "bad" and in_time and not actor.stopped:
                actor.counts[f"valid result refused: {answered.get('content')}"[:80]] += 1


def _habit(dice: random.Random) -> str:
    return dice.choices(["good", "bad", "crashed", "late", "repeated"], [84, 4, 5, 2, 5])[0]


def web(actor: Actor, url: str) -> None:
    """Serve graders and callbacks, one thread for each connection."""
    import threading

    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    host, port = url.removeprefix("http://").split(":")
    server = ThreadedWSGIServer((host, int(port)), Quiet)
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    actor.ready()
    while not actor.stopped:
        time.sleep(0.2)
    server.shutdown()


ROLES: dict[str, Role] = {
    "learner": learner,
    "staff": staff,
    "grader": grader,
    "web": web,
}


def run(roles: Mapping[str, Role], role: str, folder: str, seed: str, *more: str) -> None:
    """Run one actor until it is stopped, and save its counts."""
    import django

    django.setup()
    actor = Actor(Path(folder), role, seed)
    try:
        roles[role](actor, *more)
    finally:
        actor.save()


if __name__ == "__main__":
    run(ROLES, *sys.argv[1:])
