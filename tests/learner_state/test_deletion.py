"""Resetting the attempts, and deleting the state, of one learner at one block."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey, UsageKey

from tests.grader_replies.factories import received_signals
from xqueue_bridge import api
from xqueue_bridge.learner_state import deletion
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.signals import state_deleted

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
OTHER = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")
STATE = {"attempts": 3, "seed": 1, "student_answers": {"a_2_1": "print(1)"}}

#: The lock: on SQLite the transaction begins with it (``transaction_mode`` "IMMEDIATE").
LOCK = 1


@pytest.fixture
def ada(db) -> int:
    user_id = get_user_model().objects.create_user("ada").pk
    api.save_fields(user_id, COURSE, BLOCK, STATE)
    api.set_score(user_id, COURSE, BLOCK, 1, 2)
    return user_id


def newest(user_id: int) -> api.HistoryEntry:
    return next(iter(api.read_history(user_id, BLOCK, COURSE)))


class TestResetAttempts:
    def test_attempts_are_zero_and_other_fields_unchanged(self, ada):
        """SG48: set the attempts to 0, and change nothing else."""
        assert api.reset_attempts(ada, COURSE, BLOCK) is True
        assert api.read_state(ada, BLOCK, COURSE) == {**STATE, "attempts": 0}
        assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(1, 2)

    def test_history_entry_has_the_reason_reset(self, ada):
        api.reset_attempts(ada, COURSE, BLOCK)
        entry = newest(ada)
        assert (entry.reason, entry.state["attempts"], entry.grade) == ("reset", 0, 1)

    def test_second_reset_writes_nothing(self, ada):
        api.reset_attempts(ada, COURSE, BLOCK)
        entries = len(list(api.read_history(ada, BLOCK, COURSE)))
        assert deletion.has_attempts(ada, COURSE, BLOCK) is False
        assert api.reset_attempts(ada, COURSE, BLOCK) is False
        assert len(list(api.read_history(ada, BLOCK, COURSE))) == entries

    def test_reset_without_attempts_returns_false(self, ada):
        assert api.reset_attempts(ada, COURSE, OTHER) is False
        api.set_score(ada, COURSE, OTHER, 1, 1)
        assert api.reset_attempts(ada, COURSE, OTHER) is False
        assert api.reset_attempts(ada + 1, COURSE, BLOCK) is False
        assert deletion.has_attempts(ada, COURSE, BLOCK) is True


class TestClearState:
    def test_state_is_absent_and_score_empty_after_a_delete(self, ada):
        """SG48: empty the state and the score; keep the row."""
        assert deletion.clear_state(ada, COURSE, BLOCK) is True
        assert api.read_state(ada, BLOCK, COURSE) is None
        assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(None, None)
        assert StudentModule.objects.get().state == "{}"

    def test_history_has_one_entry_with_the_reason_delete(self, ada):
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

    def test_score_without_state_is_deleted_and_state_stays_null(self, ada):
        """SG26: delete the score, and keep a state that was never stored as NULL."""
        api.set_score(ada, COURSE, OTHER, 1, 1)
        assert deletion.clear_state(ada, COURSE, OTHER) is True
        assert StudentModule.objects.get(module_state_key=OTHER).state is None
        assert api.read_score(ada, OTHER, COURSE).earned is None

    def test_delete_without_a_row_returns_false(self, ada):
        assert deletion.has_state(ada, COURSE, OTHER) is False
        assert deletion.clear_state(ada, COURSE, OTHER) is False
        assert deletion.clear_state(ada + 1, COURSE, BLOCK) is False

    def test_states_of_other_learners_and_blocks_stay(self, ada):
        bob = get_user_model().objects.create_user("bob").pk
        api.save_fields(bob, COURSE, BLOCK, {"seed": 2})
        api.save_fields(ada, COURSE, OTHER, {"seed": 3})
        deletion.clear_state(ada, COURSE, BLOCK)
        assert api.read_state(bob, BLOCK, COURSE) == {"seed": 2}
        assert api.read_state(ada, OTHER, COURSE) == {"seed": 3}

    def test_state_deleted_is_sent_once_after_the_commit(
        self, ada, django_capture_on_commit_callbacks
    ):
        with received_signals(state_deleted) as received:
            with django_capture_on_commit_callbacks() as callbacks:
                deletion.clear_state(ada, COURSE, BLOCK)
                deletion.clear_state(ada, COURSE, BLOCK)  # nothing more to tell
            assert received == []
            for callback in callbacks:
                callback()
        assert received == [{"user_id": ada, "course_key": COURSE, "usage_key": BLOCK}]

    def test_state_saved_after_a_delete_has_only_the_new_fields(self, ada):
        deletion.clear_state(ada, COURSE, BLOCK)
        api.save_fields(ada, COURSE, BLOCK, {"seed": 4})
        assert api.read_state(ada, BLOCK, COURSE) == {"seed": 4}
        assert api.read_score(ada, BLOCK, COURSE).earned is None


def test_learner_ids_at_a_block_are_those_with_a_state(ada):
    bob = get_user_model().objects.create_user("bob").pk
    api.save_fields(bob, COURSE, BLOCK, {"seed": 2})
    assert sorted(deletion.learner_ids_at(COURSE, BLOCK)) == sorted([ada, bob])
    assert list(deletion.learner_ids_at(COURSE, OTHER)) == []


@pytest.mark.django_db(transaction=True)
def test_reset_and_delete_take_one_lock_write_and_entry(
    transactional_db, django_assert_num_queries
):
    """Take one lock, one write and one history entry, in one transaction."""
    ada = get_user_model().objects.create_user("ada").pk
    api.save_fields(ada, COURSE, BLOCK, STATE)
    with django_assert_num_queries(4 + LOCK):
        api.reset_attempts(ada, COURSE, BLOCK)
    with django_assert_num_queries(4 + LOCK):
        deletion.clear_state(ada, COURSE, BLOCK)
