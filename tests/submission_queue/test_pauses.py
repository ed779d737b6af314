"""Pauses of graders whose replies are all invalid."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.grader_replies.factories import received_signals
from tests.submission_queue.factories import GOOD_REPLY, make_grader, new_submission
from xqueue_bridge.signals import grader_paused
from xqueue_bridge.submission_queue import pauses, queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause
from xqueue_bridge.submission_queue.stats import queue_stats

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def limits(settings):
    settings.XQUEUE_BRIDGE = {"PAUSE_AFTER_INVALID_REPLIES": 3}


def put(grader, body, queue_name="python"):
    """Enqueue a submission, pull it and return a result; return whether there was one to pull."""
    queue.enqueue(new_submission(queue_name))
    pulled = grader.pull(queue_name)
    if pulled is not None:
        grader.put(pulled.header, body)
    return pulled is not None


def end_pauses():
    GraderPause.objects.update(paused_until=timezone.now())


def test_grader_with_three_invalid_replies_in_a_row_gets_no_submission(caplog):
    """C92: the queue is empty for it; other graders and its other queues are not paused."""
    grader = make_grader("python", "java")
    with received_signals(grader_paused) as received:
        assert [put(grader, "{}") for _ in range(4)] == [True, True, True, False]
    assert put(grader, GOOD_REPLY, "java")
    assert make_grader(name="other").pull()
    [pause] = received
    assert (pause["queue_name"], pause["invalid_replies"], pause["seconds"]) == ("python", 3, 60)
    assert "3 invalid replies in a row. The last one: correct: is missing" in caplog.text
    assert [each.paused_graders for each in queue_stats() if each.queue_name == "python"] == [1]


def test_valid_reply_resets_the_count_of_invalid_replies():
    """C92: two invalid replies, a valid one, and two more pause no grader."""
    grader = make_grader()
    for body in ("{}", "{}", GOOD_REPLY, "{}", "{}"):
        assert put(grader, body)
    assert not GraderPause.objects.filter(paused_until__isnull=False).exists()


def test_valid_reply_of_another_grader_does_not_reset_the_count():
    grader, other = make_grader(), make_grader(name="other")
    for each, body in ((grader, "{}"), (grader, "{}"), (other, GOOD_REPLY), (grader, "{}")):
        assert put(each, body)
    assert not put(grader, GOOD_REPLY)


def test_valid_reply_in_another_queue_does_not_reset_the_count():
    grader = make_grader("python", "java")
    replies = [("{}", "python"), ("{}", "python"), (GOOD_REPLY, "java"), ("{}", "python")]
    for body, queue_name in replies:
        assert put(grader, body, queue_name)
    assert not put(grader, GOOD_REPLY)


def test_paused_graders_of_each_queue_are_found():
    now = timezone.now()

    def pause(name: str, queue_name: str, minutes: int) -> int:
        grader = Grader.objects.create(name=name)
        until = now + timedelta(minutes=minutes)
        GraderPause.objects.create(
            grader=grader, queue_name=queue_name, since=now, paused_until=until
        )
        return grader.pk

    both = {pause("first", "python", 1), pause("second", "python", 1)}
    pause("third, whose pause has ended", "python", -1)
    one = {pause("fourth", "java", 1)}
    assert pauses.paused_graders() == {"python": both, "java": one}


def test_each_further_invalid_reply_doubles_the_pause(caplog):
    grader = make_grader()
    for _ in range(3):
        put(grader, "{}")
    seconds = []
    for _ in range(8):
        pause = GraderPause.objects.get()
        seconds.append(round((pause.paused_until - timezone.now()).total_seconds(), -1))
        end_pauses()
        assert put(grader, "{}")
    assert seconds == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_invalid_replies_to_one_submission_count_once(settings):
    """C92: an answer that no grader can grade pauses no grader."""
    settings.XQUEUE_BRIDGE = {"PAUSE_AFTER_INVALID_REPLIES": 2, "REDELIVERY_BACKOFF": 0}
    grader = make_grader()
    queue.enqueue(new_submission())
    for _ in range(4):
        grader.put(grader.pull().header, "{}")
    assert GraderPause.objects.get().invalid_replies == 1


def test_reason_of_a_pause_is_shortened_to_its_column():
    grader_id = Grader.objects.create(name="watcher").pk
    with transaction.atomic():
        pauses.count_invalid_reply(grader_id, "python", 1, "x" * 256)
    assert GraderPause.objects.get().last_error == "x" * 255


def test_without_the_setting_no_grader_is_paused(settings):
    settings.XQUEUE_BRIDGE = {"PAUSE_AFTER_INVALID_REPLIES": 0}
    grader = make_grader()
    assert all(put(grader, "{}") for _ in range(10))
    assert not GraderPause.objects.exists()


def test_resume_ends_the_pause():
    """C127: the admin's action calls ``resume``; the grader pulls again."""
    grader = make_grader()
    for _ in range(3):
        put(grader, "{}")
    assert pauses.resume([GraderPause.objects.get().pk]) == 1
    assert put(grader, GOOD_REPLY)


def test_pause_ends_by_the_database_clock(settings):
    grader_id = Grader.objects.create(name="watcher").pk
    queue.enqueue(new_submission())
    pause = GraderPause.objects.create(
        grader_id=grader_id,
        queue_name="python",
        since=timezone.now(),
        paused_until=timezone.now() + timedelta(minutes=1),
    )
    assert queue.pull("python", grader_id) is None
    GraderPause.objects.filter(pk=pause.pk).update(paused_until=timezone.now())
    assert queue.pull("python", grader_id)
