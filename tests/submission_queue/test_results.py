"""Put_result: results that are stored or refused, and the response to each."""

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
from tests.property_examples import few
from tests.submission_queue.factories import GOOD_REPLY, make_grader, new_submission
from xqueue_bridge.data import Dispatch
from xqueue_bridge.db import update
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies.inbox import SHORTENED_MESSAGE
from xqueue_bridge.grader_replies.models import ReceivedReply, ReplyCodeCount
from xqueue_bridge.protocol.headers import parse_lease_header
from xqueue_bridge.submission_queue import finish, queue, results
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.worker import enqueue

FORM = "application/x-www-form-urlencoded"
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
def pulled(grader):
    queue.enqueue(new_submission())
    return grader.pull()


@pytest.mark.django_db
class TestAccepted:
    def test_result_as_a_form_is_stored(self, grader, pulled):
        """C79, C80: the result is stored and acknowledged with empty content."""
        assert grader.put(pulled.header) == OK
        row = Submission.objects.get()
        assert (row.status, row.available_at) == (Status.ANSWERED, None)
        assert row.finished_at is not None
        reply = ReceivedReply.objects.get()
        assert (reply.body, reply.source) == (GOOD_REPLY, "put_result")

    def test_log_names_an_answered_submission_once(self, grader, pulled, caplog):
        """Kind 14: which submission, and which grader's account."""
        caplog.set_level("INFO")
        for key in ("no key", pulled.pullkey, pulled.pullkey):
            header = {"submission_id": pulled.submission_id, "submission_key": key}
            grader.put(json.dumps(header))
        account = Grader.objects.get().pk
        line = f"Submission {pulled.submission_id} answered by grader {account}"
        [record] = [each for each in caplog.records if each.getMessage() == line]
        assert (record.submission_id, record.grader_id) == (pulled.submission_id, account)

    def test_result_for_a_retired_learner_is_no_duplicate(self, grader, pulled):
        """C79, C87: it is acknowledged, and nothing says that it was stored before."""
        Submission.objects.update(status=Status.RETIRED)
        form = {"xqueue_header": pulled.header, "xqueue_body": GOOD_REPLY}
        response = grader.http.post("/xqueue/put_result/", form)
        assert response.json() == OK
        assert "X-XQueue-Warnings" not in response

    def test_result_as_json_is_stored(self, grader, pulled):
        """C79: the same two texts may be a JSON object."""
        body = {"xqueue_header": pulled.header, "xqueue_body": GOOD_REPLY}
        response = grader.http.post("/xqueue/put_result/", body, content_type="application/json")
        assert response.json() == OK

    def test_submission_id_may_be_text(self, grader, pulled):
        """C79: several clients send the submission's number back as a string."""
        header = {"submission_id": str(pulled.submission_id), "submission_key": pulled.pullkey}
        assert grader.put(json.dumps(header)) == OK

    def test_repeated_result_is_stored_once(self, grader, pulled):
        """C87: the same result posted twice succeeds twice, with one effect."""
        assert grader.put(pulled.header) == OK
        assert grader.put(pulled.header) == OK
        assert ReceivedReply.objects.count() == 1

    def test_different_second_result_is_refused(self, grader, pulled):
        """C88: the first valid result counts; the response to a different one says so."""
        grader.put(pulled.header)
        other = json.dumps({"correct": False, "score": 0, "msg": "no"})
        assert grader.put(pulled.header, other) == HAS_RESULT
        assert ReceivedReply.objects.get().body == GOOD_REPLY

    def test_grader_of_every_queue_returns_results(self):
        """C99: "*" is no queue, but a grant of each of them."""
        grader = make_grader("*")
        queue.enqueue(new_submission())
        assert grader.put(grader.pull().header) == OK

    def test_result_after_the_lease_is_stored(self, grader, pulled):
        """C75: a late result is accepted if no other grader has pulled."""
        Submission.objects.update(available_at=timezone.now())
        assert grader.put(pulled.header) == OK

    def test_result_with_the_key_of_a_former_delivery_is_refused(self, grader, pulled):
        """C74: after another grader has pulled, the former key is rejected."""
        Submission.objects.update(available_at=timezone.now())
        second = grader.pull()
        assert grader.put(pulled.header) == WRONG_KEY
        assert grader.put(second.header) == OK

    def test_result_of_a_trial_run_needs_no_grade(self, grader):
        """C25: the result of a trial run carries only its message."""
        queue.enqueue(new_submission(dispatch=Dispatch.UNGRADED_RESPONSE))
        assert grader.put(grader.pull().header, '{"msg": "plot"}') == OK

    def test_result_without_a_grade_is_refused(self, grader, pulled):
        assert grader.put(pulled.header, '{"msg": "plot"}') == BAD_FORMAT


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
    def test_invalid_header_is_an_incorrect_format(self, grader, header):
        """C83, C84: a header without id and pull key is no server error."""
        assert grader.put(header) == BAD_FORMAT

    @pytest.mark.parametrize("missing", ["xqueue_header", "xqueue_body"])
    def test_missing_field_is_named(self, grader, pulled, missing):
        """C83: a missing field is an incorrect format; the response's header names the field."""
        form = {"xqueue_header": pulled.header, "xqueue_body": GOOD_REPLY}
        del form[missing]
        response = grader.http.post("/xqueue/put_result/", form)
        assert response.json() == BAD_FORMAT
        assert response["X-XQueue-Problem"] == f"{missing}: is missing"

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            *((text, "field_missing") for text in ("[]", "3", '"text"', "null", "")),
            ("{", "body_unreadable"),
            ("[" * 100_000, "nested_too_deep"),
        ],
    )
    def test_json_that_is_not_an_object_is_an_incorrect_format(self, grader, body, code):
        """C84: the response is an incorrect format, and no server error."""
        response = grader.http.post("/xqueue/put_result/", body, content_type="application/json")
        assert response.status_code == 200
        assert response.json() == BAD_FORMAT
        assert response["X-XQueue-Code"] == code

    @pytest.mark.parametrize("value", [5, None, {}, [], True])
    @pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
    def test_field_that_is_not_text_is_an_incorrect_format(self, grader, pulled, field, value):
        """C83: both fields must be text."""
        fields = {"xqueue_header": pulled.header, "xqueue_body": GOOD_REPLY, field: value}
        response = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
        assert response.json() == BAD_FORMAT
        code = "field_missing" if value is None else "not_text"
        assert response["X-XQueue-Code"] == code

    def test_other_media_type_is_an_incorrect_format(self, grader):
        """C84: a body that is neither a form nor JSON is an incorrect format."""
        response = grader.http.post("/xqueue/put_result/", "x", content_type="text/csv")
        assert (response.status_code, response.json()) == (200, BAD_FORMAT)
        assert response["X-XQueue-Code"] == "media_type_unknown"
        assert response["X-XQueue-Problem"].startswith("Content-Type: ")

    def test_form_with_too_many_fields_is_an_incorrect_format(self, grader, settings):
        """C84: Django's limit on fields is no server error."""
        settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1
        response = grader.http.post("/xqueue/put_result/", "a=1&b=2", content_type=FORM)
        assert (response.status_code, response.json()) == (200, BAD_FORMAT)
        assert response["X-XQueue-Code"] == "too_many_fields"

    def test_code_says_why_the_header_is_refused(self, grader, pulled):
        """C83, C85, C88: the author of the grader can look the code up."""

        def code_of(header: str) -> str:
            form = {"xqueue_header": header, "xqueue_body": '{"correct": true, "score": 0}'}
            return grader.http.post("/xqueue/put_result/", form)["X-XQueue-Code"]

        wrong_key = json.dumps({"submission_id": pulled.submission_id, "submission_key": "x"})
        assert code_of(wrong_key) == "key_unknown"
        assert code_of('{"submission_id": 4711, "submission_key": "x"}') == "submission_unknown"
        assert code_of('{"submission_id": "x", "submission_key": "x"}') == "field_invalid"
        grader.put(pulled.header)
        assert code_of(pulled.header) == "already_answered"

    @pytest.mark.parametrize("number", [0, 4711, 2**63 - 1])
    def test_unknown_submission_id_does_not_exist(self, grader, number):
        """C85: an unknown submission id is an error."""
        header = {"submission_id": number, "submission_key": "k"}
        assert grader.put(json.dumps(header)) == NO_SUBMISSION

    @pytest.mark.parametrize("key", ["wrong", "\ud800"])
    def test_wrong_pull_key_is_refused(self, grader, pulled, key):
        """C85: the response says so with status 200, also if the key is not text."""
        header = json.dumps({"submission_id": pulled.submission_id, "submission_key": key})
        assert grader.put(header) == grader.put(header, "not JSON") == WRONG_KEY
        assert not ReceivedReply.objects.exists()

    def test_pull_key_of_another_submission_is_refused(self, grader, pulled):
        """C85: a pull key is valid for one submission, also for the same grader."""
        queue.enqueue(new_submission(queue_key="key-2"))
        other = grader.pull()
        header = json.dumps(
            {"submission_id": other.submission_id, "submission_key": pulled.pullkey}
        )
        assert grader.put(header) == grader.put(header, "{}") == WRONG_KEY
        assert not ReceivedReply.objects.exists()

    def test_result_for_a_submission_that_was_never_pulled_is_refused(self, grader):
        """C85: a submission that was never pulled has no valid key."""
        queue.enqueue(new_submission())
        header = {"submission_id": Submission.objects.get().pk, "submission_key": ""}
        assert grader.put(json.dumps(header)) == WRONG_KEY

    def test_submission_of_a_queue_without_a_grant_does_not_exist(self, pulled):
        """C99: a submission of a queue that was not granted does not exist for a grader."""
        stranger = make_grader("java", name="stranger")
        assert stranger.put(pulled.header) == NO_SUBMISSION
        assert stranger.put(pulled.header, "{}") == NO_SUBMISSION
        assert not ReceivedReply.objects.exists()
        assert make_grader(name="other").pull() is None, "its lease has not ended"

    def test_pull_key_is_stored_as_a_digest(self, pulled):
        """C86: a pull key is long and random, and the row has its digest only."""
        assert len(pulled.pullkey) >= 32
        assert pulled.pullkey not in str(Submission.objects.values().get())

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ("not JSON", "not_json", "xqueue_body"),
            ("[]", "not_an_object", "xqueue_body"),
            ('{"correct": true, "score": NaN, "msg": "x"}', "score_not_finite", "score"),
            ('{"correct": true, "score": Infinity, "msg": "x"}', "score_not_finite", "score"),
            ('{"correct": true, "score": "1", "msg": "x"}', "score_not_a_number", "score"),
            ('{"correct": true, "score": null, "msg": "x"}', "score_not_a_number", "score"),
            ('{"correct": "perhaps", "score": 1, "msg": "x"}', "correct_invalid", "correct"),
            ('{"score": 1, "msg": "x"}', "field_missing", "correct"),
            ('{"correct": true, "score": 1, "msg": ["x"]}', "msg_invalid", "msg"),
            ("\x00", "not_json", "xqueue_body"),
        ],
    )
    def test_invalid_reply_is_stored_as_rejected_and_delivered_again(
        self, grader, pulled, body, code, field
    ):
        """C92, C97: the reply is kept for operators; the submission is offered again later."""
        before = timezone.now()
        assert grader.put(pulled.header, body) == BAD_FORMAT
        reply = ReceivedReply.objects.get()
        assert reply.status == ReceivedReply.Status.REJECTED
        assert reply.next_attempt_at is None
        assert reply.last_error.startswith(f"{field}: ")
        assert reply.codes == [{"code": code, "field": field, "data": {}}]
        assert reply.source == "put_result"
        row = Submission.objects.get()
        assert row.status == Status.LEASED
        assert timedelta(seconds=25) < row.available_at - before < timedelta(seconds=35)
        assert row.available_at - before >= timedelta(seconds=5), "but not at once"
        assert abs(row.due_at - row.available_at) < timedelta(seconds=1)

    def test_delay_after_an_invalid_reply_is_that_of_the_queue(self, grader, pulled, settings):
        """C92: REDELIVERY_BACKOFF may be set for each queue."""
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"REDELIVERY_BACKOFF": 500}}}
        before = timezone.now()
        assert grader.put(pulled.header, "{}") == BAD_FORMAT
        assert Submission.objects.get().available_at - before > timedelta(seconds=400)

    def test_invalid_reply_whose_lease_ends_meanwhile_is_not_stored(
        self, grader, pulled, monkeypatch
    ):
        """C82, C92: another process has delivered the submission again; its lease stays."""

        def deliver_again(*args, **kwargs):
            Submission.objects.update(pullkey_digest="of the next delivery")
            return 30.0

        monkeypatch.setattr(results, "backoff", deliver_again)
        assert grader.put(pulled.header, "{}") == WRONG_KEY
        assert not ReceivedReply.objects.exists()
        assert Submission.objects.get().pullkey_digest == "of the next delivery"

    def test_invalid_field_is_named_in_the_response(self, grader, pulled):
        """C92: the author of the grader finds the field's name in the response."""
        response = grader.http.post(
            "/xqueue/put_result/",
            {"xqueue_header": pulled.header, "xqueue_body": '{"correct": true, "msg": ""}'},
        )
        assert response["X-XQueue-Problem"] == "score: is missing"

    def test_valid_reply_after_the_next_delivery_is_accepted(self, grader, pulled):
        """C92: after an invalid reply a result of the next delivery is accepted."""
        grader.put(pulled.header, "{}")
        assert grader.put(pulled.header) == WRONG_KEY
        Submission.objects.update(available_at=timezone.now())
        assert grader.put(grader.pull().header) == OK

    def test_feedback_over_the_limit_is_shortened_and_the_grade_counts(
        self, grader, pulled, settings
    ):
        """C93: a refusal of each delivery's result would give 0 points for a correct answer."""
        settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 1000}
        reply = json.dumps({"correct": True, "score": 1, "msg": "<p>" + "é" * 1000 + "</p>"})
        assert grader.put(pulled.header, reply) == OK
        stored = ReceivedReply.objects.get()
        assert (stored.correct, stored.score_given) == (True, 1)
        sizes = {"characters": 1007, "kept": 501}
        assert stored.codes == [{"code": "feedback_shortened", "field": "msg", "data": sizes}]
        assert stored.message.count("é") == 498
        notice = f'<div class="external-grader-shortened">{SHORTENED_MESSAGE}</div>'
        assert stored.message.endswith(f"</p>{notice}")
        assert len(stored.body) == 1000
        assert grader.put(pulled.header, reply) == OK, "the same result again"

    def test_body_with_half_of_a_surrogate_pair_is_an_incorrect_format(self, grader, pulled):
        """C84: JSON can contain half of a surrogate pair."""
        fields = {"xqueue_header": pulled.header, "xqueue_body": "\ud800"}
        response = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
        assert response.json() == BAD_FORMAT

    def test_request_over_djangos_limit_is_logged(self, grader, pulled, settings, caplog):
        """C84: a result that Django's own limit refuses is lost, so the log says so."""
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 1}
        assert grader.put(pulled.header) == BAD_FORMAT
        assert "BodyTooLarge" in caplog.text

    def test_result_for_a_failed_submission_is_kept(self, grader, pulled, settings):
        """C77: the result is kept for the course staff, and the response says so."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        Submission.objects.update(available_at=timezone.now())
        finish.fail_exhausted()
        assert grader.put(pulled.header) == grader.put(pulled.header) == TOO_LATE
        [late] = ReceivedReply.objects.filter(source="put_result")
        assert (late.body, late.score_given) == (GOOD_REPLY, 1)
        assert (late.status, late.next_attempt_at) == ("late", None)
        assert Submission.objects.get().status == Status.FAILED

    def test_invalid_result_for_a_failed_submission_is_not_kept(self, grader, pulled, settings):
        """C77, C92: an invalid late result is not stored."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        Submission.objects.update(available_at=timezone.now())
        finish.fail_exhausted()
        assert grader.put(pulled.header, "{}")["content"] == "Submission has failed"
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
def test_any_header_is_read_or_names_the_field(text):
    """C84: no header causes a server error."""
    assert parsed(text) in ("a lease", "xqueue_header", *MEMBERS)


