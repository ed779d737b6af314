"""Resetting, deleting and retiring states in a user-state client of the host."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from tests.doubles.memory_state_client import STORE, MemoryUserStateClient
from tests.grader_replies.factories import received_signals
from xqueue_bridge import api, deletion, signals
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.learner_state import plugged_client
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.retirement import retire_learner, unfinished_retirements
from xqueue_bridge.testing.user_state.base import (
    BLOCK,
    COURSE,
    DEPRECATED_KEY,
    LIBRARY,
    LIBRARY_BLOCK,
    OLD_RUNS,
    OTHER,
)

HERE = "tests.learner_state.test_plugged_client_operations"


class RetiringClient(MemoryUserStateClient):
    """A client that retires learners itself."""

    def retire_learner(self, username):
        assert not connection.in_atomic_block
        mine = [key for key in STORE if key[0] == username]
        for key in mine:
            del STORE[key]
        return len(mine)


class FailingClient(MemoryUserStateClient):
    def retire_learner(self, username):
        raise ConnectionError(f"{username} is not to be logged")


@pytest.fixture(autouse=True)
def _empty_store():
    STORE.clear()


@pytest.fixture
def ada(transactional_db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def use(settings):
    def use(name: str):
        settings.XQUEUE_BRIDGE = {"USER_STATE_CLIENT": f"{HERE}.{name}", "REPLY_BACKEND": "block"}
        return api.state_client()

    return use


@pytest.fixture
def client(use):
    return use("MemoryUserStateClient")


class TestDelete:
    def test_fields_and_score_are_deleted_and_one_signal_is_sent(self, ada, client):
        """SG45, SG87: delete fields and score, keep other blocks, and send the signal once."""
        client.set_many("ada", {BLOCK: {"a": 1}, OTHER: {"a": 2}})
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        assert deletion.has_state(ada.pk, COURSE, BLOCK)
        with received_signals(signals.state_deleted) as received:
            assert deletion.delete_state(ada.pk, COURSE, BLOCK)
        assert [found.block_key for found in client.get_many("ada", [BLOCK, OTHER])] == [OTHER]
        assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(None, None)
        assert [values["usage_key"] for values in received] == [BLOCK]
        assert not deletion.has_state(ada.pk, COURSE, BLOCK)
        assert not deletion.delete_state(ada.pk, COURSE, BLOCK)

    def test_state_without_a_row_is_deleted(self, ada, client):
        """SG45, SG87: delete the state of a learner who has no score and no row."""
        client.set("ada", BLOCK, {"a": 1})
        with received_signals(signals.state_deleted) as received:
            assert deletion.delete_state(ada.pk, COURSE, BLOCK)
        assert list(client.get_many("ada", [BLOCK])) == []
        assert len(received) == 1
        assert not StudentModule.objects.exists()

    def test_deprecated_key_deletes_the_state_of_the_requested_run(self, ada, client):
        """SG13: delete the state of the requested run only, of two runs with the same key."""
        first, second = (DEPRECATED_KEY.map_into_course(run) for run in OLD_RUNS)
        client.set_many("ada", {first: {"a": 1}, second: {"a": 2}})
        assert deletion.delete_state(ada.pk, OLD_RUNS[0], DEPRECATED_KEY)
        assert [found.block_key for found in client.get_many("ada", [first, second])] == [second]

    def test_client_error_keeps_the_score_and_the_delete_can_be_repeated(
        self, ada, client, monkeypatch
    ):
        """SG48: keep the score if the client fails, and delete both in a repetition."""
        client.set("ada", BLOCK, {"a": 1})
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with monkeypatch.context() as broken:
            broken.setattr(MemoryUserStateClient, "delete_many", lambda *args, **more: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                deletion.delete_state(ada.pk, COURSE, BLOCK)
        assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)
        assert deletion.delete_state(ada.pk, COURSE, BLOCK)


class TestReset:
    def test_attempts_are_zero_and_other_fields_stay(self, ada, client):
        """SG46, SG87: keep other fields; return False for the second reset."""
        client.set("ada", BLOCK, {"attempts": 3, "seed": 1})
        assert deletion.has_attempts(ada.pk, COURSE, BLOCK)
        assert deletion.reset_attempts(ada.pk, COURSE, BLOCK)
        assert client.get("ada", BLOCK).state == {"attempts": 0, "seed": 1}
        assert not deletion.has_attempts(ada.pk, COURSE, BLOCK)
        assert not deletion.reset_attempts(ada.pk, COURSE, BLOCK)

    def test_reset_of_everyone_finds_learners_in_client_and_table_once(self, ada, client, capsys):
        """SG46: find each learner once, with state in the client only or with a score."""
        ben = get_user_model().objects.create_user("ben")
        for name in ("ada", "ben"):
            client.set(name, BLOCK, {"attempts": 3})
        client.set("gone", BLOCK, {"attempts": 3})  # an account that was deleted since
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        assert sorted(deletion.learner_ids_at(COURSE, BLOCK)) == [ada.pk, ben.pk]
        call_command("xqueue_bridge_reset_attempts", str(BLOCK), "--everyone", "--no-progress")
        assert "2 of 2 learners reset" in capsys.readouterr().out
        attempts = [client.get(name, BLOCK).state["attempts"] for name in ("ada", "ben", "gone")]
        assert attempts == [0, 0, 3]


class TestRetire:
    @pytest.mark.parametrize("mode", ["scrub", "purge"])
    def test_retire_learner_of_the_client_is_called_once_a_run(self, ada, use, mode):
        """SG81, SG87: call the client's method outside of a transaction, once a run."""
        client = use("RetiringClient")
        client.set_many("ada", {BLOCK: {"a": 1}, LIBRARY_BLOCK: {"a": 1}})
        client.set("ben", BLOCK, {"a": 1})
        assert retire_learner(ada.pk, mode)["client states"] == 2
        assert [key[0] for key in STORE] == ["ben"]
        assert retire_learner(ada.pk, mode)["client states"] == 0
        assert unfinished_retirements() == []

    @pytest.mark.parametrize("mode", ["scrub", "purge"])
    def test_client_without_retire_learner_deletes_states_at_blocks_with_a_score(
        self, ada, client, mode, caplog
    ):
        """SG81: delete the states at blocks with a score, and log that others may remain."""
        client.set_many("ada", {BLOCK: {"a": 1}, LIBRARY_BLOCK: {"a": 1}, OTHER: {"a": 1}})
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        api.set_score(ada.pk, LIBRARY, LIBRARY_BLOCK, 1, 2)
        assert retire_learner(ada.pk, mode)["client states"] == 2
        left = client.get_many("ada", [BLOCK, LIBRARY_BLOCK, OTHER])
        assert [found.block_key for found in left] == [OTHER]
        assert "retire_learner" in caplog.text

    def test_client_error_leaves_the_retirement_unfinished(self, ada, use, caplog):
        """SG81: name the setting and no learner in the error; finish in a repetition."""
        use("FailingClient")
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with pytest.raises(RetirementUnfinished, match="USER_STATE_CLIENT") as caught:
            retire_learner(ada.pk, "purge")
        assert "not to be logged" not in str(caught.value) + caplog.text
        assert [user_id for user_id, _ in unfinished_retirements()] == [ada.pk]
        assert StudentModule.objects.exists()
        use("RetiringClient")
        call_command("xqueue_bridge_retire_learner", "--unfinished", "--no-progress")
        assert RetiredLearner.objects.get().finished_at is not None
        assert not StudentModule.objects.exists()

    def test_deleted_account_is_logged_and_the_client_is_not_called(self, ada, use, caplog):
        """SG81: log that no username is known, and call no client."""
        use("RetiringClient")
        user_id = ada.pk
        ada.delete()
        assert list(plugged_client.retire_states(user_id)) == []
        assert f"Learner {user_id} has no account" in caplog.text


def test_operations_take_no_statement_with_the_bridges_client(ada, django_assert_num_queries):
    """SG87: execute no statement with the bridge's client."""
    with django_assert_num_queries(0):
        assert plugged_client.read_fields(ada.pk, COURSE, BLOCK) == {}
        assert not plugged_client.reset_attempts(ada.pk, COURSE, BLOCK)
        assert not plugged_client.clear_state(ada.pk, COURSE, BLOCK)
        assert list(plugged_client.learner_ids_at(COURSE, BLOCK)) == []
        assert list(plugged_client.retire_states(ada.pk)) == []
