"""put_result: what is stored, what is refused, and in which words."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.db.test_transactions import collision
from tests.submission_queue.factories import GOOD_REPLY, make_grader, new_submission
from xqueue_bridge.data import Dispatch
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import SHORTENED
from xqueue_bridge.protocol.headers import parse_lease_header
from xqueue_bridge.submission_queue import finish, queue, results
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.worker import enqueue

OK = {"return_code": 0, "content": ""}
BAD_FORMAT = {"return_code": 1, "content": "Incorrect reply format"}
NO_SUBMISSION = {"return_code": 1, "content": "Submission does not exist"}
WRONG_KEY = {"return_code": 1, "content": "Incorrect key for submission"}
TOO_LATE = {
    "return_code": 1,
    "content": "Submission has failed. The result is kept for the course staff",
}
HAS_RESULT = {"return_code": 1, "content": "Submission already has a result"}


@pytest.fixture
def handed(grader):
    queue.enqueue(new_submission())
    return grader.pull()


@pytest.mark.django_db
class TestAccepted:
    def test_it_works(self, grader, handed):
        """C79, C80: a form-encoded result is stored and acknowledged with empty content."""
        assert grader.put(handed.header) == OK
        row = Submission.objects.get()
        assert (row.status, row.available_at) == (Status.ANSWERED, None)
        assert row.finished_at is not None
        reply = ReceivedReply.objects.get()
        assert (reply.body, reply.source) == (GOOD_REPLY, "put_result")

    def test_as_json(self, grader, handed):
        """C79: the same two texts may come as a JSON object."""
        body = {"xqueue_header": handed.header, "xqueue_body": GOOD_REPLY}
        answer = grader.http.post("/xqueue/put_result/", body, content_type="application/json")
        assert answer.json() == OK

    def test_the_id_may_come_back_as_text(self, grader, handed):
        """C79: several clients send the submission's number back as a string."""
        header = {"submission_id": str(handed.submission_id), "submission_key": handed.pullkey}
        assert grader.put(json.dumps(header)) == OK

    def test_the_same_result_twice(self, grader, handed):
        """C87: the same result posted twice succeeds twice, with one effect."""
        assert grader.put(handed.header) == OK
        assert grader.put(handed.header) == OK
        assert ReceivedReply.objects.count() == 1

    def test_another_result_for_an_answered_one(self, grader, handed):
        """C88: the first valid result wins; a different one is told so."""
        grader.put(handed.header)
        other = json.dumps({"correct": False, "score": 0, "msg": "no"})
        assert grader.put(handed.header, other) == HAS_RESULT
        assert ReceivedReply.objects.get().body == GOOD_REPLY

    def test_after_the_lease_but_before_another_pull(self, grader, handed):
        """C75: a late result is accepted if no other grader has pulled."""
        Submission.objects.update(available_at=timezone.now())
        assert grader.put(handed.header) == OK

    def test_after_another_pull(self, grader, handed):
        """C74: after another grader has pulled, the former key is rejected."""
        Submission.objects.update(available_at=timezone.now())
        second = grader.pull()
        assert grader.put(handed.header) == WRONG_KEY
        assert grader.put(second.header) == OK

    def test_the_output_of_a_trial_run_needs_no_grade(self, grader):
        """C25: the result of a trial run carries only its message."""
        queue.enqueue(new_submission(dispatch=Dispatch.UNGRADED_RESPONSE))
        assert grader.put(grader.pull().header, '{"msg": "plot"}') == OK

    def test_a_grade_needs_one(self, grader, handed):
        assert grader.put(handed.header, '{"msg": "plot"}') == BAD_FORMAT


