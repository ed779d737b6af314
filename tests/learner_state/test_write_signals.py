"""Which signals a write of learners' rows sends, and a row that another process has inserted."""

from __future__ import annotations

import pytest

from tests.grader_replies.factories import received_signals, waiting_state
from xqueue_bridge import api, signals
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state import write
from xqueue_bridge.testing.user_state.base import BLOCK, COURSE, OTHER

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("blocks", [(BLOCK, OTHER), (OTHER, BLOCK)])
def test_state_saved_is_sent_for_each_state_that_waits(ada, blocks):
    """C20: also if a state that does not wait is written before it in the same call."""
    quiet, waiting = blocks
    states = {quiet: {"attempts": 1}, waiting: waiting_state(a_2_1="key-1")}
    client = api.DjangoXBlockUserStateClient()
    with received_signals(signals.state_saved) as received:
        client.set_many("ada", {block: states[block] for block in (BLOCK, OTHER)})
    [saved] = received
    assert (saved["user_id"], saved["usage_key"]) == (ada.pk, waiting)
    assert saved["waiting_keys"] == {"key-1"}


def test_state_saved_is_sent_if_a_field_of_a_waiting_state_is_deleted(ada):
    """C20: the state still waits, and an early reply can be applied."""
    api.save_fields(ada.pk, COURSE, BLOCK, {**waiting_state(a_2_1="key-1"), "seen": 1})
    client = api.DjangoXBlockUserStateClient()
    with received_signals(signals.state_saved) as received:
        client.delete("ada", BLOCK, fields=["seen"])
    assert [each["waiting_keys"] for each in received] == [{"key-1"}]


def test_state_saved_has_the_keys_that_only_the_state_before_waited_for(ada):
    """C22: a learner's own reset leaves a state that waits for nothing; a later save is silent."""
    api.save_fields(ada.pk, COURSE, BLOCK, waiting_state(a_2_1="key-1", a_3_1="key-2"))
    with received_signals(signals.state_saved) as received:
        api.save_fields(ada.pk, COURSE, BLOCK, waiting_state(a_2_1="key-1"))
        api.save_fields(ada.pk, COURSE, BLOCK, {"correct_map": {}})
        api.save_fields(ada.pk, COURSE, BLOCK, {"correct_map": {}, "seed": 2})
    keys = [(each["waiting_keys"], each["released_keys"]) for each in received]
    assert keys == [({"key-1"}, {"key-2"}), (set(), {"key-1"})]


@pytest.mark.parametrize("only_if_higher", [True, False])
def test_score_signal_says_whether_only_a_higher_score_counts(ada, only_if_higher):
    """SG59: receivers of the platform's signals read it."""
    with received_signals(signals.score_saved) as received:
        api.publish_score(ada.pk, COURSE, BLOCK, 1, 2, only_if_higher=only_if_higher)
    assert [each["only_if_higher"] for each in received] == [only_if_higher]


def test_missing_row_that_another_process_has_inserted_is_kept(ada):
    """SG21: the INSERT changes nothing of it."""
    api.save_fields(ada.pk, COURSE, BLOCK, {"attempts": 1})
    write.insert_missing(learner_state.row_key(ada.pk, COURSE, BLOCK))
    assert api.read_state(ada.pk, BLOCK, COURSE) == {"attempts": 1}
