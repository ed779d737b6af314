"""Locking and writing rows of many learners together."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from tests.grader_replies.factories import received_signals
from tests.learner_state.test_user_state import LOCK
from tests.processes import in_processes
from xqueue_bridge import api, signals
from xqueue_bridge.data import SavedScore
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.history.models import Reason, StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import RowKey
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.testing.user_state.base import BLOCK, COURSE, DEPRECATED_KEY, OLD_RUNS, OTHER

LEARNERS = 50


@pytest.fixture
def learners(transactional_db) -> list[int]:
    users = get_user_model().objects
    ids = [users.create_user(f"learner{n}").pk for n in range(LEARNERS)]
    for user_id in ids:
        api.save_fields(user_id, COURSE, BLOCK, {"attempts": 1})
    return ids


def keys_of(learners: list[int], *blocks) -> list[RowKey]:
    return [
        learner_state.row_key(user_id, COURSE, block)
        for block in blocks or (BLOCK,)
        for user_id in learners
    ]


def grade(keys: list[RowKey]) -> int:
    """Give each learner a score equal to the user id, in one transaction."""

    def work() -> int:
        rows = learner_state.lock_rows(keys)
        for row in rows.values():
            row.set_fields(row.fields() | {"graded": row.student_id})
            row.grade, row.max_grade = row.student_id, 1000
        learner_state.save_rows(list(rows.values()), Reason.REPLY)
        learner_state.record_outcomes(
            [
                learner_state.ScoreLedger(
                    idempotency_key=f"reply:{key.user_id}",
                    user_id=key.user_id,
                    course_key=COURSE,
                    usage_key=BLOCK,
                    outcome="applied",
                )
                for key in rows
            ]
        )
        return len(rows)

    return in_transaction(work)


def test_50_learners_take_one_lock_update_history_and_ledger_statement(
    learners, settings, django_assert_num_queries
):
    """SG25: take one statement of each kind for any number of learners."""
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    with transaction.atomic(), django_assert_num_queries(LOCK + 3 + 2):  # 2: the savepoint
        assert grade(keys_of(learners)) == LEARNERS
    rows = StudentModule.objects.values_list("student_id", "state", "grade", "version")
    assert sorted(rows) == [
        (pk, f'{{"attempts": 1, "graded": {pk}}}', float(pk), 2) for pk in learners
    ]
    entries = StudentModuleHistory.objects.filter(reason="reply")
    assert entries.count() == ScoreLedger.objects.count() == LEARNERS
    assert {(e.student_id, e.grade, e.version) for e in entries} == {(n, n, 2) for n in learners}


def test_scores_saving_is_sent_once_and_score_saved_for_each_learner(learners):
    """SG52: send all scores in the transaction, and each score after the commit."""
    with (
        received_signals(signals.scores_saving) as saving,
        received_signals(signals.score_saved) as saved,
    ):
        grade(keys_of(learners))
    assert [set(sent["scores"]) for sent in saving] == [
        {SavedScore(pk, COURSE, BLOCK, 2) for pk in learners}
    ]
    assert {(sent["user_id"], sent["earned"]) for sent in saved} == {(pk, pk) for pk in learners}
    assert all(sent["grader_response"] for sent in saved)


def test_learners_without_a_row_are_not_in_the_result(learners):
    """SG8: leave out a learner without a row at the block, and create none."""
    with transaction.atomic():
        rows = learner_state.lock_rows(keys_of(learners[:2], BLOCK, OTHER))
    assert set(rows) == set(keys_of(learners[:2]))
    assert not StudentModule.objects.filter(module_state_key=OTHER).exists()


def test_empty_lists_take_no_statement(transactional_db, django_assert_num_queries):
    """SG25: read, lock and write nothing for no keys."""
    with transaction.atomic(), django_assert_num_queries(0):
        assert learner_state.lock_rows([]) == {}
    with django_assert_num_queries(0):
        learner_state.save_rows([], Reason.REPLY)
        learner_state.record_outcomes([])


def test_deprecated_keys_lock_the_rows_of_the_requested_runs(learners):
    """SG13: lock two learners' rows at a deprecated key in the requested runs."""
    ada, ben, *_ = learners
    for run in OLD_RUNS:
        for user_id in (ada, ben):
            api.save_fields(user_id, run, DEPRECATED_KEY.map_into_course(run), {"run": run.run})
    first, second = ((run, DEPRECATED_KEY.map_into_course(run)) for run in OLD_RUNS)
    keys = [learner_state.row_key(ada, *first), learner_state.row_key(ben, *second)]
    with transaction.atomic():
        rows = learner_state.lock_rows(keys)
    assert {key: row.fields()["run"] for key, row in rows.items()} == {
        keys[0]: OLD_RUNS[0].run,
        keys[1]: OLD_RUNS[1].run,
    }


def test_concurrent_batches_of_the_same_learners_store_every_write(learners):
    """SG21: lock the same rows in different orders in eight processes."""
    keys = keys_of(learners)
    orders = [keys[n:] + keys[:n] if n % 2 else keys[::-1] for n in range(8)]
    assert in_processes([lambda order=order: grade(order) for order in orders]) == [LEARNERS] * 8
    assert set(StudentModule.objects.values_list("version", flat=True)) == {9}
    assert StudentModuleHistory.objects.count() == LEARNERS * 9
    assert ScoreLedger.objects.count() == LEARNERS


def test_lock_outside_of_a_transaction_is_an_error(learners):
    """SG20: refuse to lock rows outside of a transaction where the database has row locks."""
    if connection.features.has_select_for_update:
        with pytest.raises(transaction.TransactionManagementError):
            learner_state.lock_rows(keys_of(learners[:1]))
    else:
        assert len(learner_state.lock_rows(keys_of(learners[:1]))) == 1
