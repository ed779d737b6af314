"""Which transport is taken, and what a failed send does."""

from __future__ import annotations

import logging

import pytest
from django.utils import translation
from opaque_keys.edx.keys import UsageKey

from tests.doubles.problem_block import problem_block
from tests.doubles.xqueue_server import Response, XQueueServer
from xqueue_bridge import XQueueInterface, XQueueService
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service import interface as xqueue_interface
from xqueue_bridge.xqueue_service.models import TransportOverride

pytestmark = pytest.mark.django_db
BODY = '{"student_response": "print(1)"}'
OTHER = UsageKey.from_string("block-v1:DemoX+CS102+2026+type@problem+block@sums")
TRY_AGAIN = "Your answer was not sent to the grader ({}). Your attempts are unchanged; try again."


class RequestRefused(Exception):
    """Stands for capa's ResponseError."""


def header_of(block, dispatch: str = "score_update") -> str:
    return make_xheader(XQueueService(block).construct_callback(dispatch), "k", "demo")


def send(block, dispatch: str = "score_update") -> tuple[int, str]:
    return XQueueService(block).interface.send_to_queue(
        header=header_of(block, dispatch), body=BODY
    )


def use_table(course: str, yes: bool = True) -> None:
    TransportOverride.objects.update_or_create(
        scope="course", name=course, defaults={"use_submissions_table": yes}
    )


def test_each_course_takes_its_own_transport(server: XQueueServer) -> None:
    """C28: one course is switched, another is not."""
    use_table("course-v1:DemoX+CS101+2026")
    send(problem_block())
    send(problem_block(OTHER))
    assert [str(item.course_key) for item in Submission.objects.all()] == [
        "course-v1:DemoX+CS101+2026"
    ]
    assert len(server.items) == 1


def test_the_flag_is_read_at_every_send(server: XQueueServer) -> None:
    """C28: switching there and back works on a service that is already made."""
    interface = XQueueService(problem_block()).interface
    for yes in (True, False, True):
        use_table("course-v1:DemoX+CS101+2026", yes)
        assert interface.send_to_queue(header=header_of(problem_block()), body=BODY)[0] == 0
    assert (Submission.objects.count(), len(server.items)) == (2, 1)


@pytest.mark.parametrize("flag", [True, False])
def test_the_caller_may_choose(server: XQueueServer, flag: bool) -> None:
    """C28: use_submission_service, when given, is not overruled by the flag."""
    use_table("course-v1:DemoX+CS101+2026", not flag)
    interface = XQueueInterface(
        server.url, server.auth, block=problem_block(), use_submission_service=flag
    )
    assert interface.send_to_queue(header_of(problem_block()), BODY) == (0, "1")
    assert Submission.objects.exists() is flag


def test_without_a_block_the_site_decides(server: XQueueServer) -> None:
    """C28: without block and course the site's override counts."""
    TransportOverride.objects.create(scope="site", use_submissions_table=True)
    assert XQueueInterface().send_to_queue(header_of(problem_block()), BODY) == (0, "1")
    assert Submission.objects.exists()


def test_server_that_is_passed_in_counts_as_configured(server: XQueueServer, settings) -> None:
    """C28: the host's settings name no legacy server, and the caller does."""
    del settings.XQUEUE_INTERFACE
    interface = XQueueInterface(server.url, server.auth, block=problem_block())
    assert interface.send_to_queue(header_of(problem_block()), BODY) == (0, "1")
    interface = XQueueInterface(server.url, block=problem_block())
    refused = (1, "Insufficient login info")
    assert interface.send_to_queue(header_of(problem_block()), BODY) == refused
    assert len(server.items) == 1
    assert not Submission.objects.exists()


def test_without_block_and_filter_any_callback_url_is_sent(server: XQueueServer) -> None:
    """C28, C39: the legacy server gets the header as it is; nothing reads its URL."""
    header = make_xheader("http://lms.example.com/elsewhere", "k", "demo")
    assert XQueueInterface(use_submission_service=False).send_to_queue(header, BODY) == (0, "1")


def test_unforeseen_failure_is_a_tuple(monkeypatch, caplog) -> None:
    """C7, C9, C10: whatever breaks, the block gets a pair, and the log no content."""

    def break_down(*args: object, **kwargs: object) -> bool:
        raise RuntimeError(BODY)

    monkeypatch.setattr(xqueue_interface, "use_edx_submissions_for_xqueue", break_down)
    assert send(problem_block()) == (1, "the answer could not be stored")
    assert "RuntimeError" in caplog.text
    assert "break_down" in caplog.text
    assert "student_response" not in caplog.text


