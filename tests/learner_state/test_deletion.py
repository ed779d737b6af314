"""Attempts back to 0, and state away, at one block."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from opaque_keys.edx.keys import CourseKey, UsageKey

from tests.grader_replies.factories import heard
from xqueue_bridge import api
from xqueue_bridge.learner_state import deletion
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.signals import state_deleted

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
OTHER = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")
STATE = {"attempts": 3, "seed": 1, "student_answers": {"a_2_1": "print(1)"}}

#: SQLite has no row locks; there the lock is a write of its own.
LOCK = 1 if connection.features.has_select_for_update else 2


@pytest.fixture
def ada(db) -> int:
    user_id = get_user_model().objects.create_user("ada").pk
    api.save_fields(user_id, COURSE, BLOCK, STATE)
    api.set_score(user_id, COURSE, BLOCK, 1, 2)
    return user_id


def newest(user_id: int) -> api.HistoryEntry:
    return next(iter(api.read_history(user_id, BLOCK, COURSE)))


class TestResetAttempts:
    def test_it_works(self, ada):
        """SG48: attempts are 0 after a reset, and nothing else has changed."""
        assert api.reset_attempts(ada, COURSE, BLOCK) is True
        assert api.read_state(ada, BLOCK, COURSE) == {**STATE, "attempts": 0}
        assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(1, 2)

    def test_the_history_says_so(self, ada):
        api.reset_attempts(ada, COURSE, BLOCK)
        entry = newest(ada)
        assert (entry.reason, entry.state["attempts"], entry.grade) == ("reset", 0, 1)

    def test_again(self, ada):
        api.reset_attempts(ada, COURSE, BLOCK)
        entries = len(list(api.read_history(ada, BLOCK, COURSE)))
        assert deletion.has_attempts(ada, COURSE, BLOCK) is False
        assert api.reset_attempts(ada, COURSE, BLOCK) is False
        assert len(list(api.read_history(ada, BLOCK, COURSE))) == entries

    def test_where_there_is_nothing(self, ada):
        assert api.reset_attempts(ada, COURSE, OTHER) is False
        api.set_score(ada, COURSE, OTHER, 1, 1)
        assert api.reset_attempts(ada, COURSE, OTHER) is False
        assert api.reset_attempts(ada + 1, COURSE, BLOCK) is False
        assert deletion.has_attempts(ada, COURSE, BLOCK) is True


class TestEmptyModule:
    def test_it_works(self, ada):
        """SG48: after a delete the state is absent and the score is gone."""
        assert deletion.clear_state(ada, COURSE, BLOCK) is True
        assert api.read_state(ada, BLOCK, COURSE) is None
        assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(None, None)
        assert StudentModule.objects.get().state == "{}"

    def test_the_history_says_so_in_one_entry(self, ada):
        before = len(list(api.read_history(ada, BLOCK, COURSE)))
        deletion.clear_state(ada, COURSE, BLOCK)
        entry = newest(ada)
        assert (entry.reason, entry.state, entry.grade, entry.max_grade) == (
            "delete",
            None,
            None,
            None,
        )
        assert len(list(api.read_history(ada, BLOCK, COURSE))) == before + 1

    def test_a_score_without_state(self, ada):
        """SG26: what was never stored does not become what was deleted."""
        api.set_score(ada, COURSE, OTHER, 1, 1)
        assert deletion.clear_state(ada, COURSE, OTHER) is True
        assert StudentModule.objects.get(module_state_key=OTHER).state is None
        assert api.read_score(ada, OTHER, COURSE).earned is None

    def test_where_there_is_nothing(self, ada):
        assert deletion.has_state(ada, COURSE, OTHER) is False
        assert deletion.clear_state(ada, COURSE, OTHER) is False
        assert deletion.clear_state(ada + 1, COURSE, BLOCK) is False

    def test_others_keep_theirs(self, ada):
        bob = get_user_model().objects.create_user("bob").pk
        api.save_fields(bob, COURSE, BLOCK, {"seed": 2})
        api.save_fields(ada, COURSE, OTHER, {"seed": 3})
        deletion.clear_state(ada, COURSE, BLOCK)
        assert api.read_state(bob, BLOCK, COURSE) == {"seed": 2}
        assert api.read_state(ada, OTHER, COURSE) == {"seed": 3}

    def test_it_is_told_after_commit(self, ada, django_capture_on_commit_callbacks):
        with heard(state_deleted) as received:
            with django_capture_on_commit_callbacks() as callbacks:
                deletion.clear_state(ada, COURSE, BLOCK)
                deletion.clear_state(ada, COURSE, BLOCK)  # nothing more to tell
            assert received == []
            for callback in callbacks:
                callback()
        assert received == [{"user_id": ada, "course_key": COURSE, "usage_key": BLOCK}]

    def test_what_comes_next_begins_anew(self, ada):
        deletion.clear_state(ada, COURSE, BLOCK)
        api.save_fields(ada, COURSE, BLOCK, {"seed": 4})
        assert api.read_state(ada, BLOCK, COURSE) == {"seed": 4}
        assert api.read_score(ada, BLOCK, COURSE).earned is None


def test_learners_at(ada):
    bob = get_user_model().objects.create_user("bob").pk
    api.save_fields(bob, COURSE, BLOCK, {"seed": 2})
    assert sorted(deletion.learner_ids_at(COURSE, BLOCK)) == sorted([ada, bob])
    assert list(deletion.learner_ids_at(COURSE, OTHER)) == []


@pytest.mark.django_db(transaction=True)
def test_statements(transactional_db, django_assert_num_queries):
    """One lock, one write, one history entry, in one transaction."""
    ada = get_user_model().objects.create_user("ada").pk
    api.save_fields(ada, COURSE, BLOCK, STATE)
    with django_assert_num_queries(4 + LOCK):
        api.reset_attempts(ada, COURSE, BLOCK)
    with django_assert_num_queries(4 + LOCK):
        deletion.clear_state(ada, COURSE, BLOCK)
