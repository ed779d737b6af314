"""The command that computes the grades of a whole course."""

from __future__ import annotations

import io
import os
import select
import signal
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from tests.course_grades import courses, factories
from tests.course_grades.conftest import (  # noqa: F401
    by_workers,
    committed_course,
)
from tests.course_grades.courses import COURSE_KEY
from tests.worker.test_stop_signals import end_of, fork
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.models import GradeRecalculation, PersistentCourseGrade
from xqueue_bridge.learner_state import api as learner_state


@pytest.fixture
def learners(committed_course, by_workers):  # noqa: F811
    found = [factories.make_learner(f"l{n}") for n in range(7)]
    for number, learner in enumerate(found):
        factories.score(learner, factories.P1, number % 3)
    GradeRecalculation.objects.all().delete()  # as if the scores were older than the bridge
    return found


def compute(*arguments: str) -> tuple[str, str]:
    output, errors = io.StringIO(), io.StringIO()
    arguments = (str(COURSE_KEY), *arguments)
    call_command("xqueue_bridge_compute_grades", *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def grades() -> list[float]:
    rows = PersistentCourseGrade.objects.order_by("user_id")
    return list(rows.values_list("percent_grade", flat=True))


EXPECTED = [0.0, 0.25, 0.5, 0.0, 0.25, 0.5, 0.0]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_grades_of_all_learners_are_computed(learners, workers):
    """Compute every learner's grade from no rows, in one process or in several."""
    output, _ = compute("--workers", workers, "--batch-size", "2")
    assert grades() == EXPECTED
    assert output == f"7 grades computed in {COURSE_KEY}\n"


def test_interrupted_command_continues_with_resume(learners, monkeypatch):
    """Compute with --resume only the grades that the first run did not reach."""
    recalculate_pending = api.recalculate_requested

    def stop_at_the_fourth(user_id, course_key, **kwargs):
        if user_id == learners[3].pk:
            raise KeyboardInterrupt
        return recalculate_pending(user_id, course_key, **kwargs)

    monkeypatch.setattr(api, "recalculate_requested", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        compute()
    monkeypatch.undo()
    assert grades() == EXPECTED[:3]
    computed = PersistentCourseGrade.objects.get(user_id=learners[0].pk).computed_at
    output, _ = compute("--resume")
    assert output.startswith("4 grades")
    assert grades() == EXPECTED
    assert PersistentCourseGrade.objects.get(user_id=learners[0].pk).computed_at == computed
    assert compute("--resume")[0].startswith("0 grades")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_processes_end_with_the_command(learners, monkeypatch, number):
    """A signal that ends the command leaves no process with a database connection."""
    reader, writer = os.pipe()

    def compute_for_hours(user_id, course_key, **kwargs):
        os.write(writer, b".")
        time.sleep(600)

    monkeypatch.setattr(api, "recalculate_requested", compute_for_hours)
    connections.close_all()
    pid = fork(lambda: compute("--workers", "2", "--batch-size", "2"))
    os.close(writer)
    assert os.read(reader, 1) + os.read(reader, 1) == b".."
    os.kill(pid, number)
    assert end_of(pid)[1] < 5
    ready, _, _ = select.select([reader], [], [], 60)
    assert ready, "a process goes on"
    assert os.read(reader, 1) == b"", "the last process has closed its end"
    os.close(reader)


def test_sweeper_computes_what_an_interrupted_command_left(learners):
    api.request_course(COURSE_KEY)
    assert api.recalculate_due(limit=3) == 3
    assert api.recalculate_due() == 4
    assert grades() == EXPECTED


def test_failed_grades_are_counted_in_the_error(learners, monkeypatch):
    read = learner_state.read_course_scores

    def fail(user_id, course_key):
        if user_id == learners[2].pk:
            raise RuntimeError
        return read(user_id, course_key)

    monkeypatch.setattr(learner_state, "read_course_scores", fail)
    with pytest.raises(CommandError, match="1 grades failed"):
        compute()
    assert len(grades()) == 6


def test_score_written_during_the_run_is_not_a_failure(learners, monkeypatch):
    """Leave its recalculation due, and count no failure."""
    recalculate_pending = api.recalculate_requested

    def recalculate_and_go_on(user_id, course_key, **kwargs):
        recalculate_pending(user_id, course_key, **kwargs)
        if user_id == learners[0].pk:
            factories.score(learners[0], factories.P2)

    monkeypatch.setattr(api, "recalculate_requested", recalculate_and_go_on)
    assert compute()[0] == f"7 grades computed in {COURSE_KEY}\n"
    assert api.unfinished(COURSE_KEY) == [learners[0].pk]


@pytest.mark.django_db
def test_course_without_structure_or_frozen_is_an_error():
    with pytest.raises(CommandError, match="has no published structure"):
        compute()
    with pytest.raises(CommandError, match="not a course key"):
        call_command("xqueue_bridge_compute_grades", "nonsense")
    with pytest.raises(CommandError, match="not a whole number above 0"):
        compute("--workers", "0")
    long_ago = timezone.now() - timedelta(days=400)
    factories.publish(courses.course(factories.HOMEWORK, end=long_ago))
    with pytest.raises(CommandError, match="frozen"):
        compute()
