"""States that the platform saves: which submissions they replace."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import strategies as st

from tests.learner_state.test_encoding import json_values
from tests.lms import stand_ins
from tests.submission_queue.factories import PROBLEM, new_submission
from xqueue_bridge import handlers
from xqueue_bridge.lms.student_module import student_module, waiting_keys
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission

WAITING = {"loops_2_1": {"queuestate": {"key": "new", "time": "20261129120000"}}}


def row(state: object, student_id: int = 7) -> SimpleNamespace:
    return SimpleNamespace(student_id=student_id, module_state_key=PROBLEM, state=state)


def test_keys_of_a_waiting_state() -> None:
    assert waiting_keys(row(json.dumps({"correct_map": WAITING}))) == {"new"}


@given(st.none() | st.text() | json_values.map(lambda each: f'"queuestate": {{{json.dumps(each)}'))
def test_any_state_gives_a_set_of_keys(state: object) -> None:
    """SG14: no state of the platform raises in the request that saves it."""
    assert isinstance(waiting_keys(row(state)), frozenset)


@pytest.mark.parametrize(
    "state", [None, "", "{}", '{"position": 3}', '{"a": {"queuestate": null}}']
)
@pytest.mark.django_db
def test_other_states_cost_no_statement(state: object, django_assert_num_queries) -> None:
    """Each page view of an LMS saves states of blocks that wait for no grader."""
    with django_assert_num_queries(0):
        handlers.supersede_replaced_in_lms(object, instance=row(state))


@pytest.mark.django_db(transaction=True)
def test_submissions_to_a_problem_that_was_reset_are_superseded(django_assert_num_queries) -> None:
    """C22: no state waits for them; a regrade of an earlier answer goes on. Two statements."""
    learner = get_user_model().objects.create_user("learner").pk
    for key in ("answer", "regrade"):
        queue.enqueue(new_submission(user_id=learner, queue_key=key))
    Submission.objects.filter(queue_key="regrade").update(regrade_of=1)
    with django_assert_num_queries(2):
        state = json.dumps({"correct_map": {}, "done": False})
        handlers.supersede_replaced_in_lms(object, instance=row(state, learner))
    found = dict(Submission.objects.values_list("queue_key", "status"))
    assert found == {"answer": "superseded", "regrade": "waiting"}
    state = json.dumps({"correct_map": {"a_2_1": {"queuestate": {"key": "answer"}}}})
    handlers.supersede_replaced_in_lms(object, instance=row(state, learner))
    assert set(Submission.objects.values_list("status", flat=True)) == {"waiting"}


@pytest.mark.django_db(transaction=True)
def test_replaced_submission_is_superseded_with_two_statements(django_assert_num_queries) -> None:
    """C21: one statement reads the learner's submissions at the block, one changes them."""
    learner = get_user_model().objects.create_user("learner").pk
    for key in ("old", "new"):
        queue.enqueue(new_submission(user_id=learner, queue_key=key))
    with django_assert_num_queries(2):
        state = json.dumps({"correct_map": WAITING})
        handlers.supersede_replaced_in_lms(object, instance=row(state, learner))
    found = dict(Submission.objects.values_list("queue_key", "status"))
    assert found == {"old": "superseded", "new": "waiting"}


def test_no_model_outside_of_an_lms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither elsewhere, nor if the app has no such model."""
    assert student_module() is None
    stand_ins.add_installed_apps(monkeypatch, stand_ins.COURSEWARE)
    assert student_module() is None
