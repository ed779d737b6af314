"""Sending, from the real problem block: Submit is pressed, and the transports are looked at."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from xblock.runtime import DictKeyValueStore, KvsFieldData

from demo.course import Problem
from demo.runtime import Submitted, load_block, render, submit
from tests.doubles.problem_block import USAGE_KEY
from tests.doubles.xqueue_server import Response, XQueueServer
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride

LEARNER = 103
RESPONSE_ERROR = "xblocks_contrib.problem.capa.responsetypes.ResponseError"


class Memory:
    """Learners' state, without a database: the statements counted are the sender's."""

    def __init__(self) -> None:
        self.kept = DictKeyValueStore()
        self.field_data = KvsFieldData(self.kept)

    @property
    def fields(self) -> dict[str, Any]:
        return {key.field_name: value for key, value in self.kept.db_dict.items()}

    def load_fields(self, block: Any) -> None:
        """Nothing has to be read."""

    def set_score(self, *score: Any) -> None:
        """Ignore the course grades, which other tests cover."""


def coderesponse(payload: str = "<grader_payload/>", entry: str = "<textbox/>") -> str:
    return (
        '<coderesponse queuename="demo">'
        f"{entry}<codeparam><initial_display/>{payload}</codeparam></coderesponse>"
    )


def block(
    *responses: str, user_id: int = LEARNER, store: Memory | None = None, **settings: Any
) -> Any:
    problem = Problem(
        usage_key=USAGE_KEY,
        chapter="",
        subsection="",
        olx=f"<problem>{''.join(responses or [coderesponse()])}</problem>",
        settings=settings,
        points=(1,),
        takes_files=False,
    )
    return load_block(
        user_id, USAGE_KEY.context_key, USAGE_KEY, state=store or Memory(), problem=problem
    )


@pytest.fixture
def table(db) -> None:
    TransportOverride.objects.create(scope="site", use_submissions_table=True)


def body_of(submission: Submission) -> dict[str, Any]:
    return json.loads(submission.content.body)


def test_looking_at_a_problem_needs_no_database(settings) -> None:
    """C1, C2: a problem is rendered with our service and nothing else: no query, no settings."""
    del settings.LMS_ROOT_URL
    settings.XQUEUE_INTERFACE = None
    looked_at = block()
    assert "textarea" in render(looked_at)
    assert looked_at.lcp.capa_system.xqueue.waittime == 5


def test_textbox(table) -> None:
    """C8, C12, C13: the problem is queued, under the key that the submission carries."""
    store = Memory()
    assert submit(block(store=store), ["print(1)"]) == Submitted(True)
    [submission] = Submission.objects.all()
    [entry] = store.fields["correct_map"].values()
    assert entry["queuestate"]["key"] == submission.queue_key
    assert (entry["correctness"], entry["msg"]) == ("incomplete", "1")
    assert submission.target.user_id == LEARNER
    assert submission.target.usage_key == USAGE_KEY
    assert body_of(submission)["student_response"] == "print(1)"
    assert list(submission.content.points.values()) == [1]


def test_queue_without_a_name_is_the_courses(table) -> None:
    """C3: a problem that names no queue goes to its course's."""
    submit(block(coderesponse().replace(' queuename="demo"', "")), ["print(1)"])
    assert Submission.objects.get().queue_name == "DemoX-CS101"


@pytest.mark.parametrize(
    ("written", "arrives"),
    [
        ("", ""),
        ("<grader_payload/>", None),
        ("<grader_payload>problem_2</grader_payload>", "problem_2"),
        ("<grader_payload>[1, 2]</grader_payload>", "[1, 2]"),
        ("<grader_payload>7</grader_payload>", "7"),
        (
            '<grader_payload>\n  {"output": "hello",  "max_length": 2}\n</grader_payload>',
            '\n  {"output": "hello",  "max_length": 2}\n',
        ),
    ],
)
def test_grader_payload(table, written: str, arrives: str | None) -> None:
    """C14: each form that an author may write is sent, and arrives as it is."""
    assert submit(block(coderesponse(written)), ["print(1)"]) == Submitted(True)
    assert body_of(Submission.objects.get())["grader_payload"] == arrives


