"""The legal changes of status, as a table."""

from itertools import pairwise

import pytest

from xqueue_bridge.submission_queue.states import TRANSITIONS, Status, sources_of


def test_every_status_has_its_line():
    assert set(TRANSITIONS) == set(Status)


def test_sources_are_the_table_read_backwards():
    for target in Status:
        for source in Status:
            assert (source in sources_of(target)) == (target in TRANSITIONS[source])


def test_an_answer_is_final():
    assert TRANSITIONS[Status.ANSWERED] == frozenset()


def test_a_retirement_is_final_and_spares_no_other():
    assert TRANSITIONS[Status.RETIRED] == frozenset()
    assert {*sources_of(Status.RETIRED)} == {*Status} - {Status.ANSWERED, Status.RETIRED}


@pytest.mark.parametrize(
    "life",
    [
        [Status.WAITING, Status.LEASED, Status.ANSWERED],
        [Status.WAITING, Status.LEASED, Status.LEASED, Status.FAILED, Status.WAITING],
        [Status.WAITING, Status.SUPERSEDED, Status.WAITING],
        [Status.WAITING, Status.LEASED, Status.SUPERSEDED, Status.ANSWERED],
        [Status.WAITING, Status.LEASED, Status.FAILED, Status.RETIRED],
    ],
)
def test_the_lives_of_a_submission_are_legal(life):
    for former, latter in pairwise(life):
        assert latter in TRANSITIONS[former]