@given(
    st.fixed_dictionaries(
        {"submission_id": st.integers() | st.text() | st.booleans(), "submission_key": st.text()}
    )
)
def test_any_id_and_key_are_read_or_name_the_field(members):
    """C84: no submission id and no pull key causes a server error."""
    assert parsed(json.dumps(members)) in ("a lease", "xqueue_header.submission_id")


@pytest.mark.django_db
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=few(40), deadline=None
)
@given(header=st.text(), body=st.text())
def test_any_header_and_body_get_an_envelope(grader, header, body):
    """C84: the response to any fields is an envelope with status 200."""
    fields = json.dumps({"xqueue_header": header, "xqueue_body": body})
    response = grader.http.post("/xqueue/put_result/", fields, content_type="application/json")
    assert response.status_code == 200
    assert set(response.json()) == {"return_code", "content"}


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """Number of statements that store a result, BEGIN and COMMIT included."""

    @pytest.fixture
    def lease(self):
        grader = make_grader()
        queue.enqueue(new_submission())
        return grader, grader.pull()

    @pytest.fixture(autouse=True)
    def _no_broker(self, monkeypatch):
        monkeypatch.setitem(enqueue._kinds, "apply_reply", enqueue.Kind(task=None))

    def test_result_is_stored_once_after_a_deadlock(self, lease, monkeypatch):
        """C89, C91: few graders post a result again, so the transaction is repeated."""
        insert_row, calls = update.insert_row, []

        def collide_once(*args):
            calls.append(args)
            if len(calls) == 1:
                raise collision(connection.vendor)
            return insert_row(*args)

        monkeypatch.setattr(update, "insert_row", collide_once)
        grader, pulled = lease
        assert grader.put(pulled.header) == OK
        assert len(calls) == 2
        assert ReceivedReply.objects.count() == 1

    def test_result_takes_four_statements_or_one(self, lease, django_assert_num_queries):
        """BEGIN, UPDATE, INSERT, COMMIT; PostgreSQL and MariaDB execute one statement."""
        grader, pulled = lease
        with django_assert_num_queries(1 if update.one_statement() else 4):
            assert grader.put(pulled.header) == OK

    def test_repeated_result_takes_six_statements_or_four(self, lease, django_assert_num_queries):
        """BEGIN, an UPDATE without effect, COMMIT, or one statement; three more."""
        grader, pulled = lease
        grader.put(pulled.header)
        with django_assert_num_queries(4 if update.one_statement() else 6):
            assert grader.put(pulled.header) == OK

    def test_invalid_result_takes_twelve_statements(self, lease, django_assert_num_queries):
        """The last one counts the code of the grader's reply."""
        grader, pulled = lease
        ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="not_json")
        with django_assert_num_queries(12):
            assert grader.put(pulled.header, "not JSON") == BAD_FORMAT
        assert ReplyCodeCount.objects.get().count == 1

    def test_result_without_a_grade_takes_fifteen_statements_or_thirteen(
        self, lease, django_assert_num_queries
    ):
        grader, pulled = lease
        ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="field_missing")
        with django_assert_num_queries(13 if update.one_statement() else 15):
            assert grader.put(pulled.header, "{}") == BAD_FORMAT

    def test_result_with_warnings_takes_one_statement_more(self, lease, django_assert_num_queries):
        grader, pulled = lease
        ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="score_below_zero")
        with django_assert_num_queries(2 if update.one_statement() else 5):
            reply = '{"correct": false, "score": -1, "msg": ""}'
            assert grader.put(pulled.header, reply) == OK
        assert ReplyCodeCount.objects.get().count == 1
