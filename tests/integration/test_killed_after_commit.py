"""A process is killed between a commit and what Django's ``on_commit`` was to run after it.

Receivers of signals then get nothing; ``docs/references/signals.rst`` says so. What the bridge
itself starts there is in a row, too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from tests.doubles.credentials import Credentials, running
from tests.integration import after_commit_jobs as jobs
from tests.integration.conftest import ANSWER, grade_of, submit
from tests.integration.killable_processes import fork_server
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    new_submission,
)
from xqueue_bridge.course_grades import overrides
from xqueue_bridge.course_grades.models import GradeRecalculation, PersistentCourseGrade
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.credentials import enqueue
from xqueue_bridge.credentials.models import GradeOutbox, GradeOutboxCursor
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

KILLED = -signal.SIGKILL


@pytest.fixture(autouse=True)
def credentials(settings) -> Iterator[Credentials]:
    with running() as service:
        settings.XQUEUE_BRIDGE = {"CREDENTIALS": service.settings, "MAX_DELIVERIES": 1}
        course_structure.publish(jobs.course(0.5))
        GradeOutboxCursor.objects.create(modified=timezone.now() - timedelta(minutes=1))
        yield service


@pytest.fixture
def ada() -> int:
    return get_user_model().objects.create(username="ada").pk


def killed(job: Callable[..., None], number: int, **kwargs: object) -> bool:
    """Run a job that is killed after its ``number``-th commit; return whether it was."""
    with fork_server() as processes:
        code = processes.run(f"{job.__module__}.{job.__name__}", number=number, **kwargs)
    assert code in (0, KILLED)
    return code == KILLED


def sweep_later() -> None:
    """Sweep when all grace periods and waits have passed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enqueue, "COMMIT_GRACE", timedelta(0))
        patch.setattr(overrides, "PENDING_GRACE", timedelta(0))
        for _ in range(4):
            for model in (ReceivedReply, GradeRecalculation, GradeOutbox):
                rows = model._default_manager.exclude(next_attempt_at=None)
                rows.update(next_attempt_at=timezone.now())
            sweep()


def percent_of(user_id: int) -> float:
    return PersistentCourseGrade.objects.get(user_id=user_id).percent_grade


def entry_of(user_id: int) -> dict[str, object]:
    return student_module.read_state(user_id, PROBLEM, COURSE)["correct_map"][ANSWER]


def test_result_becomes_one_grade_after_each_kill(secret, credentials) -> None:
    """SG43, SG44: apply, compute and send: each is started by the sweeper if its start was lost."""
    number, learners = 1, []
    while True:
        learners.append(submit(f"key {number}"))
        if not killed(jobs.grade, number, secret=secret):
            break
        sweep_later()
        number += 1
    assert number > 3, "result, score, grade"
    sweep_later()
    assert [grade_of(each) for each in learners] == [1] * number
    assert [percent_of(each) for each in learners] == [1.0] * number
    assert not Submission.objects.exclude(status="answered").exists()
    rows = GradeOutbox.objects.values_list("status", flat=True)
    assert list(rows) == ["sent"] * number
    usernames = [post.message["username"] for post in credentials.posts]
    assert len(set(usernames)) == number


def test_published_policy_counts(ada) -> None:
    """SG44: the regrade is marked in the row of the version."""
    student_module.set_score(ada, COURSE, PROBLEM, 1, 2)
    sweep_later()
    assert PersistentCourseGrade.objects.get().passed
    assert killed(jobs.publish, 1, pass_from=0.9)
    sweep_later()
    assert not PersistentCourseGrade.objects.get().passed


def test_override_in_a_transaction_of_the_host_counts(ada) -> None:
    student_module.set_score(ada, COURSE, PROBLEM, 1, 2)
    sweep_later()
    assert killed(jobs.override, 1, user_id=ada)
    assert percent_of(ada) == 0.5
    sweep_later()
    assert percent_of(ada) == 1


def test_failed_submission_no_longer_waits(secret) -> None:
    user_id = submit("key")
    grader = GraderClient(secret)
    grader.login()
    grader.pull()
    Submission.objects.update(available_at=timezone.now() - timedelta(seconds=1))
    assert killed(jobs.fail, 1)
    assert Submission.objects.get().status == "failed"
    assert entry_of(user_id)["queuestate"]
    sweep_later()
    assert not entry_of(user_id)["queuestate"]


def test_reply_that_came_before_its_state_is_applied(secret, ada) -> None:
    """C111: the state that waits is committed, and its signal is lost."""
    submission_queue.enqueue(new_submission(user_id=ada, queue_key="key"))
    grader = GraderClient(secret)
    grader.login()
    pulled = grader.pull()
    assert pulled
    grader.put(pulled.header, GOOD_REPLY)
    assert killed(jobs.save_state, 1, user_id=ada, queue_key="key")
    assert grade_of(ada) is None
    sweep_later()
    assert grade_of(ada) == 1


def test_replaced_answer_is_superseded_by_the_next_one(secret, ada) -> None:
    """SG42: until then graders are offered both, and the older one's reply changes nothing."""
    submit("first", user_id=ada)
    submission_queue.enqueue(new_submission(user_id=ada, queue_key="second"))
    assert killed(jobs.save_state, 1, user_id=ada, queue_key="second")
    assert set(Submission.objects.values_list("status", flat=True)) == {"waiting"}
    grader = GraderClient(secret)
    grader.login()
    pulled = grader.pull()
    assert pulled
    grader.put(pulled.header, GOOD_REPLY)
    assert grade_of(ada) is None
    submit("third", user_id=ada)
    statuses = dict(Submission.objects.values_list("queue_key", "status"))
    assert statuses == {"first": "answered", "second": "superseded", "third": "waiting"}
