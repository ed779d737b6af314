"""xqueue_callback: the address, the fields, and what each answer says."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    DisconnectedBody,
    make_grader,
    new_submission,
)
from xqueue_bridge.data import Dispatch
from xqueue_bridge.grader_api import callback
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER = "block_2_1"
HEADER = json.dumps({"lms_callback_url": "x", "lms_key": "live", "queue_name": "python"})


@pytest.fixture
def learner():
    return get_user_model().objects.create_user("learner")


@pytest.fixture
def waiting(learner):
    wait_for_live(learner)
    return learner


def wait_for_live(learner):
    """Save a state that waits for the queue key "live"."""
    entry = {"correctness": "incomplete", "npoints": None, "msg": "1"}
    entry["queuestate"] = {"key": "live", "time": "20261120101010"}
    state = {"correct_map": {ANSWER: entry}, "score": {"raw_earned": 0, "raw_possible": 1}}
    learner_state.save_fields(learner.pk, COURSE, PROBLEM, state)


def address(learner_id, *, dispatch="score_update", usage=PROBLEM, course=COURSE):
    return quote(f"/courses/{course}/xqueue/{learner_id}/{usage}/{dispatch}")


def post(client, learner_id, *, dispatch="score_update", usage=PROBLEM, course=COURSE, **fields):
    form = {"xqueue_header": HEADER, "xqueue_body": GOOD_REPLY, **fields}
    form = {name: value for name, value in form.items() if value is not None}
    return client.post(address(learner_id, dispatch=dispatch, usage=usage, course=course), form)


def entry_of(learner):
    state = learner_state.read_state(learner.pk, PROBLEM, COURSE)
    return state["correct_map"][ANSWER]


def test_it_works(client, waiting):
    """C41, C110, C113: a reply posted to the LMS's address is graded."""
    response = post(client, waiting.pk)
    assert response.status_code == 200
    assert response.text == "stored\n"
    assert entry_of(waiting)["npoints"] == 1
    assert learner_state.read_score(waiting.pk, PROBLEM, COURSE).earned == 1


def test_it_needs_no_csrf_token(waiting):
    from django.test import Client

    assert post(Client(enforce_csrf_checks=True), waiting.pk).status_code == 200


def test_repeated(client, waiting):
    """C116: the same reply posted again has no second effect."""
    post(client, waiting.pk)
    response = post(client, waiting.pk)
    assert (response.status_code, response.text) == (200, "this reply was received before\n")
    assert ReceivedReply.objects.count() == 1


def test_a_key_that_does_not_match(client, waiting):
    """C115: a reply with a key that the state does not wait for changes nothing."""
    before = learner_state.read_state(waiting.pk, PROBLEM, COURSE)
    response = post(client, waiting.pk, xqueue_header='{"lms_key": "other"}')
    assert response.status_code == 200
    assert response.text == "stored\n"
    assert learner_state.read_state(waiting.pk, PROBLEM, COURSE) == before


def test_before_the_state_is_saved(client, learner):
    """C20, C111: a reply that comes before the state is saved is applied once it is."""
    assert post(client, learner.pk).text == "stored\n"
    entry = {"correctness": "incomplete", "npoints": None, "msg": ""}
    entry["queuestate"] = {"key": "live", "time": "20261120101010"}
    state = {"correct_map": {ANSWER: entry}, "score": {"raw_earned": 0, "raw_possible": 1}}
    learner_state.save_fields(learner.pk, COURSE, PROBLEM, state)
    assert entry_of(learner)["npoints"] == 1


def test_a_reply_that_is_no_grade(client, waiting):
    """C112: an invalid reply never reaches the block; the learner is told instead."""
    response = post(client, waiting.pk, xqueue_body='{"correct": true, "score": NaN, "msg": ""}')
    assert response.status_code == 200
    assert "score" in response.text
    entry = entry_of(waiting)
    assert entry["queuestate"] is None
    assert entry["npoints"] == 0
    assert "could not be graded" in entry["msg"]


def test_a_reply_that_is_no_grade_with_a_wrong_key(client, waiting):
    """C112, C115: without the right key it changes nothing at all."""
    before = learner_state.read_state(waiting.pk, PROBLEM, COURSE)
    post(client, waiting.pk, xqueue_body="garbage", xqueue_header='{"lms_key": "other"}')
    assert learner_state.read_state(waiting.pk, PROBLEM, COURSE) == before


