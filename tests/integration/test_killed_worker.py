"""A process that applies replies or sends grades is killed at each moment; no work is lost.

The processes get SIGKILL before or after an SQL statement.
"""

from __future__ import annotations

import json
import random
import signal
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from tests.credentials.factories import make_due
from tests.doubles.credentials import Credentials, running
from tests.grader_replies import real_block
from tests.grader_replies.factories import OLD, make_learner, make_reply
from tests.integration.conftest import BROKERS, submit
from tests.integration.killable_processes import ForkServer, fork_server
from tests.integration.subprocess_jobs import IDLE
from tests.moments import STEP
from tests.submission_queue.factories import COURSE, GraderClient
from xqueue_bridge import tasks
from xqueue_bridge.course_grades.models import GradeRecalculation, PersistentCourseGrade
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.course_structure.policy import parse_policy
from xqueue_bridge.credentials import enqueue
from xqueue_bridge.credentials.models import GradeOutbox, GradeOutboxCursor
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import BlockLock, ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker import enqueue as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("course")]

JOBS = "tests.integration.subprocess_jobs"
PROBLEMS = 2
KILLED = -signal.SIGKILL
#: About 50 statements run between a stored reply and Credentials: a moment before and after each.
MOMENTS = range(1, 2 * 50 + 1)
TRIED = MOMENTS[::STEP]


@pytest.fixture(autouse=True)
def _fixed_random_seed() -> None:
    random.seed(9)


@pytest.fixture
def credentials(settings) -> Credentials:
    with running() as service:
        settings.XQUEUE_BRIDGE = {
            "RECALCULATE_GRADE_DELAY_SECONDS": 0.01,
            "CREDENTIALS": service.settings,
        }
        yield service


def key_of(kind: str, name: object) -> UsageKey:
    return COURSE.make_usage_key(kind, str(name))


@pytest.fixture
def course(transactional_db) -> None:
    """Publish one homework of two problems with one point each; one point is a pass."""
    blocks = tuple(
        course_structure.Block(key_of("problem", n), "problem", max_score=1.0)
        for n in range(PROBLEMS)
    )
    homework = course_structure.Subsection(
        key_of("sequential", "homework"), "Homework", "Homework", graded=True, blocks=blocks
    )
    chapter = course_structure.Chapter(key_of("chapter", "one"), "One", (homework,))
    grader = {"type": "Homework", "min_count": 1, "drop_count": 0, "weight": 1.0}
    policy = parse_policy({"GRADER": [grader], "GRADE_CUTOFFS": {"Pass": 0.5}})
    course_structure.publish(
        course_structure.Course(COURSE, "1", timezone.now(), None, policy, (chapter,))
    )
    GradeOutboxCursor.objects.create(modified=timezone.now() - timedelta(minutes=1))


class Classroom:
    """Learners, their answers, and the points that graders gave to each learner."""

    def __init__(self, secret: str) -> None:
        self.points: dict[str, int] = {}
        self.answers = 0
        self.grader = GraderClient(secret)
        self.grader.login()

    def answer(self, username: str, problem: int) -> None:
        """Submit a learner's answer and store a grader's reply, without applying it."""
        user, _ = get_user_model().objects.get_or_create(username=username)
        is_correct = random.random() < 0.6
        key = f"key {self.answers}"
        submit(key, user_id=user.pk, usage_key=key_of("problem", problem))
        body = {"correct": is_correct, "score": int(is_correct), "msg": "<p>Seen.</p>"}
        response = self.grader.put(self.grader.pull().header, json.dumps(body))
        assert response == {"return_code": 0, "content": ""}
        self.points[username] = self.points.get(username, 0) + is_correct
        self.answers += 1

    def answer_before(self, usernames: list[str]) -> None:
        """Give some learners a course grade that was already sent to Credentials."""
        for username in usernames:
            self.answer(username, 0)
        for _ in range(2):
            tasks.sweep()


def sweep_until_idle(processes: ForkServer) -> None:
    """Run the sweeper again, as if the claims of killed processes had expired."""
    for _ in range(10):
        make_due()
        GradeRecalculation.objects.exclude(next_attempt_at=None).update(
            next_attempt_at=timezone.now()
        )
        assert processes.run(f"{JOBS}.sweep_after_a_while", sweeps=4) == 0
        if not GradeOutbox.objects.exclude(status="sent").exists():
            return


def assert_some_died_late() -> None:
    """Check that some processes were killed after a course grade was stored."""
    assert GradeOutbox.objects.filter(status="sending").exists()
    enqueued = GradeOutbox.objects.values("user_id")
    assert PersistentCourseGrade.objects.exclude(user_id__in=enqueued).exists()


