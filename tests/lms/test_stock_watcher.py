"""An unchanged xqueue-watcher grades in a Django project that is no LMS; see stock_watcher.py."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from demo.course import course
from demo.runtime import Submitted, load_block, submit
from tests.lms.stock_watcher import stock_watcher
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

LEARNERS = 20


@pytest.mark.django_db(transaction=True)
def test_watcher_grades_each_answer_once(live_server, tmp_path, settings, capsys) -> None:
    """C28, C41: 20 learners, every second answer right."""
    settings.LMS_ROOT_URL = live_server.url
    problem = next(each for each in course().problems if "coderesponse" in each.olx)
    queue = None
    for number in range(LEARNERS):
        learner = get_user_model().objects.create_user(f"learner-{number}")
        block = load_block(learner.pk, course().key, problem.usage_key)
        answer = "print(42)" if number % 2 else "print(41)"
        assert submit(block, [answer]) == Submitted(True)
        block.save()
        queue = Submission.objects.latest("pk").queue_name
    secret = api.create_grader("watcher", [queue])
    began = time.monotonic()
    with stock_watcher(tmp_path, live_server.url, secret, queue):
        ends = timezone.now() + timedelta(seconds=120)
        while ReceivedReply.objects.count() < LEARNERS and timezone.now() < ends:
            time.sleep(0.2)
    seconds = time.monotonic() - began
    sweep()
    log = (tmp_path / "watcher.log").read_text()
    assert ReceivedReply.objects.count() == LEARNERS, log
    assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"applied"}
    grades = list(StudentModule.objects.order_by("student_id").values_list("grade", flat=True))
    assert grades == [number % 2 for number in range(LEARNERS)]
    assert set(Submission.objects.values_list("deliveries", "status")) == {(1, "answered")}
    with capsys.disabled():
        print(f"\nplain Django project: {LEARNERS} answers graded in {seconds:.1f} s")
