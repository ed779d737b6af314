"""Xqueue_callback: the URL, the fields, and the text and status of each response."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.property_examples import few
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


def callback_url(learner_id, *, dispatch="score_update", usage=PROBLEM, course=COURSE):
    return quote(f"/courses/{course}/xqueue/{learner_id}/{usage}/{dispatch}")


def post(client, learner_id, *, dispatch="score_update", usage=PROBLEM, course=COURSE, **fields):
    form = {"xqueue_header": HEADER, "xqueue_body": GOOD_REPLY, **fields}
    form = {name: value for name, value in form.items() if value is not None}
    return client.post(
        callback_url(learner_id, dispatch=dispatch, usage=usage, course=course), form
    )


def entry_of(learner):
    state = learner_state.read_state(learner.pk, PROBLEM, COURSE)
    return state["correct_map"][ANSWER]


def test_awaited_reply_is_stored_and_applied(client, waiting):
    """C41, C110, C113: a reply posted to the callback URL is applied to the learner's state."""
    response = post(client, waiting.pk)
    assert response.status_code == 200
    assert response.text == "stored\n"
    assert entry_of(waiting)["npoints"] == 1
    assert learner_state.read_score(waiting.pk, PROBLEM, COURSE).earned == 1


def test_post_without_a_csrf_token_is_accepted(waiting):
    from django.test import Client

    assert post(Client(enforce_csrf_checks=True), waiting.pk).status_code == 200


def test_repeated_reply_is_stored_once(client, waiting):
    """C116: the same reply posted again has no second effect."""
    post(client, waiting.pk)
    response = post(client, waiting.pk)
    assert (response.status_code, response.text) == (200, "this reply was received before\n")
    assert ReceivedReply.objects.count() == 1


def test_reply_with_another_queue_key_changes_no_state(client, waiting):
    """C115: a queue key that the state does not wait for changes no state."""
    before = learner_state.read_state(waiting.pk, PROBLEM, COURSE)
    response = post(client, waiting.pk, xqueue_header='{"lms_key": "other"}')
    assert response.status_code == 200
    assert response.text == "stored\n"
    assert learner_state.read_state(waiting.pk, PROBLEM, COURSE) == before


def test_reply_before_the_save_of_the_state_is_applied_after_it(client, learner):
    """C20, C111: a reply that is received before the save is applied after it."""
    assert post(client, learner.pk).text == "stored\n"
    entry = {"correctness": "incomplete", "npoints": None, "msg": ""}
    entry["queuestate"] = {"key": "live", "time": "20261120101010"}
    state = {"correct_map": {ANSWER: entry}, "score": {"raw_earned": 0, "raw_possible": 1}}
    learner_state.save_fields(learner.pk, COURSE, PROBLEM, state)
    assert entry_of(learner)["npoints"] == 1


def test_invalid_reply_stores_a_failure_reply(client, waiting):
    """C112: an invalid reply is never applied; the learner gets the failure reply."""
    response = post(client, waiting.pk, xqueue_body='{"correct": true, "score": NaN, "msg": ""}')
    assert response.status_code == 200
    assert "score" in response.text
    entry = entry_of(waiting)
    assert entry["queuestate"] is None
    assert entry["npoints"] == 0
    assert "could not be graded" in entry["msg"]


def test_invalid_reply_with_another_queue_key_changes_no_state(client, waiting):
    """C112, C115: without the awaited queue key an invalid reply changes nothing."""
    before = learner_state.read_state(waiting.pk, PROBLEM, COURSE)
    post(client, waiting.pk, xqueue_body="garbage", xqueue_header='{"lms_key": "other"}')
    assert learner_state.read_state(waiting.pk, PROBLEM, COURSE) == before


@pytest.mark.parametrize("dispatch", Dispatch)
def test_reply_to_a_submission_of_our_queue_is_refused(client, waiting, dispatch):
    """C115: a submission of our queue is answered by put_result with its pull key only."""
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
def test_other_dispatch_is_not_found(client, waiting, dispatch):
    """C110: a dispatch other than the two of a reply is refused."""
    response = post(client, waiting.pk, dispatch=dispatch)
    assert response.status_code == 404
    assert response.text.startswith("dispatch:")


@pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
def test_missing_field_is_named(client, waiting, field):
    response = post(client, waiting.pk, **{field: None})
    assert (response.status_code, response.text) == (404, f"{field}: is missing\n")


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=hex", f"{FORM}; charset=idna"])
def test_unreadable_form_is_a_bad_request_with_one_line_in_the_log(
    client, waiting, content_type, settings, caplog
):
    """C115: a malformed form, one that is too long, or one in an unknown charset sends no mail."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    part = '--x\r\nContent-Disposition: form-data; name="xqueue_header"\r\n\r\n{}\r\n'
    size = 2000 if content_type == FORM else 1
    form = (part * size + "--x--").encode()
    response = client.generic("POST", callback_url(waiting.pk), form, content_type)
    assert response.status_code == 400
    assert [record.name for record in caplog.records if record.levelname != "INFO"] == [
        callback.__name__
    ]
    assert client.post(callback_url(waiting.pk), "x", "multipart/form-data").status_code == 400


def test_form_whose_sender_disconnects_is_a_bad_request(client, waiting):
    """C115: a form that is cut off is not a server error."""
    response = client.post(
        callback_url(waiting.pk), CONTENT_LENGTH=5, **{"wsgi.input": DisconnectedBody(b"")}
    )
    assert response.status_code == 400


def test_get_is_not_found(client, waiting):
    assert (
        client.get(f"/courses/{COURSE}/xqueue/{waiting.pk}/{PROBLEM}/score_update").status_code
        == 404
    )


@pytest.mark.parametrize(
    "header", ["", "x", "[]", "{}", '{"lms_key": 5}', '{"lms_key": ""}', '{"lms_key": "\\u0000"}']
)
def test_invalid_header_is_a_bad_request(client, waiting, header):
    response = post(client, waiting.pk, xqueue_header=header)
    assert response.status_code == 400
    assert response.text.startswith("xqueue_header")


@pytest.mark.parametrize("learner_id", ["4711", "x", "-1", "1.5", "٣", "9" * 40, ""])
def test_unknown_learner_is_not_found(client, waiting, learner_id):
    """C107: the status is 404, so that the server does not repeat the request for long."""
    response = post(client, learner_id)
    assert response.status_code == 404
    assert response.text.startswith("userid:")


def test_invalid_key_in_the_url_is_named(client, waiting):
    assert post(client, waiting.pk, usage="no-key").text == "mod_id: is not a key\n"
    assert post(client, waiting.pk, course="no-key").text.startswith("course_id:")


def test_reply_before_a_submission_of_our_queue_is_not_applied(client, learner):
    """A reply posted to the callback URL never answers a submission that graders pull from us."""
    post(client, learner.pk)
    queue.enqueue(new_submission(user_id=learner.pk, queue_key="live"))
    wait_for_live(learner)
    sweep()
    ReceivedReply.objects.update(next_attempt_at=timezone.now())
    sweep()
    assert entry_of(learner)["npoints"] is None
    assert learner_state.read_score(learner.pk, PROBLEM, COURSE).earned is None


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=few(60), deadline=None
)
@given(
    user_id=st.text(min_size=1),
    usage=st.text(min_size=1),
    dispatch=st.text(),
    header=st.text(),
    body=st.text(),
)
def test_any_url_and_fields_get_400_or_404(client, user_id, usage, dispatch, header, body):
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
