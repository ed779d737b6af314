"""The contract tests of a user-state client, on a client that uses no database."""

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


class Foreign:
    """A client that is not ours, and needs no database."""

    def make_client(self, username=None):
        return MemoryUserStateClient()

    def make_user(self, name):
        return name


class TestContract(Foreign, UserStateClientContract):
    """SG87: the contract can be kept by others."""


class TestContractTogether(Foreign, ConcurrentUserStateContract):
    """SG87: with many writers, too."""


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


class AsksAtOnce(MemoryUserStateClient):
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
        (Sorts, "test_in_the_order_asked"),
        (LeavesOut, "test_fields_that_are_not_there"),
        (AsksAtOnce, "test_other_scopes_in_generators"),
        (DeletesAll, "test_delete_no_fields"),
        (WritesHalf, "test_one_bad_value_stores_nothing"),
    ],
)
def test_the_contract_sees_what_is_wrong(wrong, name):
    """SG87: a client that breaks a rule of the contract fails the test of that rule."""

    class Contract(UserStateClientContract):
        make_user = Foreign.make_user

        def make_client(self, username=None):
            return wrong()

    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception, wrong.DoesNotExist)):
        getattr(Contract(), name)()


def test_ours_is_the_default():
    """SG86: without a setting our own client is used."""
    user = get_user_model()(username="ada")
    client = api.state_client(user)
    assert type(client) is DjangoXBlockUserStateClient
    assert client.user is user


@pytest.mark.django_db
def test_scores_do_not_mind(settings):
    """SG87: with a client plugged in, states are in it, and scores where they were."""
    settings.XQUEUE_BRIDGE = {"USER_STATE_CLIENT": PATH}
    ada = get_user_model().objects.create_user("ada")
    client = api.state_client(ada)
    assert type(client) is MemoryUserStateClient
    client.set("ada", BLOCK, {"a": 1})
    api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
    assert client.get("ada", BLOCK).state == {"a": 1}
    assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)
    assert StudentModule.objects.get().state is None
