"""PERSISTENT_GRADE_SUMMARY_CHANGED of openedx-events, with a stand-in of that package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest

from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import COURSE, recalculate_pending, score, stored
from xqueue_bridge.lms import events


@dataclass(frozen=True)
class CourseData:
    """The members of openedx_events.learning.data.CourseData."""

    course_key: Any
    display_name: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class PersistentCourseGradeData:
    """The members of openedx_events.learning.data.PersistentCourseGradeData."""

    user_id: int
    course: CourseData
    course_edited_timestamp: datetime
    course_version: str
    grading_policy_hash: str
    percent_grade: float
    letter_grade: str
    passed_timestamp: datetime | None


class Event:
    """Stands in for an OpenEdxPublicSignal."""

    def __init__(self) -> None:
        self.sent: list[PersistentCourseGradeData] = []
        self.error: Exception | None = None

    def send_event(self, *, grade: PersistentCourseGradeData) -> None:
        if self.error:
            raise self.error
        self.sent.append(grade)


@pytest.fixture
def event(monkeypatch):
    """Install the stand-in; return its event."""
    data, signals = ModuleType("data"), ModuleType("signals")
    data.CourseData, data.PersistentCourseGradeData = CourseData, PersistentCourseGradeData
    signals.PERSISTENT_GRADE_SUMMARY_CHANGED = Event()
    learning = ModuleType("openedx_events.learning")
    learning.data, learning.signals = data, signals
    monkeypatch.setitem(sys.modules, "openedx_events", ModuleType("openedx_events"))
    monkeypatch.setitem(sys.modules, "openedx_events.learning", learning)
    events._openedx_events.cache_clear()
    yield signals.PERSISTENT_GRADE_SUMMARY_CHANGED
    events._openedx_events.cache_clear()


@pytest.fixture
def ada(committed_ada, by_workers):
    return committed_ada


def test_changed_grade_is_sent_with_the_documented_members(ada, event):
    score(ada)
    recalculate_pending(ada)
    (grade,) = event.sent
    assert grade == PersistentCourseGradeData(
        user_id=ada.pk,
        course=CourseData(COURSE_KEY, COURSE.display_name, end=COURSE.end),
        course_edited_timestamp=COURSE.edited_on,
        course_version=COURSE.version,
        grading_policy_hash=COURSE.policy.hash,
        percent_grade=0.5,
        letter_grade=stored(ada).letter_grade,
        passed_timestamp=None,
    )


def test_unchanged_grade_is_not_sent(ada, event):
    score(ada)
    recalculate_pending(ada)
    score(ada)
    recalculate_pending(ada)
    assert len(event.sent) == 1


def test_error_of_the_event_bus_costs_no_grade(ada, event, caplog):
    event.error = RuntimeError("secret")
    score(ada)
    recalculate_pending(ada)
    assert stored(ada).percent_grade == 0.5
    assert f" of learner {ada.pk} in {COURSE_KEY}: RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_nothing_is_sent_without_openedx_events(ada, monkeypatch):
    monkeypatch.setitem(sys.modules, "openedx_events.learning", None)
    events._openedx_events.cache_clear()
    score(ada)
    recalculate_pending(ada)
    assert events._openedx_events() is None
    assert stored(ada).percent_grade == 0.5
    events._openedx_events.cache_clear()
