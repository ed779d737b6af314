"""Concurrent processes that enqueue and send the same grades."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.utils import timezone

from tests.credentials import subprocess_jobs
from tests.credentials.factories import COURSE, make_learner, row_of, store_grade
from tests.doubles.credentials import DROPPED, Fault
from tests.processes import in_processes
from xqueue_bridge.credentials import api
from xqueue_bridge.credentials.models import GradeOutbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _same_random_seed() -> None:
    random.seed(4)


def test_last_of_40_changes_is_the_stored_grade(credentials):
    """SG81: five senders, a grade that changes 40 times, a slow service, and lost responses."""
    learner = make_learner("ada")
    credentials.pause = lambda: random.uniform(0, 0.05)
    credentials.faults = [
        random.choice([Fault(503), DROPPED, Fault(500, after_work=True)]) for _ in range(8)
    ]
    senders = [partial(subprocess_jobs.send_until, "ada", learner, version=40)] * 5
    in_processes([partial(subprocess_jobs.change_often, learner, times=40), *senders])
    assert credentials.stale_writes == 0
    assert credentials.grade("ada", COURSE)["percent_grade"] == Decimal("0.4000")
    assert (row_of(learner).status, row_of(learner).sent_version) == ("sent", 40)
    assert len(credentials.posts) >= 40 / (subprocess_jobs.LEAD + 1)


def test_six_concurrent_processes_post_a_grade_once(credentials):
    """SG79: six processes enqueue the same grade at once, and one of them sends it."""
    learner = make_learner("ada")
    credentials.pause = lambda: 0.05
    for number in range(1, 6):
        store_grade(learner, number / 10)
        in_processes([partial(subprocess_jobs.enqueue_and_send, learner, "ada")] * 6)
        assert len(credentials.posts) == number
        assert row_of(learner).status == "sent"


def test_four_concurrent_sweepers_post_each_grade_once(credentials):
    """SG79, SG84: four sweepers enqueue what was missed, and send each grade once."""
    learners = [make_learner(f"learner {number}") for number in range(20)]
    for learner in learners:
        store_grade(learner, modified=timezone.now() - timedelta(hours=1))
    in_processes([api.enqueue_missed] * 4)
    assert GradeOutbox.objects.count() == 20
    in_processes([api.send_due] * 4)
    assert len(credentials.posts) == len(credentials.grades) == 20
    assert set(GradeOutbox.objects.values_list("status", flat=True)) == {"sent"}
