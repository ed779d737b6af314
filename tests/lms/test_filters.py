"""The filters of openedx-filters, with the real package: for submissions and for results."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from openedx_filters import PipelineStep

from tests.doubles.problem_block import USAGE_KEY, problem_block
from tests.grader_replies.factories import make_learner, make_state, waiting_state
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge import XQueueService
from xqueue_bridge.checks.openedx import check_openedx
from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.filters import (
    ExternalGraderResultReceived,
    ExternalGraderSubmissionRequested,
)
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.lms import filters
from xqueue_bridge.protocol.headers import (
    make_xheader,
    parse_callback_header,
    parse_lease_header,
)
from xqueue_bridge.submission_queue import api, legacy, parsed_result, queue, results
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.tasks import sweep
from xqueue_bridge.xqueue_service.models import TransportOverride

pytestmark = pytest.mark.django_db(transaction=True)

BODY = '{"student_response": "print(1)"}'
#: What the steps below were given.
GIVEN: list[dict[str, Any]] = []


class Record(PipelineStep):
    """Change nothing."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        GIVEN.append(given)
        return {}


class Reroute(PipelineStep):
    """Send the answer to another queue, with another body."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        return {"queue_name": "fast", "body": '{"student_response": ""}'}


class Refuse(PipelineStep):
    """Refuse the answer, or the result."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        if "score" in given:
            raise ExternalGraderResultReceived.PreventResult("The grader is <b>being</b> changed.")
        raise ExternalGraderSubmissionRequested.PreventSubmission("The course is read-only.")


class RefuseWithoutText(PipelineStep):
    """Refuse the answer for a reason that has no text."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        raise ExternalGraderSubmissionRequested.PreventSubmission("<>")


class Halve(PipelineStep):
    """Change a result."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        GIVEN.append(given)
        msg = "<p>Half.</p><script>alert(1)</script>"
        return {"score": given["score"] / 2, "correct": False, "msg": msg}


