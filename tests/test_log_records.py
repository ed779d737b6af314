"""Log records of a submission: each step has its id, and none a learner's text or a secret."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import grade, grade_all_again, graded, start, submit
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM, GraderClient, make_grader
from xqueue_bridge import deletion
from xqueue_bridge.data import RetirementMode
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import Order
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

#: What a learner wrote, and what the feedback says of it.
ANSWER, FEEDBACK = "my own answer", "feedback about it"
GOOD = json.dumps({"correct": True, "score": 1, "msg": f"<p>{FEEDBACK}</p>"})
BAD = json.dumps({"correct": "perhaps", "msg": FEEDBACK})


@pytest.fixture(autouse=True)
def _without_course_grades(settings) -> None:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REDELIVERY_BACKOFF": 0}


@pytest.fixture(autouse=True)
def _log_everything(caplog) -> None:
    caplog.set_level(logging.INFO, "xqueue_bridge")


@pytest.fixture
def grader() -> GraderClient:
    return make_grader("python", "other")


def steps(caplog: pytest.LogCaptureFixture, submission_id: int) -> list[str]:
    """Return the steps of a submission in the order of its records."""
    records: list[Any] = list(caplog.records)
    return [
        str(record.step)
        for record in records
        if getattr(record, "submission_id", None) == submission_id and hasattr(record, "step")
    ]


def submit_text(user_id: int) -> int:
    return submit(user_id, body=json.dumps({"student_response": ANSWER}))


def unapplied_reply(submission_id: int) -> int:
    """Store a submission's reply without an attempt to apply it; return the submission's id."""
    Submission.objects.filter(pk=submission_id).update(
        status="answered", available_at=None, due_at=None
    )
    ReceivedReply.objects.create(
        submission_id=submission_id,
        source="put_result",
        body=GOOD_REPLY,
        message="<p>ok</p>",
        correct=True,
        score_given=1,
        received_at=timezone.now(),
        next_attempt_at=timezone.now(),
    )
    return submission_id


def expire(submission_id: int) -> None:
    rows = Submission.objects.filter(pk=submission_id)
    rows.update(available_at=F("created_at"), due_at=F("created_at"))


def test_graded_submission_is_found_by_its_id(grader, caplog) -> None:
    user_id = make_learner()
    number = submit_text(user_id)
    pulled = grader.pull()
    assert grader.put(pulled.header, BAD)["return_code"] == 1
    pulled = grader.pull()
    assert grader.put(pulled.header, GOOD)["return_code"] == 0
    assert steps(caplog, number) == ["queued", "pulled", "refused", "pulled", "answered", "applied"]
    first: Any = next(each for each in caplog.records if hasattr(each, "step"))
    assert (first.queue_name, first.user_id) == ("python", user_id)
    assert (first.course_key, first.usage_key) == (COURSE, PROBLEM)


def test_record_has_no_text_and_no_secret_and_is_written_as_json(grader, caplog) -> None:
    number = submit_text(make_learner())
    header = grader.pull().header
    grader.put(header, BAD)
    pulled = grader.pull()
    grader.put(pulled.header, GOOD)
    row = Submission.objects.get(pk=number)
    allowed = set(LogFields.__annotations__)
    for record in caplog.records:
        if not hasattr(record, "step"):
            continue
        plain = vars(logging.LogRecord("", 0, "", 0, "", (), None)) | {"message": "", "asctime": ""}
        extra = {name: value for name, value in vars(record).items() if name not in plain}
        assert set(extra) <= allowed
        text = json.dumps({"text": record.getMessage(), **extra}, default=str)
        secrets = (pulled.pullkey, json.loads(header)["submission_key"], row.queue_key)
        for hidden in (ANSWER, FEEDBACK, *secrets):
            assert hidden not in text


def test_batch_has_a_record_of_each_reply(caplog) -> None:
    numbers = [submit_text(make_learner(f"learner {number}")) for number in range(3)]
    for number in numbers:
        unapplied_reply(number)
    grader_replies.apply_due()
    assert [steps(caplog, number) for number in numbers] == [["queued", "applied"]] * 3


def test_failed_and_requeued(caplog, settings) -> None:
    settings.XQUEUE_BRIDGE |= {"MAX_DELIVERIES": 1}
    number = submit_text(make_learner())
    assert queue.pull("python", None)
    expire(number)
    submission_queue.fail_exhausted()
    assert submission_queue.requeue([number]) == 1
    assert steps(caplog, number) == ["queued", "pulled", "failed", "applied", "requeued"]


def test_replaced_and_superseded(caplog) -> None:
    user_id = make_learner()
    held, waiting = submit_text(user_id), None
    assert queue.pull("python", None)
    waiting = submit_text(user_id)
    newest = submit_text(user_id)
    expire(held)
    submission_queue.fail_exhausted()
    assert steps(caplog, held) == ["queued", "pulled", "replaced", "superseded"]
    assert steps(caplog, waiting) == ["queued", "superseded"]
    deletion.delete_state(user_id, COURSE, PROBLEM)
    assert steps(caplog, newest) == ["queued", "superseded"]


def test_operators_actions(grader, caplog) -> None:
    moved = submit_text(make_learner())
    operations.begin(Order("move", "python", to="other"))
    operations.begin(Order("end", "other"))
    assert steps(caplog, moved) == ["queued", "moved", "ended", "applied"]
    held = submit_text(make_learner("grace"))
    grader.pull()
    operations.revoke_grader(submission_queue.Grader.objects.get())
    assert steps(caplog, held) == ["queued", "pulled", "released"]


def test_reply_that_is_stale(caplog, settings) -> None:
    settings.XQUEUE_BRIDGE |= {"STALE_AFTER_SECONDS": 1}
    user_id = make_learner()
    old = submit_text(user_id)
    assert queue.pull("python", None)
    submit_text(user_id)
    Submission.objects.filter(pk=old).update(created_at=timezone.now() - timedelta(hours=1))
    grade(old, 1)
    assert steps(caplog, old) == ["queued", "pulled", "replaced", "stale"]


def test_reply_that_dies(caplog, settings, monkeypatch) -> None:
    def refuse(self: object, *args: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(StudentModuleBackend, "apply", refuse)
    settings.XQUEUE_BRIDGE |= {"MAX_ATTEMPTS": 1}
    number = submit_text(make_learner())
    grade(number, 1)
    assert steps(caplog, number) == ["queued", "retry", "dead"]


def test_regrade_and_retirement(caplog) -> None:
    user_id, original = graded("ada")
    start()
    assert grade_all_again() == 1
    regrade = Submission.objects.get(regrade_of=original).pk
    assert steps(caplog, regrade) == ["queued", "pulled", "applied"]
    retire_learner(user_id, RetirementMode.SCRUB)
    assert steps(caplog, original)[-1] == "retired"


def test_gateway_gives_back(caplog) -> None:
    number = submit_text(make_learner())
    pulled = queue.pull("python", None)
    assert pulled is not None
    assert queue.give_back(pulled)
    assert steps(caplog, number) == ["queued", "pulled", "given_back"]


def test_every_step_is_on_the_page() -> None:
    page = Path(__file__).parents[1] / "docs/references/log_records.rst"
    text = page.read_text()
    names = [*Step, *LogFields.__annotations__]
    assert [name for name in names if f"``{name}``" not in text] == []
