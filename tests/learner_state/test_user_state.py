"""Reading and writing the state, score and history of one learner at one block."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge import api
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.signals import state_saved
from xqueue_bridge.testing.user_state.base import DEPRECATED_KEY, OLD_RUNS

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
OTHER = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")

#: The lock: on SQLite the transaction begins with it (``transaction_mode`` "IMMEDIATE").
LOCK = 1


@pytest.fixture
def ada(db) -> int:
    return get_user_model().objects.create_user("ada").pk


@pytest.fixture
def committed_ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


def test_saved_fields_are_added_to_the_state(ada):
    assert api.read_state(ada, BLOCK, COURSE) is None
    api.save_fields(ada, COURSE, BLOCK, {"seed": 1})
    api.save_fields(ada, COURSE, BLOCK, {"done": True})
    assert api.read_state(ada, BLOCK, COURSE) == {"seed": 1, "done": True}
    assert api.read_state(ada, OTHER, COURSE) is None


def test_row_has_learner_course_block_type_and_version(ada):
    api.save_fields(ada, COURSE, BLOCK, {"seed": 1})
    row = StudentModule.objects.get()
    assert (row.student_id, row.course_id, row.module_state_key) == (ada, COURSE, BLOCK)
    assert row.module_type == "problem"
    assert row.version == 1


def test_deprecated_keys_have_the_state_and_score_of_their_run(ada):
    """SG13: they are stored alike in all runs of a course."""
    for number, run in enumerate(OLD_RUNS):
        usage_key = DEPRECATED_KEY.map_into_course(run)
        assert api.read_state(ada, usage_key, run) is None
        api.save_fields(ada, run, usage_key, {"n": number})
        api.set_score(ada, run, usage_key, number, 9)
        assert api.read_state(ada, usage_key, run) == {"n": number}
        assert api.read_score(ada, usage_key, run) == api.RawScore(number, 9)
        assert len(list(api.read_history(ada, usage_key, run))) == 2


def test_none_is_stored_as_a_value(ada):
    api.save_fields(ada, COURSE, BLOCK, {"seed": 1})
    api.save_fields(ada, COURSE, BLOCK, {"seed": None})
    assert api.read_state(ada, BLOCK, COURSE) == {"seed": None}


def test_save_without_fields_creates_no_row(ada):
    api.save_fields(ada, COURSE, BLOCK, {})
    assert not StudentModule.objects.exists()


def test_field_that_is_no_json_stores_no_field(ada):
    with pytest.raises(TypeError):
        api.save_fields(ada, COURSE, BLOCK, {"good": 1, "bad": object()})
    assert not StudentModule.objects.exists()


def test_unknown_learner_is_an_error(ada):
    for write in (
        lambda: api.save_fields(ada + 1, COURSE, BLOCK, {"seed": 1}),
        lambda: api.set_score(ada + 1, COURSE, BLOCK, 1, 1),
    ):
        with pytest.raises(api.UnknownLearner):
            write()
    assert not StudentModule.objects.exists()


def test_writes_of_score_and_state_keep_each_other(ada):
    api.set_score(ada, COURSE, BLOCK, 0.5, 2)
    assert api.read_state(ada, BLOCK, COURSE) is None
    assert StudentModule.objects.get().state is None
    api.save_fields(ada, COURSE, BLOCK, {"seed": 1})
    assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(0.5, 2)
    api.set_score(ada, COURSE, BLOCK, 2, 2)
    assert api.read_state(ada, BLOCK, COURSE) == {"seed": 1}


def test_score_without_a_row_is_none(ada):
    assert api.read_score(ada, BLOCK, COURSE) is None


def test_history_is_newest_first(ada):
    api.save_fields(ada, COURSE, BLOCK, {"seed": 1})
    api.set_score(ada, COURSE, BLOCK, 1, 2)
    api.set_score(ada, COURSE, BLOCK, 1, 2)
    api.save_fields(ada, COURSE, OTHER, {"seed": 9})
    api.save_fields(ada, COURSE, BLOCK, {"done": True})
    entries = list(api.read_history(ada, BLOCK, COURSE))
    assert [(entry.version, entry.reason) for entry in entries] == [
        (3, "state"),
        (2, "score"),
        (1, "state"),
    ]
    assert entries[0].state == {"seed": 1, "done": True}
    assert (entries[0].grade, entries[0].max_grade) == (1, 2)
    assert (entries[2].grade, entries[2].max_grade) == (None, None)
    assert entries[0].created == StudentModule.objects.get(module_state_key=BLOCK).modified
    assert entries[0].created >= entries[1].created >= entries[2].created


def test_block_without_a_row_has_no_history(ada):
    assert list(api.read_history(ada, BLOCK, COURSE)) == []


def test_save_of_a_waiting_state_sends_its_queue_keys(ada, django_capture_on_commit_callbacks):
    """C20: send the queue keys after the commit, to find replies that came before."""
    signals = []

    def listen(sender, **received):
        signals.append((received["user_id"], received["usage_key"], received["waiting_keys"]))

    state_saved.connect(listen)
    try:
        waiting = {"a_2_1": {"queuestate": {"key": "k1", "time": "20261120053556"}}}
        with django_capture_on_commit_callbacks(execute=True):
            api.save_fields(ada, COURSE, BLOCK, {"correct_map": waiting})
            assert signals == [], "no signal before the commit"
        assert signals == [(ada, BLOCK, frozenset({"k1"}))]
        with django_capture_on_commit_callbacks(execute=True):
            api.save_fields(ada, COURSE, BLOCK, {"correct_map": {}})
            api.save_fields(ada, COURSE, BLOCK, {"correct_map": {}, "seed": 1})
        assert signals[1:] == [(ada, BLOCK, frozenset())], "none if neither state waits"
    finally:
        state_saved.disconnect(listen)


@pytest.mark.usefixtures("without_course_grades")
class TestStatements:
    """Statements of each access, BEGIN and COMMIT included."""

    def test_state_score_and_history_take_one_statement_each(
        self, committed_ada, django_assert_num_queries
    ):
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(1):
            api.read_state(committed_ada, BLOCK, COURSE)
        with django_assert_num_queries(1):
            api.read_score(committed_ada, BLOCK, COURSE)
        with django_assert_num_queries(1):
            assert len(list(api.read_history(committed_ada, BLOCK, COURSE))) == 1

    def test_first_write_takes_a_constant_number_of_statements(
        self, committed_ada, django_assert_num_queries
    ):
        """BEGIN, lock, read the learner, savepoint, INSERT, release, history, COMMIT."""
        with django_assert_num_queries(7 + LOCK):
            api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})

    def test_later_writes_take_lock_update_and_history(
        self, committed_ada, django_assert_num_queries
    ):
        """BEGIN, lock, UPDATE, history, COMMIT."""
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(4 + LOCK):
            api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 2})
        with django_assert_num_queries(4 + LOCK):
            api.set_score(committed_ada, COURSE, BLOCK, 1, 1)
        with django_assert_num_queries(2 + LOCK):
            api.set_score(committed_ada, COURSE, BLOCK, 1, 1)


def in_threads(jobs):
    def run(job):
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def test_eight_concurrent_first_writes_store_all_fields(committed_ada):
    """C118: store the fields of all writers, although none of them found a row."""
    in_threads(
        [
            lambda n=n: api.save_fields(committed_ada, COURSE, BLOCK, {f"field {n}": n})
            for n in range(8)
        ]
    )
    state = api.read_state(committed_ada, BLOCK, COURSE)
    assert state == {f"field {n}": n for n in range(8)}
    versions = StudentModuleHistory.objects.order_by("version").values_list("version", flat=True)
    assert list(versions) == list(range(1, 9))


def test_concurrent_states_and_scores_are_all_stored(committed_ada):
    """C118: store all states and scores that are written at once."""

    def write(writer):
        for n in range(6):
            api.save_fields(committed_ada, COURSE, BLOCK, {f"field {writer} {n}": n})
        return writer

    def score():
        for n in range(6):
            api.set_score(committed_ada, COURSE, BLOCK, n, 6)

    in_threads([*(lambda w=w: write(w) for w in range(4)), score])
    assert len(api.read_state(committed_ada, BLOCK, COURSE)) == 24
    assert api.read_score(committed_ada, BLOCK, COURSE) == api.RawScore(5, 6)
    assert StudentModule.objects.get().version == 30
