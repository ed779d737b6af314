"""The page of a queue's last day: who may read it, its charts and its numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.views.queue_chart import HEIGHT, WIDTH, events_chart, intervals

URL = "/xqueue/queues/history/"
NOW = timezone.now().replace(second=0, microsecond=0)


def sample(minutes_ago: float, queue_name: str = "python", **values: int) -> QueueSample:
    figures = {"waiting": 0, "leased": 0, "pending_replies": 0, "graders": 1, "paused_graders": 0}
    minute = NOW - timedelta(minutes=minutes_ago)
    return QueueSample(minute=minute, queue_name=queue_name, **{**figures, **values})


@pytest.fixture
def operator(db) -> User:
    return User.objects.create(username="operator", is_staff=True)


def test_page_shows_the_rates_and_the_numbers_of_each_interval(client, operator) -> None:
    sample(45, received_total=0, answered_total=0).save()
    sample(15, received_total=30, answered_total=20, waiting=10).save()
    client.force_login(operator)
    response = client.get(URL, {"queue": "python"})
    page = response.content.decode()
    assert "<dd>1.0</dd>" in page
    assert [(each.received, each.answered, each.waiting) for each in response.context["intervals"]]
    assert (response.context["intervals"][0].received, page.count("<polyline")) == (30, 4)


@pytest.mark.parametrize("name", ["other", "", "x" * 300, "\x00"])
def test_unknown_queue_is_not_found(client, operator, name) -> None:
    sample(1).save()
    client.force_login(operator)
    assert client.get(URL, {"queue": name}).status_code == 404


def test_learner_is_refused(client, db) -> None:
    sample(1).save()
    client.force_login(User.objects.create(username="learner"))
    response = client.get(URL, {"queue": "python"})
    assert response.status_code == 403
    assert b"python" not in response.content


def test_counter_that_began_again_counts_nothing_negative() -> None:
    rows = [sample(50, answered_total=9), sample(30, answered_total=2)]
    assert [each.answered for each in intervals(rows, NOW)] == [0]


def test_sum_of_the_intervals_is_the_difference_of_the_totals() -> None:
    rows = [sample(1441 - 3 * number, received_total=number * 7) for number in range(480)]
    found = intervals(rows, NOW)
    assert sum(each.received for each in found) == rows[-1].received_total
    assert len(found) == 144


def test_points_of_the_chart_are_inside_its_box() -> None:
    rows = [sample(1439 - number * 5, received_total=number**2) for number in range(280)]
    for line in events_chart(intervals(rows, NOW), NOW).lines:
        for point in line.points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