class Spoil(PipelineStep):
    """Return what is no result."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        return {"score": "many"}


@pytest.fixture(autouse=True)
def _nothing_given() -> None:
    GIVEN.clear()


@pytest.fixture
def configure(settings):
    """Return a function that configures one step for one filter."""

    def write(filter_type: str, step: type) -> None:
        path = f"{step.__module__}.{step.__name__}"
        settings.OPEN_EDX_FILTERS_CONFIG = {
            filter_type: {"fail_silently": False, "pipeline": [path]}
        }

    return write


@pytest.fixture
def ada() -> int:
    return make_learner()


def send() -> tuple[int, str]:
    TransportOverride.objects.get_or_create(scope="site")
    service = XQueueService(problem_block())
    header = make_xheader(service.construct_callback("score_update"), "key-1", "python")
    return service.interface.send_to_queue(header=header, body=BODY)


class TestSubmission:
    def test_step_is_given_what_is_sent(self, configure):
        configure(filters.SUBMISSION, Record)
        assert send() == (0, "1")
        [given] = GIVEN
        sent = Submission.objects.get()
        assert given == {
            "user_id": sent.user_id,
            "course_key": sent.course_key,
            "usage_key": sent.usage_key,
            "dispatch": "score_update",
            "queue_name": "python",
            "body": BODY,
            "file_names": (),
        }
        assert sent.content.body == BODY

    def test_step_changes_queue_and_body(self, configure):
        configure(filters.SUBMISSION, Reroute)
        assert send() == (0, "1")
        sent = Submission.objects.get()
        assert (sent.queue_name, sent.queue_key) == ("fast", "key-1")
        assert sent.content.body == '{"student_response": ""}'
        assert json.loads(sent.content.header)["queue_name"] == "fast"

    def test_reason_of_a_step_is_told_to_the_learner(self, configure):
        configure(filters.SUBMISSION, Refuse)
        assert send() == (1, "The course is read-only.")
        configure(filters.SUBMISSION, RefuseWithoutText)
        assert send() == (1, "this site does not accept the answer")
        assert not Submission.objects.exists()

    def test_header_of_an_unchanged_submission_is_sent_as_it_is(self, configure):
        """C12, C41: its text is kept byte for byte, and the block says whose answer it is."""
        configure(filters.SUBMISSION, Record)
        TransportOverride.objects.create(scope="site")
        header = f"{make_xheader('http://lms/score_update', 'key-1', 'python')}\n"
        interface = XQueueService(problem_block()).interface
        assert interface.send_to_queue(header=header, body=BODY) == (0, "1")
        [given] = GIVEN
        assert (given["usage_key"], given["dispatch"]) == (USAGE_KEY, "score_update")
        assert Submission.objects.get().content.header == header

    def test_submission_over_http_passes_the_filter(self, configure, settings):
        """C41, C49: the submitter gets the reason, and shows it to the learner."""
        settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": ("http://lms.example.com/courses/",)}
        configure(filters.SUBMISSION, Refuse)
        lms = GraderClient(api.create_grader("lms", may_submit=True), "lms")
        lms.login()
        url = f"http://lms.example.com/courses/{COURSE}/xqueue/7/{PROBLEM}/score_update"
        form = {"xqueue_header": make_xheader(url, "key-1", "python"), "xqueue_body": BODY}
        answer = lms.http.post("/xqueue/submit/", form).json()
        assert answer == {"return_code": 1, "content": "The course is read-only."}
        configure(filters.SUBMISSION, Reroute)
        assert lms.http.post("/xqueue/submit/", form).json()["return_code"] == 0
        assert Submission.objects.get().queue_name == "fast"

    def test_without_steps_the_package_is_not_needed(self, monkeypatch):
        _uninstall(monkeypatch)
        assert send() == (0, "1")

    def test_without_the_package_nothing_is_sent(self, configure, monkeypatch, caplog):
        """A site that has configured a filter relies on it."""
        configure(filters.SUBMISSION, Refuse)
        _uninstall(monkeypatch)
        assert send() == (1, "the answer could not be stored")
        with pytest.raises(ImproperlyConfigured, match=r"xqueue-bridge\[openedx\]"):
            filters._run(filters.SUBMISSION, {})
        assert [message.id for message in check_openedx()] == ["xqueue_bridge.E043"]


class TestResult:
    @pytest.fixture
    def grader(self, ada) -> GraderClient:
        queue.enqueue(new_submission(user_id=ada))
        make_state(ada, _waiting(), PROBLEM)
        return make_grader()

    def test_step_is_given_the_parsed_result(self, configure, grader, ada):
        configure(filters.RESULT, Record)
        assert grader.put(grader.pull().header)["return_code"] == 0
        assert [
            {
                "user_id": ada,
                "course_key": COURSE,
                "usage_key": PROBLEM,
                "dispatch": "score_update",
                "queue_name": "python",
                "correct": True,
                "score": 1,
                "msg": "<p>All tests passed.</p>",
            }
        ] == GIVEN
        assert _state(ada)["score"]["raw_earned"] == 1

    def test_changed_result_is_checked_and_sanitised(self, configure, grader, ada):
        configure(filters.RESULT, Halve)
        grader.put(grader.pull().header)
        entry = _state(ada)["correct_map"]["loops_2_1"]
        assert (entry["npoints"], entry["msg"]) == (0.5, "<p>Half.</p>")
        assert ReceivedReply.objects.get().body == GOOD_REPLY

    def test_stopped_result_ends_with_the_reason(self, configure, grader, ada):
        """C12: the learner waits no longer, gets no points for it, and loses no attempt."""
        configure(filters.RESULT, Refuse)
        assert grader.put(grader.pull().header) == {"return_code": 0, "content": ""}
        assert Submission.objects.get().status == Status.ANSWERED
        entry = _state(ada)["correct_map"]["loops_2_1"]
        assert (entry["correctness"], entry["queuestate"]) == ("incomplete", None)
        assert "The grader is &lt;b&gt;being&lt;/b&gt; changed." in entry["msg"]
        assert _state(ada)["attempts"] == 0
        stopped = ReceivedReply.objects.get(source="put_result")
        assert (stopped.status, stopped.last_error) == ("rejected", "a filter has stopped it")

    def test_invalid_change_is_ignored(self, configure, grader, ada, caplog):
        configure(filters.RESULT, Spoil)
        grader.put(grader.pull().header)
        assert _state(ada)["score"]["raw_earned"] == 1
        where = f"(queue 'python', learner {ada}, block {PROBLEM}): score: must be a number"
        assert f"{filters.RESULT} returned an invalid result {where}" in caplog.text

    def test_steps_do_not_run_for_a_wrong_key(self, configure, grader):
        configure(filters.RESULT, Record)
        header = json.dumps({"submission_id": grader.pull().submission_id, "submission_key": "x"})
        assert grader.put(header)["content"] == "Incorrect key for submission"
        assert GIVEN == []

    def test_late_result_passes_the_filter(self, configure, grader):
        configure(filters.RESULT, Refuse)
        pulled = grader.pull()
        Submission.objects.update(status=Status.FAILED, available_at=None, due_at=None)
        assert grader.put(pulled.header)["content"] == "Submission has failed"
        assert not ReceivedReply.objects.exists()

    def test_one_more_statement_if_it_is_configured(
        self, configure, grader, django_assert_num_queries
    ):
        """Reading the submission; without a filter put_result has none before its UPDATE."""
        configure(filters.RESULT, Record)
        lease = parse_lease_header(grader.pull().header)
        account = Principal(1, 1, frozenset({"python"}))
        result = parsed_result.parse_result(GOOD_REPLY)
        with django_assert_num_queries(1):
            assert results._filtered(account, lease, result) == result
        assert len(GIVEN) == 1

    def test_callback_passes_the_filter(self, configure, ada):
        configure(filters.RESULT, Refuse)
        make_state(ada, _waiting(), PROBLEM)
        target = Target(ada, COURSE, PROBLEM, Dispatch.SCORE_UPDATE)
        receipt = legacy.receive(target, parse_callback_header('{"lms_key": "key-1"}'), GOOD_REPLY)
        assert (receipt.status, receipt.text) == (
            200,
            "stopped by a filter, and the learner is told",
        )
        sweep()
        assert "The grader is" in _state(ada)["correct_map"]["loops_2_1"]["msg"]


def _uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openedx_filters", "openedx_filters.exceptions", "xqueue_bridge.filters"):
        monkeypatch.setitem(sys.modules, name, None)


def _waiting() -> dict[str, Any]:
    return waiting_state(loops_2_1="key-1")


def _state(user_id: int) -> dict[str, Any]:
    return learner_state.read_state(user_id, PROBLEM, COURSE)
