"""A learner's progress from state and queue."""

from __future__ import annotations

import pytest
from django.utils import timezone

from demo.attempts import attempts
from demo.course import course
from demo.progress import Part, Progress, Stage, progress
from demo.seed import seed
from tests.demo.conftest import answer, fizzbuzz, sample, submit
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission


def pull(grader_name: str = "demo-grader") -> None:
    grader = Grader.objects.filter(name=grader_name).first()
    if grader is None:
        submission_queue.create_grader(grader_name, ["demo"])
        grader = Grader.objects.get(name=grader_name)
    assert queue.pull("demo", grader.pk) is not None


def test_problem_without_an_answer(learner) -> None:
    assert progress(learner.pk, fizzbuzz()) == Progress((Part(1, possible=2),), attempts=0)
    assert attempts(learner.pk, fizzbuzz()) == []


def test_positions_in_the_queue_follow_arrival(learner) -> None:
    first, second = seed(2)
    submit(first, "fizzbuzz")
    submit(second, "temperature")
    there = progress(second.pk, course().by_url_name("temperature"))
    assert [part.position for part in there.parts] == [2, 3]
    assert there.mark == Stage.WAITING
    assert there.busy


def test_leased_answer_is_being_graded_and_has_no_position(learner) -> None:
    first, second = seed(2)
    submit(first, "fizzbuzz")
    submit(second, "fizzbuzz")
    pull()
    assert progress(first.pk, fizzbuzz()).mark == Stage.GRADING
    assert progress(second.pk, fizzbuzz()).parts[0].position == 1


@pytest.mark.parametrize(("score", "mark"), [(4, "right"), (0, "wrong")])
def test_graded_answer_has_its_mark(learner, score: float, mark: str) -> None:
    submit(learner, "triangle")
    answer(Submission.objects.get(), score=score)
    done = progress(learner.pk, course().by_url_name("triangle"))
    assert (done.mark, done.earned, done.possible, done.busy) == (mark, score, 4, False)


def test_points_are_those_of_the_grade(learner) -> None:
    """The demo's pages and the bridge's have the same points, scaled by the problem's weight."""
    submit(learner, "caesar", "partial")
    answer(Submission.objects.get(), score=1)
    done = progress(learner.pk, course().by_url_name("caesar"))
    assert (done.earned, done.possible) == (1.5, 3)


def test_right_and_wrong_parts_are_partly_right(learner) -> None:
    submit(learner, "temperature", "partial")
    for submission, score in zip(Submission.objects.order_by("pk"), (1, 0), strict=True):
        answer(submission, score=score)
    done = progress(learner.pk, course().by_url_name("temperature"))
    assert [part.mark for part in done.parts] == ["right", "wrong"]
    assert done.mark == "partly"


def test_answer_that_could_not_be_sent(learner, settings) -> None:
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True}
    submit(learner, "fizzbuzz")
    assert progress(learner.pk, fizzbuzz()).mark == Stage.NOT_SENT


def test_attempts_have_answers_grades_and_times(learner, settings) -> None:
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    submit(learner, "fizzbuzz", "wrong")
    answer(Submission.objects.get(), score=0, msg="<p>Not quite.</p>")
    submit(learner, "fizzbuzz")
    second, first = attempts(learner.pk, fizzbuzz())
    assert (first.number, first.earned, first.possible, first.graded) == (1, 0, 2, True)
    assert first.answers[0].text == sample("fizzbuzz", "wrong")[0]
    assert first.answers[0].part.feedback == "<p>Not quite.</p>"
    assert 0 <= first.seconds < 30
    assert (second.number, second.graded, second.seconds) == (2, False, None)
    assert first.sent_at < second.sent_at


def test_next_attempt_keeps_the_duration_of_the_former(learner, settings, time_machine) -> None:
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    time_machine.move_to("2026-11-20 10:00:00Z", tick=False)
    submit(learner, "fizzbuzz", "wrong")
    time_machine.shift(2)
    answer(Submission.objects.get(), score=1)
    time_machine.shift(3600)
    submit(learner, "fizzbuzz")
    assert attempts(learner.pk, fizzbuzz())[1].seconds == 2


def test_attempts_have_file_names(learner) -> None:
    submit(learner, "wordcount")
    (attempt,) = attempts(learner.pk, course().by_url_name("wordcount"))
    assert (attempt.answers[0].files, attempt.answers[0].text) == (("wordcount.py",), "")


def test_only_the_latest_attempts_are_listed(learner, settings, monkeypatch) -> None:
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    monkeypatch.setattr("demo.attempts.LIMIT", 2)
    for kind in ("broken", "wrong", "right"):
        submit(learner, "fizzbuzz", kind)
    assert [attempt.number for attempt in attempts(learner.pk, fizzbuzz())] == [3, 2]


def test_answer_without_a_grader_says_so(learner) -> None:
    submit(learner, "fizzbuzz")
    assert not progress(learner.pk, fizzbuzz()).parts[0].has_grader
    submission_queue.create_grader("demo-grader", ["demo"])
    Grader.objects.update(last_seen_at=timezone.now())
    assert progress(learner.pk, fizzbuzz()).parts[0].has_grader


def test_replaced_attempt_is_not_under_way(learner, settings, time_machine) -> None:
    """Kind 18: the attempt is shown as replaced, and its submission is superseded."""
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    time_machine.move_to("2026-11-20 10:00:00Z", tick=False)
    submit(learner, "fizzbuzz", "wrong")
    time_machine.shift(2)  # capa gives two submits within one second the same queue key
    submit(learner, "fizzbuzz")
    second, first = attempts(learner.pk, fizzbuzz())
    assert [(each.number, each.replaced, each.graded) for each in (first, second)] == [
        (1, True, False),
        (2, False, False),
    ]
    statuses = Submission.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["superseded", "waiting"]


def test_failed_attempt_does_not_count(learner, settings) -> None:
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    submit(learner, "fizzbuzz")
    pull()
    Submission.objects.update(available_at=timezone.now())
    assert submission_queue.fail_exhausted() == 1
    (failed,) = attempts(learner.pk, fizzbuzz())
    assert (failed.number, failed.failed, failed.graded, failed.replaced) == (1, True, False, False)
    now = progress(learner.pk, fizzbuzz())
    assert (now.mark, now.attempts, now.busy) == (Stage.NOT_GRADED, 0, False)
    assert submission_queue.requeue([Submission.objects.get().pk]) == 1
    answer(Submission.objects.get(), score=2)
    (graded,) = attempts(learner.pk, fizzbuzz())
    assert (graded.number, graded.failed, graded.graded) == (1, False, True)