def check(classroom: Classroom, credentials: Credentials) -> None:
    """Check that each reply was applied once, and that each grade is right and was sent."""
    replies = list(ReceivedReply.objects.values_list("status", flat=True))
    assert replies == ["applied"] * classroom.answers
    assert list(ScoreLedger.objects.values_list("outcome", flat=True)) == replies
    assert StudentModuleHistory.objects.filter(reason="reply").count() == classroom.answers
    assert not GradeRecalculation.objects.exclude(next_attempt_at=None).exists()
    assert credentials.stale_writes == 0
    assert len(credentials.grades) == PersistentCourseGrade.objects.count()
    for username, points in classroom.points.items():
        user = get_user_model().objects.get(username=username)
        stored = PersistentCourseGrade.objects.get(user_id=user.pk, course_id=COURSE)
        expected = (points / PROBLEMS, "Pass" if points else "")
        assert (stored.percent_grade, stored.letter_grade) == expected
        known = credentials.grade(username, COURSE)
        assert known["percent_grade"] == Decimal(points) / PROBLEMS
        assert known["letter_grade"] == stored.letter_grade
        assert known["lms_last_updated_at"] == stored.modified


def test_no_work_is_lost_if_the_sweeper_is_killed(credentials, secret, monkeypatch):
    """SG43, SG44, SG81, SG84: a sweeper is killed at each moment; the next one completes all."""
    # The web process does nothing after the grader's response.
    monkeypatch.setitem(work._kinds, "apply_reply", work.Kind(task=None))
    monkeypatch.setattr(enqueue, "COMMIT_GRACE", timedelta(hours=1))  # as in the killed sweepers
    classroom = Classroom(secret)
    classroom.answer_before([f"learner{moment}" for moment in TRIED[::3]])
    ends = []
    with fork_server() as processes:
        for moment in random.sample(TRIED, len(TRIED)):
            classroom.answer(f"learner{moment}", 1)
            ends.append(processes.run(f"{JOBS}.sweep_until_killed", moment=moment, sweeps=10))
            tasks.sweep()  # completes what the killed sweeper began
        assert ends == [KILLED] * len(TRIED)
        assert_some_died_late()
        sweep_until_idle(processes)
    check(classroom, credentials)


def test_block_takes_each_reply_once_if_the_process_is_killed(transactional_db, settings):
    """C116, SG39, SG43: a process is killed at each moment while it applies a reply to a block."""
    settings.XQUEUE_BRIDGE = {
        "REPLY_BACKEND": "block",
        "BLOCK_LOADER": f"{JOBS}.load_block",
        "COURSE_STRUCTURE_BACKEND": None,  # the sweeper test covers course grades
    }
    replies, ends, moment = [], [KILLED], 1
    with fork_server() as processes:
        while ends[-1] == KILLED:
            (submission,) = real_block.submit_answers(make_learner(f"learner{moment}"), "one")
            replies.append(make_reply(submission).pk)
            # A reply whose queue key the state does not wait for is stale at once.
            Submission.objects.update(created_at=timezone.now() - OLD)
            job = {"reply_id": replies[-1], "moment": moment}
            ends.append(processes.run(f"{JOBS}.apply_until_killed", **job))
            moment += STEP
    assert ends[-1] == 0
    assert moment > 30
    assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"pending", "applied"}
    for _attempt_and_recheck in range(2):
        BlockLock.objects.update(expires_at=timezone.now())
        ReceivedReply.objects.exclude(next_attempt_at=None).update(next_attempt_at=timezone.now())
        for reply_id in replies:
            assert grader_replies.apply_reply(reply_id) == "applied"
    assert not ReceivedReply.objects.exclude(next_attempt_at=None).exists()
    assert list(ScoreLedger.objects.values_list("outcome", flat=True)) == ["applied"] * len(replies)
    trails = {
        tuple(
            (entry.reason, entry.grade, bool(waiting_keys(entry.state or {})))
            for entry in learner_state.read_history(
                user_id, real_block.parse_usage_key("one"), COURSE
            )
        )
        for user_id in Submission.objects.values_list("user_id", flat=True)
    }
    assert len(trails) == 1  # that of the learner whose process was not killed
    assert next(iter(trails))[:2] == (("state", 1, False), ("score", 1, True))


@pytest.mark.celery_broker
@pytest.mark.parametrize(("broker", "kills"), [("redis", 60), ("rabbitmq", 12)])
def test_no_work_is_lost_if_celery_workers_are_killed(
    credentials, secret, use_broker, broker, kills
):
    """SG43, SG44, SG81, SG84: Celery workers are killed with tasks that they had taken."""
    app = use_broker(BROKERS[broker])
    classroom = Classroom(secret)
    classroom.answer_before([f"learner{moment}" for moment in MOMENTS[::3]])
    worker = {
        "broker": BROKERS[broker],
        "queue_name": app.conf.task_default_queue,
        "seconds": 10,
    }
    ends = []
    with fork_server() as processes:
        for moment in random.sample(MOMENTS, kills):
            classroom.answer(f"learner{moment}", 1)
            tasks.sweep.apply_async()
            ends.append(processes.run(f"{JOBS}.work_until_killed", moment=moment, **worker))
            tasks.sweep()
        assert set(ends) <= {KILLED, IDLE}
        assert ends.count(KILLED) >= kills * 0.9
        sweep_until_idle(processes)
    check(classroom, credentials)