@pytest.mark.django_db
class TestRefused:
    @pytest.mark.parametrize(
        "header",
        [
            "",
            "not JSON",
            "[]",
            "3",
            "null",
            '"text"',
            "{}",
            '{"submission_id": 1}',
            '{"submission_key": "k"}',
            '{"submission_id": null, "submission_key": "k"}',
            '{"submission_id": 1.5, "submission_key": "k"}',
            '{"submission_id": true, "submission_key": "k"}',
            '{"submission_id": "x", "submission_key": "k"}',
            '{"submission_id": -1, "submission_key": "k"}',
            '{"submission_id": 9223372036854775808, "submission_key": "k"}',
            '{"submission_id": "\u0661", "submission_key": "k"}',
            '{"submission_id": 1, "submission_key": 5}',
            "[" * 100_000,
        ],
    )
    def test_headers_that_are_none(self, grader, header):
        """C83, C84: a header without number and key is an incorrect format, never a fault."""
        assert grader.put(header) == BAD_FORMAT

    @pytest.mark.parametrize("missing", ["xqueue_header", "xqueue_body"])
    def test_a_missing_field_is_named(self, grader, handed, missing):
        """C83: a missing field is an incorrect format; the response's header names the field."""
        form = {"xqueue_header": handed.header, "xqueue_body": GOOD_REPLY}
        del form[missing]
        response = grader.http.post("/xqueue/put_result/", form)
        assert response.json() == BAD_FORMAT
        assert response["X-XQueue-Problem"] == f"{missing}: is missing"

    @pytest.mark.parametrize("body", ["[]", "3", '"text"', "null", "{", "", "[" * 100_000])
    def test_json_bodies_that_are_no_object(self, grader, body):
        """C84: a JSON body that is not an object is an incorrect format, never a fault."""
        answer = grader.http.post("/xqueue/put_result/", body, content_type="application/json")
        assert answer.status_code == 200
        assert answer.json() == BAD_FORMAT

    @pytest.mark.parametrize("value", [5, None, {}, [], True])
    @pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
    def test_fields_that_are_not_text(self, grader, handed, field, value):
        """C83: both fields must be text."""
        fields = {"xqueue_header": handed.header, "xqueue_body": GOOD_REPLY, field: value}
        answer = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
        assert answer.json() == BAD_FORMAT

    def test_other_media_types(self, grader):
        """C84: what is neither form nor JSON is an incorrect format."""
        answer = grader.http.post("/xqueue/put_result/", "x", content_type="text/csv")
        assert (answer.status_code, answer.json()) == (200, BAD_FORMAT)

    @pytest.mark.parametrize("number", [0, 4711, 2**63 - 1])
    def test_an_unknown_number(self, grader, number):
        """C85: an unknown submission id is an error."""
        header = {"submission_id": number, "submission_key": "k"}
        assert grader.put(json.dumps(header)) == NO_SUBMISSION

    @pytest.mark.parametrize("key", ["wrong", "\ud800"])
    def test_a_wrong_key(self, grader, handed, key):
        """C85: a wrong key is said to be wrong, with status 200, also if it is no text."""
        header = json.dumps({"submission_id": handed.submission_id, "submission_key": key})
        assert grader.put(header) == grader.put(header, "not JSON") == WRONG_KEY
        assert not ReceivedReply.objects.exists()

    def test_the_key_of_another_submission(self, grader, handed):
        """C85: a key is valid for one submission, also for the same grader."""
        queue.enqueue(new_submission(queue_key="key-2"))
        other = grader.pull()
        header = {"submission_id": other.submission_id, "submission_key": handed.pullkey}
        assert grader.put(json.dumps(header)) == WRONG_KEY
        assert not ReceivedReply.objects.exists()

    def test_never_pulled(self, grader):
        """C85: a submission that was never pulled has no valid key."""
        queue.enqueue(new_submission())
        header = {"submission_id": Submission.objects.get().pk, "submission_key": ""}
        assert grader.put(json.dumps(header)) == WRONG_KEY

    def test_another_graders_queue(self, handed):
        """C99: a submission of a queue that was not granted does not exist for a grader."""
        stranger = make_grader("java", name="stranger")
        assert stranger.put(handed.header) == NO_SUBMISSION

    def test_the_key_is_not_in_the_database(self, handed):
        """C86: a lease's key is long, random, and stored only as a digest."""
        assert len(handed.pullkey) >= 32
        assert handed.pullkey not in str(Submission.objects.values().get())

    @pytest.mark.parametrize(
        "body",
        [
            "not JSON",
            "[]",
            '{"correct": true, "score": NaN, "msg": "x"}',
            '{"correct": true, "score": Infinity, "msg": "x"}',
            '{"correct": true, "score": "1", "msg": "x"}',
            '{"correct": true, "score": null, "msg": "x"}',
            '{"correct": "perhaps", "score": 1, "msg": "x"}',
            '{"score": 1, "msg": "x"}',
            '{"correct": true, "score": 1, "msg": ["x"]}',
            "\x00",
        ],
    )
    def test_a_reply_that_is_no_grade(self, grader, handed, body):
        """C92, C97: refused, kept for operators, and the submission is offered again."""
        before = timezone.now()
        assert grader.put(handed.header, body) == BAD_FORMAT
        reply = ReceivedReply.objects.get()
        assert reply.status == ReceivedReply.Status.REJECTED
        assert reply.next_attempt_at is None
        assert reply.last_error
        assert reply.source == "put_result"
        row = Submission.objects.get()
        assert row.status == Status.LEASED
        assert timedelta(seconds=25) < row.available_at - before < timedelta(seconds=35)
        assert row.available_at - before >= timedelta(seconds=5), "but not at once"

    def test_the_field_at_fault_is_named(self, grader, handed):
        """C92: who wrote the grader finds the field's name in the answer."""
        response = grader.http.post(
            "/xqueue/put_result/",
            {"xqueue_header": handed.header, "xqueue_body": '{"correct": true, "msg": ""}'},
        )
        assert response["X-XQueue-Problem"] == "score: is missing"

    def test_valid_reply_after_the_next_delivery_is_accepted(self, grader, handed):
        """C92: after an invalid reply the next delivery can be answered."""
        grader.put(handed.header, "{}")
        assert grader.put(handed.header) == WRONG_KEY
        Submission.objects.update(available_at=timezone.now())
        assert grader.put(grader.pull().header) == OK

    def test_feedback_over_the_limit_is_shortened_and_the_grade_counts(
        self, grader, handed, settings, caplog
    ):
        """C93: four refused results of one submission would be 0 points for a right answer."""
        settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 1000}
        reply = json.dumps({"correct": True, "score": 1, "msg": "<p>" + "é" * 1000 + "</p>"})
        assert grader.put(handed.header, reply) == OK
        stored = ReceivedReply.objects.get()
        assert (stored.correct, stored.score_given, stored.is_shortened) == (True, 1, True)
        assert stored.message.count("é") == 498
        assert stored.message.endswith(f"</p>{SHORTENED}")
        assert len(stored.body) == 1000
        submission_id = stored.submission_id
        assert f"reply to submission {submission_id} was shortened" in caplog.text
        assert grader.put(handed.header, reply) == OK, "the same result again"

    def test_a_reply_that_is_no_text(self, grader, handed):
        """C84: half of a surrogate pair, which JSON can hold, is refused like any other."""
        fields = {"xqueue_header": handed.header, "xqueue_body": "\ud800"}
        answer = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
        assert answer.json() == BAD_FORMAT

    def test_a_request_that_is_too_long(self, grader, handed, settings, caplog):
        """C84: what Django's own limit refuses is in the log too: a grader's work is lost by it."""
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        assert grader.put(handed.header) == BAD_FORMAT
        assert "RequestDataTooBig" in caplog.text

    def test_result_after_the_submission_has_failed(self, grader, handed, settings):
        """C77: the result is kept for the course staff, and the grader is told so."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        Submission.objects.update(available_at=timezone.now())
        finish.fail_exhausted()
        assert grader.put(handed.header) == grader.put(handed.header) == TOO_LATE
        [late] = ReceivedReply.objects.filter(source="put_result")
        assert (late.body, late.score_given) == (GOOD_REPLY, 1)
        assert (late.status, late.next_attempt_at) == ("late", None)
        assert Submission.objects.get().status == Status.FAILED

    def test_invalid_result_after_the_submission_has_failed(self, grader, handed, settings):
        """C77, C92: nothing is kept of it."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        Submission.objects.update(available_at=timezone.now())
        finish.fail_exhausted()
        assert grader.put(handed.header, "{}")["content"] == "Submission has failed"
        assert not ReceivedReply.objects.filter(source="put_result").exists()


