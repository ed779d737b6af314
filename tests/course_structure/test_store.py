"""Publications of a course, and which is current."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connections, transaction
from django.test import override_settings

from tests.course_grades.courses import COURSE_KEY, block, course, policy, subsection
from xqueue_bridge.course_grades.graders import zero_totals
from xqueue_bridge.course_structure import store
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.course_structure.store import StoredStructures, course_structures, publish
from xqueue_bridge.exceptions import InvalidCourse
from xqueue_bridge.signals import course_published

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _remember_nothing():
    store._cache.clear()


@pytest.fixture
def heard():
    """What course_published has told."""
    told: list[dict] = []

    def listen(**kwargs):
        told.append({k: v for k, v in kwargs.items() if k not in ("signal", "sender")})

    course_published.connect(listen)
    yield told
    course_published.disconnect(listen)


def worth(points: float, version: str = ""):
    return course(subsection("s", block("p", points)), version=version)


def current() -> str | None:
    found = StoredStructures().get(COURSE_KEY)
    return found.version if found else None


def test_it_works():
    made = worth(5)
    published = publish(made)
    assert published.course == made
    assert published.previous is None
    assert StoredStructures().get(COURSE_KEY) == made


def test_an_unknown_course_is_none():
    assert StoredStructures().get(COURSE_KEY) is None


def test_a_publish_changes_the_maximum_for_all_who_never_tried():
    """SG52: there is one current structure, so there is one maximum."""
    for points in (5, 4):
        publish(worth(points))
        found = StoredStructures().get(COURSE_KEY)
        assert zero_totals(found.subsections[0])[1].possible == points


def test_the_same_content_is_no_publication(django_capture_on_commit_callbacks, heard):
    with django_capture_on_commit_callbacks(execute=True):
        publish(worth(5))
        again = publish(replace(worth(5), edited_on=None))
    assert not again.is_new
    assert CourseStructureVersion.objects.count() == 1
    assert len(heard) == 1


def test_an_older_version_can_come_back(django_capture_on_commit_callbacks, heard):
    with django_capture_on_commit_callbacks(execute=True):
        for made in (worth(5, "1"), worth(4, "2"), worth(5, "1")):
            publish(made)
    assert current() == "1"
    assert CourseStructureVersion.objects.count() == 2
    assert [(each["previous_version"], each["version"]) for each in heard] == [
        (None, "1"),
        ("1", "2"),
        ("2", "1"),
    ]
    assert [each["policy_changed"] for each in heard] == [True, False, False]


def test_receivers_are_told_of_another_policy(django_capture_on_commit_callbacks, heard):
    with django_capture_on_commit_callbacks(execute=True):
        publish(course(version="1"))
        publish(course(version="2", grading=policy(Pass=0.7)))
    assert heard[1] == {
        "course_key": COURSE_KEY,
        "version": "2",
        "previous_version": "1",
        "policy_changed": True,
    }


def test_a_version_is_one_content():
    publish(worth(5, "1"))
    with pytest.raises(InvalidCourse, match="'1' was loaded with another content"):
        publish(worth(4, "1"))
    assert zero_totals(StoredStructures().get(COURSE_KEY).subsections[0])[1].possible == 5


def test_a_course_without_date_was_edited_when_it_was_loaded():
    before = datetime.now(UTC)
    publish(replace(worth(5), edited_on=None))
    assert before <= StoredStructures().get(COURSE_KEY).edited_on <= datetime.now(UTC)


def test_what_is_rolled_back_was_never_published(heard):
    publish(worth(5, "1"))
    with transaction.atomic():
        publish(worth(4, "2"))
        transaction.set_rollback(True)
    assert current() == "1"
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_statements(django_assert_num_queries, monkeypatch):
    """Reading: one; two for a version this process has not read yet."""
    monkeypatch.setattr(course_published, "receivers", [])
    # This version, BEGIN, INSERT, COMMIT; BEGIN, the lock, current, two moves, COMMIT.
    with django_assert_num_queries(10):
        publish(worth(5, "1"))
    with django_assert_num_queries(1):
        assert current() == "1"
    store._cache.clear()
    with django_assert_num_queries(2):
        assert current() == "1"
    with django_assert_num_queries(10):
        publish(worth(4, "2"))
    with django_assert_num_queries(5):  # this version, BEGIN, the lock, current, COMMIT
        publish(worth(4, "2"))


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(store, "MAX_CACHED", 2)
    for points in range(5):
        publish(worth(points))
    assert len(store._cache) == 2


@pytest.mark.django_db(transaction=True)
def test_publishing_at_once_leaves_one_current():
    """The last publish is the current version, and no process fails."""
    ready = threading.Barrier(8)
    problems: list[Exception] = []

    def load(number: int) -> None:
        ready.wait()
        try:
            publish(worth(number, str(number)))
        except Exception as exc:
            problems.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert CourseStructureVersion.objects.filter(is_current=True).count() == 1
    assert CourseStructureVersion.objects.count() == 8


class OtherStructures:
    def get(self, course_key):
        return worth(9)


def test_a_host_may_keep_structures_elsewhere():
    assert isinstance(course_structures(), StoredStructures)
    path = f"{__name__}.OtherStructures"
    with override_settings(XQUEUE_BRIDGE={"COURSE_STRUCTURE_BACKEND": path}):
        assert course_structures().get(COURSE_KEY) == worth(9)
