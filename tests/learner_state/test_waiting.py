"""States that wait for graders: pages of them, and the answers in each."""

from __future__ import annotations

import pytest
from opaque_keys.edx.keys import CourseKey

from tests.grader_replies.factories import make_learner, waiting_state
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM
from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.learner_state import student_module, waiting
from xqueue_bridge.learner_state.models import StudentModule

OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+CS102+2026")

pytestmark = pytest.mark.django_db


def save(user_id: int, state: dict[str, object], usage_key=PROBLEM, course_key=COURSE) -> int:
    """Store a state; return the id of its row."""
    student_module.save_fields(user_id, course_key, usage_key, state)
    return StudentModule.objects.latest("pk").pk


def keys_of(answers: list[waiting.WaitingAnswer]) -> list[str]:
    return [answer.queue_key for answer in answers]


@pytest.fixture
def ada() -> int:
    return make_learner("ada")


def test_answer_has_its_block_row_and_time(ada):
    row_id = save(ada, waiting_state(loops_2_1="key-1", loops_3_1=None))
    [answer] = waiting.waiting_answers([row_id])
    assert answer.row_id == row_id
    assert answer.target == Target(ada, COURSE, PROBLEM, Dispatch.SCORE_UPDATE)
    assert answer.queue_key == "key-1"
    assert answer.since == StudentModule.objects.get().modified
    assert "key-1" not in repr(answer)


def test_trial_run_has_the_other_dispatch(ada):
    state = waiting_state(loops_2_1="answer")
    state["input_state"]["loops_3_1"] = {"queuestate": "queued", "queuekey": "trial"}
    save(ada, state)
    found, _ = waiting.waiting_page(0)
    assert {(each.queue_key, each.target.dispatch) for each in found} == {
        ("answer", Dispatch.SCORE_UPDATE),
        ("trial", Dispatch.UNGRADED_RESPONSE),
    }


def test_trial_run_alone_is_found(ada):
    save(ada, {"input_state": {"loops_2_1": {"queuestate": "queued", "queuekey": "trial"}}})
    found, _ = waiting.waiting_page(0)
    assert keys_of(found) == ["trial"]


def test_pages_have_each_row_once(ada, monkeypatch):
    """A page counts also rows that do not wait; a full page may be the last one."""
    monkeypatch.setattr(waiting, "PAGE", 2)
    first = save(ada, waiting_state(loops_2_1="one"))
    second = save(ada, waiting_state(loops_2_1=None), OTHER_PROBLEM)
    third = save(make_learner("bob"), waiting_state(loops_2_1="three"))
    found, last = waiting.waiting_page(0)
    assert (keys_of(found), last) == (["one"], second)
    found, last = waiting.waiting_page(second)
    assert (keys_of(found), last) == (["three"], None)
    found, last = waiting.waiting_page(first)
    assert (keys_of(found), last) == (["three"], third)
    assert waiting.waiting_page(third) == ([], None)


def test_answers_of_one_course_or_of_all(ada):
    key = OTHER_COURSE.make_usage_key("problem", "loops")
    ours = save(ada, waiting_state(loops_2_1="ours"))
    theirs = save(ada, waiting_state(loops_2_1="theirs"), key, OTHER_COURSE)
    assert keys_of(waiting.waiting_answers([theirs, ours])) == ["ours", "theirs"]
    assert keys_of(waiting.waiting_answers([ours])) == ["ours"]
    assert keys_of(waiting.waiting_answers([ours, theirs], OTHER_COURSE)) == ["theirs"]
    assert keys_of(waiting.waiting_page(0)[0]) == ["ours", "theirs"]
    assert keys_of(waiting.waiting_page(0, OTHER_COURSE)[0]) == ["theirs"]