def test_refusals_are_logged_without_content(server: XQueueServer, caplog) -> None:
    """C9, C40: operators see the reason, not the answer."""
    caplog.set_level(logging.DEBUG)
    server.instead["submit"] = [Response("", 503)]
    assert send(problem_block()) == (1, "unexpected HTTP status code [503]")
    assert "503" in caplog.text
    assert "student_response" not in caplog.text


# --- the policy "do not charge attempts"


def test_failed_send_raises_the_configured_error(server: XQueueServer, settings) -> None:
    """C30: the class that the host names, with words for the learner and without a cause."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": f"{__name__}.RequestRefused"}
    server.instead["submit"] = [Response("", 503)]
    with pytest.raises(RequestRefused) as failure:
        send(problem_block())
    assert str(failure.value) == TRY_AGAIN.format("unexpected HTTP status code [503]")
    assert failure.value.__context__ is None


def test_server_refusal_raises_too(server: XQueueServer, settings) -> None:
    """C30: also when it is the server that refuses."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": f"{__name__}.RequestRefused"}
    server.queues = set()
    with pytest.raises(RequestRefused, match="Queue 'demo' not found"):
        send(problem_block())


def test_sent_is_sent(server: XQueueServer, settings) -> None:
    """C30: the policy changes nothing when all is well."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": f"{__name__}.RequestRefused"}
    assert send(problem_block()) == (0, "1")


def test_trial_run_gets_its_tuple(server: XQueueServer, settings) -> None:
    """C25, C30: a trial run costs no attempt, and its page can show the reason."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": f"{__name__}.RequestRefused"}
    server.instead["submit"] = [Response("", 503)]
    assert send(problem_block(), "ungraded_response")[0] == 1


@pytest.mark.parametrize("path", ["no.such.thing", "nonsense", ""])
def test_policy_that_cannot_be_followed(server: XQueueServer, settings, caplog, path: str) -> None:
    """C7, C30: a wrong class name is not the learner's trouble; the log has the setting."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": path}
    server.instead["submit"] = [Response("", 503)]
    assert send(problem_block()) == (1, "unexpected HTTP status code [503]")
    assert (f'XQUEUE_BRIDGE["SEND_ERROR_CLASS"] cannot be imported: {path}' in caplog.text) is bool(
        path
    )


@pytest.mark.parametrize(
    ("header", "field", "queue"),
    [
        ("{", "xqueue_header", "unknown"),
        (
            make_xheader("http://lms.example.com/elsewhere", "k", "demo"),
            "lms_callback_url",
            "'demo'",
        ),
    ],
)
def test_bad_header_raises_the_configured_error(
    settings, caplog, header: str, field: str, queue: str
) -> None:
    """C30: what cannot be read at all counts as an answer. The log has what is known of it."""
    settings.XQUEUE_BRIDGE = {"SEND_ERROR_CLASS": f"{__name__}.RequestRefused"}
    with pytest.raises(RequestRefused, match=field):
        XQueueInterface(use_submission_service=True).send_to_queue(header, BODY)
    assert caplog.text.endswith(f"(queue {queue})\n")


def test_message_of_an_answer_over_the_limit_does_not_say_try_again(settings) -> None:
    """C26, C30: sending it again cannot succeed, so the learner is told to change it."""
    settings.XQUEUE_BRIDGE = {
        "SEND_ERROR_CLASS": f"{__name__}.RequestRefused",
        "MAX_BODY_BYTES": 5,
    }
    with pytest.raises(RequestRefused) as failure:
        send(problem_block())
    assert "it takes 32 bytes, and at most 5 bytes can be sent" in str(failure.value)
    assert str(failure.value).endswith("Change your answer before you submit again.")
    assert "try again" not in str(failure.value)


def test_log_names_queue_learner_and_block(server: XQueueServer, caplog) -> None:
    """C9, C40: the log line of a failed send says whose submission it was, in English."""
    server.instead["submit"] = [Response("", 503)]
    block = problem_block()
    with translation.override("de"):
        send(block)
    origin = f"queue 'demo', learner {block.scope_ids.user_id}, block {block.scope_ids.usage_id}"
    assert f"A submission was not sent: unexpected HTTP status code [503] ({origin})" in caplog.text
