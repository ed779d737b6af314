"""Fixtures of the tests of course grades."""

from __future__ import annotations

import pytest

from tests.course_grades import factories


@pytest.fixture
def course(db):
    """Publish a course in a test that is rolled back."""
    return factories.publish()


@pytest.fixture
def ada(course):
    return factories.make_learner()


@pytest.fixture
def committed_course(transactional_db):
    """Publish a course in a test whose transactions are committed."""
    return factories.publish()


@pytest.fixture
def committed_ada(committed_course):
    return factories.make_learner()


@pytest.fixture
def by_workers(settings, monkeypatch):
    """Enqueue recalculations without running them; the test runs the worker's function."""
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    enqueued: list[tuple[int, str]] = []
    monkeypatch.setattr(
        "xqueue_bridge.tasks.recalculate_grades.apply_async",
        lambda args, countdown, retry: enqueued.extend((*each, countdown) for each in args[0]),
    )
    return enqueued