MEMBERS = ("xqueue_header.submission_id", "xqueue_header.submission_key")


def parsed(header: str) -> str:
    """Return "a lease", or the name of the field at fault."""
    try:
        parse_lease_header(header)
    except InvalidField as exc:
        return exc.field
    return "a lease"


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_lease_or_names_the_field(text):
    """C84: no header causes a server error."""
    assert parsed(text) in ("a lease", "xqueue_header", *MEMBERS)


@given(
    st.fixed_dictionaries(
        {"submission_id": st.integers() | st.text() | st.booleans(), "submission_key": st.text()}
    )
)
def test_any_members_are_a_lease_or_name_the_field(members):
    """C84: so it is for any number and any key."""
    assert parsed(json.dumps(members)) in ("a lease", "xqueue_header.submission_id")


@pytest.mark.django_db
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(header=st.text(), body=st.text())
def test_any_form_is_answered_with_an_envelope(grader, header, body):
    """C84: whatever is posted, the answer is an envelope with status 200."""
    fields = json.dumps({"xqueue_header": header, "xqueue_body": body})
    response = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
    assert response.status_code == 200
    assert set(response.json()) == {"return_code", "content"}


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """What the short write costs, BEGIN and COMMIT included; delivering is counted elsewhere."""

    @pytest.fixture
    def lease(self):
        grader = make_grader()
        queue.enqueue(new_submission())
        return grader, grader.pull()

    @pytest.fixture(autouse=True)
    def _no_broker(self, monkeypatch):
        monkeypatch.setitem(enqueue._kinds, "apply_reply", enqueue.Kind(task=None))

    def test_a_put_that_collides(self, lease, monkeypatch):
        """C89, C91: a deadlock costs no result: hardly any grader posts it twice."""
        store_reply, calls = results.grader_replies.store_reply, []

        def collide_once(*args, **kwargs):
            calls.append(args)
            if len(calls) == 1:
                raise collision(connection.vendor)
            return store_reply(*args, **kwargs)

        monkeypatch.setattr(results.grader_replies, "store_reply", collide_once)
        grader, handed = lease
        assert grader.put(handed.header) == OK
        assert len(calls) == 2
        assert ReceivedReply.objects.count() == 1

    def test_put(self, lease, django_assert_num_queries):
        grader, handed = lease
        with django_assert_num_queries(4):
            assert grader.put(handed.header) == OK

    def test_a_repeated_put(self, lease, django_assert_num_queries):
        grader, handed = lease
        grader.put(handed.header)
        with django_assert_num_queries(6):
            assert grader.put(handed.header) == OK

    def test_a_refused_put(self, lease, django_assert_num_queries):
        grader, handed = lease
        with django_assert_num_queries(11):
            assert grader.put(handed.header, "not JSON") == BAD_FORMAT

    def test_a_put_that_would_do_for_a_trial_run(self, lease, django_assert_num_queries):
        grader, handed = lease
        with django_assert_num_queries(14):
            assert grader.put(handed.header, "{}") == BAD_FORMAT
