"""Roll back: the switch is effective from the next answer on, and open submissions end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import xqueue_server
from tests.doubles.problem_block import problem_block
from tests.integration.conftest import eventually, grade_of, waiting_state
from tests.processes import in_processes
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM, make_grader
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.api import XQueueInterface, XQueueService, make_xheader
from xqueue_bridge.xqueue_service.models import TransportOverride

PAGE = Path(__file__).parents[2] / "docs" / "how-tos" / "switch_a_course.rst"


@pytest.fixture
def server(settings):
    """The legacy XQueue server, which kept running."""
    with xqueue_server.running() as double:
        double.queues.add("python")
        settings.XQUEUE_INTERFACE = {"url": double.url, "django_auth": double.auth}
        yield double


def send(interface: XQueueInterface, user_id: int) -> tuple[int, str]:
    key = f"key-{user_id}"
    url = XQueueService(problem_block(PROBLEM, user_id)).construct_callback()
    sent = interface.send_to_queue(make_xheader(url, key, "python"), '{"student_response": "1"}')
    learner_state.save_fields(user_id, COURSE, PROBLEM, waiting_state(key))
    return sent


def roll_back() -> None:
    """Run the lines of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(".. _roll-back:")[2]
    block = re.search(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", section)
    assert block is not None
    exec("\n".join(line[4:] for line in block.group(1).splitlines()), {})


def test_the_next_answer_goes_to_the_legacy_server(server, live_server, learner):
    """C28: open submissions in each state end with one grade; no process is restarted."""
    TransportOverride.objects.create(scope="course", name=str(COURSE), use_submissions_table=True)
    learners = [learner() for _ in range(4)]
    # Long-lived, as in a process that served requests before the switch.
    interfaces = [XQueueInterface(block=problem_block(PROBLEM, each)) for each in learners]
    waiting, leased, answered, later = zip(learners, interfaces, strict=True)
    for user_id, interface in (leased, answered, waiting):
        assert send(interface, user_id)[0] == 0
    grader = make_grader("python")
    held, other = grader.pull(), grader.pull()
    assert grader.put(other.header)["return_code"] == 0
    roll_back()
    assert send(later[1], later[0]) == (0, "1")
    assert [json.loads(each.form["xqueue_header"])["lms_key"] for each in server.items] == [
        f"key-{later[0]}"
    ]
    assert Submission.objects.filter(transport="table").count() == 3
    # The bridge's grader goes on until the table is empty; the legacy server's answers the rest.
    assert grader.put(held.header)["return_code"] == 0
    assert grader.put(grader.pull().header)["return_code"] == 0
    assert grader.pull() is None
    assert server.answer(server.items[0], GOOD_REPLY, via=live_server.url).status_code == 200
    assert eventually(lambda: [grade_of(each) for each in learners] == [1] * 4, 30)
    assert ReceivedReply.objects.filter(status="applied").count() == 4


def test_another_process_follows_at_once(server, learner):
    """The choice is read for each answer, and not kept in a process."""
    TransportOverride.objects.create(scope="site", use_submissions_table=True)
    user_id = learner()

    def send_twice() -> list[Any]:
        interface = XQueueInterface(block=problem_block(PROBLEM, user_id))
        first = send(interface, user_id)
        roll_back()
        return [first, send(interface, user_id)]

    [sent] = in_processes([send_twice])
    assert [error for error, _msg in sent] == [0, 0]
    assert len(server.items) == 1
    assert Submission.objects.filter(transport="table").count() == 1
