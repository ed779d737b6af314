"""The allowed changes of a submission's status."""

from itertools import pairwise

import pytest

from xqueue_bridge.submission_queue.states import TRANSITIONS, Status, sources_of


def test_table_has_every_status():
    assert set(TRANSITIONS) == set(Status)


def test_sources_of_a_status_are_those_that_may_change_to_it():
    for target in Status:
        for source in Status:
            assert (source in sources_of(target)) == (target in TRANSITIONS[source])


def test_answered_only_changes_by_the_repair_of_a_stuck_answer():
    assert TRANSITIONS[Status.ANSWERED] == {Status.WAITING}


def test_retired_is_final_and_follows_every_status_but_answered():
    assert TRANSITIONS[Status.RETIRED] == frozenset()
    assert {*sources_of(Status.RETIRED)} == {*Status} - {Status.ANSWERED, Status.RETIRED}


@pytest.mark.parametrize(
    "sequence",
    [
        [Status.WAITING, Status.LEASED, Status.ANSWERED],
        [Status.WAITING, Status.LEASED, Status.LEASED, Status.FAILED, Status.WAITING],
        [Status.WAITING, Status.SUPERSEDED, Status.WAITING],
        [Status.WAITING, Status.LEASED, Status.SUPERSEDED, Status.ANSWERED],
        [Status.WAITING, Status.LEASED, Status.FAILED, Status.RETIRED],
    ],
)
def test_usual_sequence_of_statuses_is_allowed(sequence):
    for former, latter in pairwise(sequence):
        assert latter in TRANSITIONS[former]
