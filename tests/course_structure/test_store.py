"""Publishing of course structures, and which version is current."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connections, transaction
from django.test import override_settings
from opaque_keys.edx.keys import CourseKey

from tests.course_grades.courses import COURSE_KEY, block, course, policy, subsection
from xqueue_bridge.course_grades.grading_rules import zero_totals
from xqueue_bridge.course_structure import store
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.course_structure.store import StoredStructures, course_structures, publish
from xqueue_bridge.exceptions import InvalidCourse
from xqueue_bridge.signals import course_published

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache():
    store._cache.clear()


@pytest.fixture
def published_signals():
    """Collect the arguments of course_published."""
    received: list[dict] = []

    def listen(**kwargs):
        received.append({k: v for k, v in kwargs.items() if k not in ("signal", "sender")})

    course_published.connect(listen)
    yield received
    course_published.disconnect(listen)


def worth(points: float, version: str = ""):
    return course(subsection("s", block("p", points)), version=version)


def current() -> str | None:
    found = StoredStructures().get(COURSE_KEY)
    return found.version if found else None


def test_published_course_is_current():
    made = worth(5)
    published = publish(made)
    assert published.course == made
    assert published.previous is None
    assert StoredStructures().get(COURSE_KEY) == made


def test_unknown_course_has_no_structure():
    assert StoredStructures().get(COURSE_KEY) is None


def test_publish_changes_the_maximum_of_learners_without_an_attempt():
    """SG52: there is one current structure, so there is one maximum."""
    for points in (5, 4):
        publish(worth(points))
        found = StoredStructures().get(COURSE_KEY)
        assert zero_totals(found.subsections[0])[1].possible == points


def test_publish_of_the_same_content_is_not_new(
    django_capture_on_commit_callbacks, published_signals
):
    with django_capture_on_commit_callbacks(execute=True):
        publish(worth(5))
        again = publish(replace(worth(5), edited_on=None))
    assert not again.is_new
    assert CourseStructureVersion.objects.count() == 1
    assert len(published_signals) == 1


def test_publish_of_an_older_version_makes_it_current(
    django_capture_on_commit_callbacks, published_signals
):
    with django_capture_on_commit_callbacks(execute=True):
        for made in (worth(5, "1"), worth(4, "2"), worth(5, "1")):
            publish(made)
    assert current() == "1"
    assert CourseStructureVersion.objects.count() == 2
    assert [(each["previous_version"], each["version"]) for each in published_signals] == [
        (None, "1"),
        ("1", "2"),
        ("2", "1"),
    ]
    assert [each["policy_changed"] for each in published_signals] == [True, False, False]


def test_signal_says_that_the_policy_has_changed(
    django_capture_on_commit_callbacks, published_signals
):
    with django_capture_on_commit_callbacks(execute=True):
        publish(course(version="1"))
        publish(course(version="2", grading=policy(Pass=0.7)))
    assert published_signals[1] == {
        "course_key": COURSE_KEY,
        "version": "2",
        "previous_version": "1",
        "policy_changed": True,
    }


def test_same_version_with_other_content_is_refused():
    publish(worth(5, "1"))
    with pytest.raises(InvalidCourse, match="'1' was loaded with another content"):
        publish(worth(4, "1"))
    assert zero_totals(StoredStructures().get(COURSE_KEY).subsections[0])[1].possible == 5


def test_course_without_edited_on_gets_the_time_of_the_publish():
    before = datetime.now(UTC)
    publish(replace(worth(5), edited_on=None))
    assert before <= StoredStructures().get(COURSE_KEY).edited_on <= datetime.now(UTC)


def test_rolled_back_publish_is_not_current_and_sends_no_signal(published_signals):
    publish(worth(5, "1"))
    with transaction.atomic():
        publish(worth(4, "2"))
        transaction.set_rollback(True)
    assert current() == "1"
    assert published_signals == []


@pytest.mark.django_db(transaction=True)
def test_publish_takes_ten_statements_and_get_one_or_two(django_assert_num_queries, monkeypatch):
    """A version that this process has not read yet takes two."""
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


def test_cache_has_at_most_max_cached_versions(monkeypatch):
    monkeypatch.setattr(store, "MAX_CACHED", 2)
    for points in range(5):
        publish(worth(points))
    assert len(store._cache) == 2


@pytest.mark.django_db(transaction=True)
def test_eight_concurrent_publishes_give_one_current_version():
    """The last publish is the current version, and no thread fails."""
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


def test_setting_replaces_the_store():
    assert isinstance(course_structures(), StoredStructures)
    path = f"{__name__}.OtherStructures"
    with override_settings(XQUEUE_BRIDGE={"COURSE_STRUCTURE_BACKEND": path}):
        assert course_structures().get(COURSE_KEY) == worth(9)


def test_each_course_has_its_own_current_version():
    other_key = CourseKey.from_string("course-v1:DemoX+OTHER+2026")
    other = replace(worth(3, "1"), course_key=other_key, chapters=())
    first, second = worth(5, "1"), worth(4, "2")
    for made in (first, other, second):
        publish(made)
    assert StoredStructures().get(COURSE_KEY) == second
    assert StoredStructures().get(other_key) == other
    assert publish(other).previous == other
