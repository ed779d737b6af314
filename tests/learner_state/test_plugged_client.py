"""The contract tests of user-state clients, with a client that uses no database."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from tests.doubles.memory_state_client import STORE, MemoryUserStateClient
from xqueue_bridge import api
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.testing.user_state import ConcurrentUserStateContract, UserStateClientContract
from xqueue_bridge.testing.user_state.base import BLOCK, COURSE

PATH = "tests.doubles.memory_state_client.MemoryUserStateClient"


@pytest.fixture(autouse=True)
def _empty_store():
    STORE.clear()


class MemoryClientMixin:
    """A client of the host that uses no database."""

    def make_client(self, username=None):
        return MemoryUserStateClient()

    def make_user(self, name):
        return name


class TestContract(MemoryClientMixin, UserStateClientContract):
    """SG87: run the contract with a client of the host."""


class TestConcurrentContract(MemoryClientMixin, ConcurrentUserStateContract):
    """SG87: run the contract with concurrent writers."""


class Replaces(MemoryUserStateClient):
    def set_many(self, username, block_keys_to_state, scope="user_state"):
        self.delete_many(username, block_keys_to_state, scope)
        super().set_many(username, block_keys_to_state, scope)


class Sorts(MemoryUserStateClient):
    def get_many(self, username, block_keys, scope="user_state", fields=None):
        yield from super().get_many(username, sorted(block_keys, key=str), scope, fields)


class LeavesOut(MemoryUserStateClient):
    def get_many(self, username, block_keys, scope="user_state", fields=None):
        found = super().get_many(username, block_keys, scope, fields)
        yield from (state for state in found if state.state)


class ReadsAtOnce(MemoryUserStateClient):
    def get_many(self, username, block_keys, scope="user_state", fields=None):
        return iter(list(super().get_many(username, block_keys, scope, fields)))


class DeletesAll(MemoryUserStateClient):
    def delete_many(self, username, block_keys, scope="user_state", fields=None):
        super().delete_many(username, block_keys, scope, fields or None)


class WritesHalf(MemoryUserStateClient):
    def set_many(self, username, block_keys_to_state, scope="user_state"):
        for key, state in block_keys_to_state.items():
            super().set_many(username, {key: state}, scope)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (Replaces, "test_set_overlays"),
        (Sorts, "test_in_the_requested_order"),
        (LeavesOut, "test_fields_that_are_not_there"),
        (ReadsAtOnce, "test_other_scopes_in_generators"),
        (DeletesAll, "test_delete_no_fields"),
        (WritesHalf, "test_one_bad_value_stores_nothing"),
    ],
)
def test_client_that_breaks_a_rule_fails_the_test_of_the_rule(wrong, name):
    """SG87: fail the test of each rule that a client breaks."""

    class Contract(UserStateClientContract):
        make_user = MemoryClientMixin.make_user

        def make_client(self, username=None):
            return wrong()

    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception, wrong.DoesNotExist)):
        getattr(Contract(), name)()


def test_default_client_is_the_bridges():
    """SG86: use the bridge's client without a setting."""
    user = get_user_model()(username="ada")
    client = api.state_client(user)
    assert type(client) is DjangoXBlockUserStateClient
    assert client.user is user


@pytest.mark.django_db
def test_plugged_client_has_states_and_the_row_has_scores(settings):
    """SG87: store states in the plugged client, and scores in StudentModule."""
    settings.XQUEUE_BRIDGE = {"USER_STATE_CLIENT": PATH}
    ada = get_user_model().objects.create_user("ada")
    client = api.state_client(ada)
    assert type(client) is MemoryUserStateClient
    client.set("ada", BLOCK, {"a": 1})
    api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
    assert client.get("ada", BLOCK).state == {"a": 1}
    assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)
    assert StudentModule.objects.get().state is None
