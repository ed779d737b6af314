"""The legacy way, there and back: block, XQueue server, the LMS's callback URL, grade."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from demo.course import course
from demo.runtime import Submitted, load_block, submit
from tests.doubles.xqueue_server import XQueueServer
from tests.integration.conftest import eventually
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.xqueue_service.models import TransportOverride

FIRST, SECOND = course().problems[:2]


@pytest.fixture
def learner(transactional_db) -> int:
    return get_user_model().objects.create_user("learner").pk


def block_of(learner: int, problem: Any) -> Any:
    return load_block(learner, course().key, problem.usage_key)


def entry(learner: int, problem: Any) -> dict[str, Any]:
    state = learner_state.read_state(learner, problem.usage_key, course().key)
    [found] = state["correct_map"].values()
    return found


def reply(msg: str) -> str:
    return json.dumps({"correct": True, "score": 1, "msg": f"<p>{msg}</p>"})


def test_graded_through_the_legacy_server(server: XQueueServer, live_server, learner) -> None:
    """C28, C41: both problems are sent, the course is switched, and both still end in a grade."""
    for problem in (FIRST, SECOND):
        problem_block = block_of(learner, problem)
        server.queues |= {response.queue_name for response in problem_block.lcp.responders.values()}
        assert submit(problem_block, ["print(1)"]) == Submitted(True)
    TransportOverride.objects.create(scope="site", use_submissions_table=True)
    for problem, item in zip((FIRST, SECOND), server.items, strict=True):
        answered = server.answer(item, reply(problem.url_name), via=live_server.url)
        assert answered.status_code == 200
        # The reply is applied after the response to the XQueue server.
        assert eventually(lambda each=problem: entry(learner, each)["queuestate"] is None, 10)
        graded = entry(learner, problem)
        assert graded["correctness"] == "correct"
        assert graded["msg"] == f"<p>{problem.url_name}</p>"


def test_a_reply_to_an_older_answer_changes_nothing(
    server: XQueueServer, live_server, learner
) -> None:
    """C21, C41: the header comes back as it was sent, so an old reply is known by its key."""
    problem_block = block_of(learner, FIRST)
    server.queues |= {response.queue_name for response in problem_block.lcp.responders.values()}
    submit(problem_block, ["print(1)"])
    server.items[0].form["xqueue_header"] = (
        server.items[0]
        .form["xqueue_header"]
        .replace(entry(learner, FIRST)["queuestate"]["key"], "f" * 32)
    )
    server.answer(server.items[0], reply("too late"), via=live_server.url)
    assert entry(learner, FIRST)["correctness"] == "incomplete"
