"""The week of history with which the demo begins."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from demo import run, users, week
from demo.course import course
from demo.seed import seed
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.lms import capa
from xqueue_bridge.metrics import api as metrics
from xqueue_bridge.models import (
    GraderPause,
    OperatorAction,
    QueueSample,
    ReceivedReply,
    Regrade,
    StudentModule,
    Submission,
)
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.views.course_team.access import is_course_staff

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def week_of_history(settings, monkeypatch, caplog) -> None:
    monkeypatch.setattr(week, "CLASSMATES", week.REFUSED + week.WAITING_SLOWLY)
    queues = {"demo": {}, "slow": {}, "failing": {"MAX_DELIVERIES": 3}}
    settings.XQUEUE_BRIDGE = {"QUEUES": queues}
    seed(2)
    submission_queue.create_grader("demo-grader", ["demo"])
    assert run._seed_week()
    assert caplog.text == "", "a warning of the history is the first that a newcomer reads"


def test_week_of_history(week_of_history):
    """It has rows for each kind of page, as the bridge writes them, and work goes on."""
    check_each_kind_of_page_has_something()
    check_rows_are_as_the_bridge_writes_them()
    check_regrade_and_sampling_go_on()


def check_each_kind_of_page_has_something() -> None:
    assert not week.seed_week("demo-grader", "demo")
    graded = Submission.objects.filter(queue_name="demo", status="answered")
    assert graded.count() == week.CLASSMATES * len(week.ANSWERED)
    oldest = graded.order_by("created_at").first()
    assert (
        timezone.now() - timedelta(days=7) < oldest.created_at < timezone.now() - timedelta(days=6)
    )
    assert not ReceivedReply.objects.filter(status="pending").exists()
    assert Submission.objects.filter(queue_name="slow", status="waiting").count() == 8
    assert GraderPause.objects.get().paused_until > timezone.now()
    assert QueueSample.objects.count() == 3 * (24 * 60 + 1)
    assert len({each.kind for each in stuck_answers.find(course().key).answers}) == 2
    team = User.objects.get(username=users.TEAM).pk
    assert Regrade.objects.get().author_id == OperatorAction.objects.get().author_id == team


def check_rows_are_as_the_bridge_writes_them() -> None:
    """Each graded state has its reply's points, and waits for nothing; times are in order."""
    for row in Submission.objects.filter(queue_name="demo", status="answered"):
        assert row.created_at < row.leased_at < row.finished_at
        state = learner_state.read_state(row.user_id, row.usage_key, row.course_key)
        assert not capa.waiting_keys(state)
        (reply,) = row.replies.all()
        score = learner_state.read_score(row.user_id, row.usage_key, row.course_key)
        assert score.earned == reply.score_applied
        created = [
            entry.created
            for entry in learner_state.read_history(row.user_id, row.usage_key, row.course_key)
        ]
        assert created == sorted(created, reverse=True)
        assert created[-1] == row.created_at


def check_regrade_and_sampling_go_on() -> None:
    assert regrading.release_due() == 1
    assert Submission.objects.filter(regrade_of__isnull=False, status="waiting").count() == 1
    assert metrics.take_samples() >= 0


def test_course_team_is_staff_of_the_course_only():
    seed(1)
    team = User.objects.get(username=users.TEAM)
    assert is_course_staff(team, course().key)
    assert not team.is_staff
    assert StudentModule.objects.count() == 0


def test_first_page_names_four_kinds_of_people(browse):
    client = browse(None)
    page = client.get("/choose/").content.decode()
    for text in ("Learners", "Course team", "Operators", "Authors of graders", "Tessa Brandt"):
        assert text in page
    team = User.objects.get(username=users.TEAM)
    response = client.post("/choose/", {"person": team.pk}, follow=True)
    assert response.redirect_chain[-1][0] == f"/xqueue/courses/{course().key}/submissions/"
    assert response.status_code == 200