@pytest.mark.parametrize("dispatch", Dispatch)
def test_a_submission_in_our_table(client, waiting, dispatch):
    """C115: a submission in the table is answered by put_result with its pull key only."""
    api.enqueue(new_submission(user_id=waiting.pk, queue_key="live"))
    before = learner_state.read_state(waiting.pk, PROBLEM, COURSE)
    response = post(client, waiting.pk, dispatch=dispatch)
    assert response.status_code == 403
    assert "live" not in response.text
    assert learner_state.read_state(waiting.pk, PROBLEM, COURSE) == before
    assert not ReceivedReply.objects.exists()
    grader = make_grader()
    assert grader.put(grader.pull().header)["return_code"] == 0


@pytest.mark.parametrize("dispatch", ["problem_get", "problem_show", "SCORE_UPDATE", ""])
def test_two_dispatches_and_no_others(client, waiting, dispatch):
    """C110: anything but the two dispatches of a reply is refused."""
    response = post(client, waiting.pk, dispatch=dispatch)
    assert response.status_code == 404
    assert response.text.startswith("dispatch:")


@pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
def test_a_missing_field(client, waiting, field):
    response = post(client, waiting.pk, **{field: None})
    assert (response.status_code, response.text) == (404, f"{field}: is missing\n")


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=hex", f"{FORM}; charset=idna"])
def test_forms_that_cannot_be_read(client, waiting, content_type, settings, caplog):
    """C115: malformed, too long, or in no charset of text: one line in the log, and no mail."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    part = '--x\r\nContent-Disposition: form-data; name="xqueue_header"\r\n\r\n{}\r\n'
    size = 2000 if content_type == FORM else 1
    form = (part * size + "--x--").encode()
    response = client.generic("POST", address(waiting.pk), form, content_type)
    assert response.status_code == 400
    assert [record.name for record in caplog.records if record.levelname != "INFO"] == [
        callback.__name__
    ]
    assert client.post(address(waiting.pk), "x", "multipart/form-data").status_code == 400


def test_a_sender_that_hangs_up(client, waiting):
    """C115: a form that is cut off is not a server error."""
    response = client.post(
        address(waiting.pk), CONTENT_LENGTH=5, **{"wsgi.input": DisconnectedBody(b"")}
    )
    assert response.status_code == 400


def test_get_has_no_fields(client, waiting):
    assert (
        client.get(f"/courses/{COURSE}/xqueue/{waiting.pk}/{PROBLEM}/score_update").status_code
        == 404
    )


@pytest.mark.parametrize(
    "header", ["", "x", "[]", "{}", '{"lms_key": 5}', '{"lms_key": ""}', '{"lms_key": "\\u0000"}']
)
def test_headers_that_are_none(client, waiting, header):
    response = post(client, waiting.pk, xqueue_header=header)
    assert response.status_code == 400
    assert response.text.startswith("xqueue_header")


@pytest.mark.parametrize("learner_id", ["4711", "x", "-1", "1.5", "٣", "9" * 40, ""])
def test_unknown_learners(client, waiting, learner_id):
    """C107: an unknown learner is a 404, so that the server does not repeat it for long."""
    response = post(client, learner_id)
    assert response.status_code == 404
    assert response.text.startswith("userid:")


def test_addresses_that_are_none(client, waiting):
    assert post(client, waiting.pk, usage="no-key").text == "mod_id: is not a key\n"
    assert post(client, waiting.pk, course="no-key").text.startswith("course_id:")


def test_before_a_submission_in_our_table(client, learner):
    """What is posted here is no reply to what graders pull from us, however early it is."""
    post(client, learner.pk)
    queue.enqueue(new_submission(user_id=learner.pk, queue_key="live"))
    wait_for_live(learner)
    sweep()
    ReceivedReply.objects.update(next_attempt_at=timezone.now())
    sweep()
    assert entry_of(learner)["npoints"] is None
    assert learner_state.read_score(learner.pk, PROBLEM, COURSE).earned is None


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    user_id=st.text(min_size=1),
    usage=st.text(min_size=1),
    dispatch=st.text(),
    header=st.text(),
    body=st.text(),
)
def test_anything_is_answered(client, user_id, usage, dispatch, header, body):
    """C110: no URL and no fields cause a server error."""
    anywhere = f"/courses/{COURSE}/xqueue/{user_id}/{usage}/{dispatch}"
    response = client.post(
        quote(anywhere, errors="replace"),
        {
            "xqueue_header": header.encode("utf-8", "replace"),
            "xqueue_body": body.encode("utf-8", "replace"),
        },
    )
    assert response.status_code in (400, 404)