def test_randomised_problem(table) -> None:
    """C15: student_info is the block's own JSON text, with its time and its seed."""
    problem_block = block(rerandomize="always")
    submit(problem_block, ["print(1)"])
    info = body_of(Submission.objects.get())["student_info"]
    assert isinstance(info, str)
    parsed = json.loads(info)
    assert parsed["random_seed"] == problem_block.lcp.seed
    assert len(parsed["submission_time"]) == 14
    assert parsed["submission_time"].isdecimal()


def test_files(table) -> None:
    """C16: the block's own file objects are read; the answer's text is empty."""
    pieces = {"a.py": b"print(1)\r\n", "größe.bin": b"\x00\xff"}
    problem_block = block(coderesponse(entry='<filesubmission allowed_files="a.py"/>'))
    assert submit(problem_block, pieces) == Submitted(True)
    content = Submission.objects.get().content
    assert json.loads(content.body)["student_response"] == ""
    arrived = {}
    for file in content.stored_files():
        with files.open_file(file) as opened:
            arrived[file.name] = opened.read()
    assert arrived == pieces


@pytest.mark.django_db
def test_files_go_to_the_legacy_server(server: XQueueServer) -> None:
    """C16, C32: the block's own file objects pass through HTTP on every Python."""
    problem_block = block(coderesponse(entry='<filesubmission allowed_files="a.py"/>'))
    assert submit(problem_block, {"a.py": b"print(1)"}) == Submitted(True)
    assert server.items[0].files == [("a.py", "a.py", b"print(1)")]


def test_two_parts(table) -> None:
    """C24: each part has an item and a key of its own; neither replaces the other."""
    store = Memory()
    problem_block = block(coderesponse(), coderesponse(), store=store)
    assert submit(problem_block, ["print(1)", "print(2)"]) == Submitted(True)
    items = Submission.objects.filter(status="waiting").order_by("pk")
    assert [body_of(item)["student_response"] for item in items] == ["print(1)", "print(2)"]
    keys = [entry["queuestate"]["key"] for entry in store.fields["correct_map"].values()]
    assert sorted(keys) == sorted(item.queue_key for item in items)
    assert len(set(keys)) == 2


def run_code(problem_block: Any) -> dict[str, Any]:
    [input_id] = problem_block.lcp.inputs
    form = {"input_id": input_id, "dispatch": "plot", "submission": "x = 1"}
    outcome = json.loads(problem_block.handle_ajax("input_ajax", form))
    problem_block.save()
    return outcome


def matlab(store: Memory) -> Any:
    entry = "<matlabinput><plot_payload>figure</plot_payload></matlabinput>"
    return block(coderesponse(entry=entry), store=store)


def test_trial_run(table) -> None:
    """C25: a trial run is sent as one, and the graded submission of the block waits on."""
    store = Memory()
    submit(matlab(store), ["x = 1"])
    outcome = run_code(matlab(store))
    assert outcome["success"] is True
    graded, trial = Submission.objects.order_by("pk")
    assert (graded.dispatch, graded.status) == ("score_update", "waiting")
    assert (trial.dispatch, trial.status) == ("ungraded_response", "waiting")
    [entry] = store.fields["correct_map"].values()
    assert entry["queuestate"]["key"] == graded.queue_key
    [state] = store.fields["input_state"].values()
    assert (state["queuestate"], state["queuekey"]) == ("queued", trial.queue_key)


def test_author_mode_has_no_grader(table) -> None:
    """C29: in Studio the block takes no service from us and says so."""
    problem_block = block()
    problem_block.runtime.is_author_mode = True
    submit(problem_block, ["print(1)"])
    [answer_id] = problem_block.lcp.correct_map
    assert "No grader has been set up" in problem_block.lcp.correct_map.get_msg(answer_id)
    assert not Submission.objects.exists()


@pytest.mark.django_db
def test_failed_send_is_shown_and_counted(server: XQueueServer) -> None:
    """C9, C10: without a policy the learner reads the reason, and an attempt is counted."""
    store = Memory()
    server.instead["submit"] = [Response("<script>alert(1)</script>", 503)]
    submit(block(store=store), ["print(1)"])
    [entry] = store.fields["correct_map"].values()
    assert "Reason: unexpected HTTP status code [503]" in entry["msg"]
    assert entry["queuestate"] is None
    assert store.fields["attempts"] == 1


@pytest.mark.django_db
def test_failed_send_is_not_counted(server: XQueueServer, settings) -> None:
    """C30: with capa's exception the learner reads the reason and keeps the attempt."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": RESPONSE_ERROR}
    store = Memory()
    server.instead["submit"] = [Response("", 503)]
    outcome = submit(block(store=store, max_attempts="1"), ["print(1)"])
    assert outcome == Submitted(
        False,
        "Your answer was not sent to the grader (unexpected HTTP status code [503])."
        " Your attempts are unchanged; try again.",
    )
    assert store.fields.get("attempts", 0) == 0
    assert submit(block(store=store, max_attempts="1"), ["print(1)"]) == Submitted(True)
    assert store.fields["attempts"] == 1


def test_learner_submits_again(table) -> None:
    """C21: after the waiting time the learner may send again, under a key of its own."""
    store = Memory()
    with time_machine.travel("2026-11-20T08:00:00Z", tick=False) as clock:
        submit(block(store=store), ["print(1)"])
        clock.shift(4)
        assert "You must wait" in submit(block(store=store), ["print(2)"]).message
        clock.shift(1)
        assert submit(block(store=store), ["print(2)"]) == Submitted(True)
    earlier, later = Submission.objects.order_by("pk")
    [entry] = store.fields["correct_map"].values()
    assert entry["queuestate"]["key"] == later.queue_key != earlier.queue_key


def test_learner_above_the_maximum_of_pending_answers_is_told_to_wait(table, settings) -> None:
    """The attempt is kept, the earlier answers stay, and a grade makes the next one possible."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": RESPONSE_ERROR, "MAX_PENDING_ANSWERS": 1}
    store = Memory()
    assert submit(block(store=store), ["print(1)"]) == Submitted(True)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        outcome = submit(block(store=store), ["print(2)"])
    assert outcome == Submitted(
        False,
        "Your answer was not sent to the grader (your answers to this problem that wait for a "
        "grade: 1; no more are taken until one is graded). Your attempts are unchanged; try again.",
    )
    assert store.fields["attempts"] == 1
    [entry] = store.fields["correct_map"].values()
    assert entry["queuestate"]["key"] == Submission.objects.get().queue_key
    Submission.objects.update(status="answered")
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        assert submit(block(store=store), ["print(2)"]) == Submitted(True)
    assert store.fields["attempts"] == 2


def test_other_learners_and_blocks_are_apart(table) -> None:
    """C23: one learner's item says nothing about another's."""
    submit(block(user_id=1), ["print(1)"])
    submit(block(user_id=2), ["print(2)"])
    assert list(Submission.objects.order_by("pk").values_list("user_id", flat=True)) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_statements_of_a_submission(django_assert_num_queries) -> None:
    """C2, C8: loading, answering and sending a problem: the four statements of the send."""
    TransportOverride.objects.create(scope="site", use_submissions_table=True)
    with django_assert_num_queries(4):
        submit(block(), ["print(1)"])


def test_course_of_the_block_decides(table) -> None:
    """C28: an answer of the course itself comes before the site's."""
    TransportOverride.objects.create(
        scope="course", name=str(USAGE_KEY.context_key), use_submissions_table=False
    )
    submit(block(), ["print(1)"])
    assert not Submission.objects.exists()
