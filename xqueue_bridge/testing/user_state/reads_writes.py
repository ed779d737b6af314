"""Tests of a user-state client: reads and writes."""

from __future__ import annotations

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.testing.user_state.base import (
    BLOCK,
    BLOCKS,
    DEPRECATED_KEY,
    DEPRECATED_LIBRARY_BLOCK,
    ELSEWHERE,
    LIBRARY_BLOCK,
    OLD_RUNS,
    OTHER,
    STATES,
    UserStateCase,
    raises,
)


class ReadingAndWriting(UserStateCase):
    """Blocks are set and read, one or many."""

    def test_nothing_is_there(self) -> None:
        """SG1: without state, get raises DoesNotExist and get_many yields nothing."""
        client, ada = self.make_client(), self.make_user("ada")
        with raises(client.DoesNotExist):
            client.get(ada, BLOCK)
        assert list(client.get_many(ada, BLOCKS)) == []

    def test_errors_are_caught_through_the_client(self) -> None:
        """SG1: each error is an attribute of the client and of its class."""
        client, ada = self.make_client(), self.make_user("ada")
        for name in ("ServiceUnavailable", "PermissionDenied", "DoesNotExist"):
            assert issubclass(getattr(client, name), Exception)
            assert getattr(type(client), name) is getattr(client, name)
        with raises(client.DoesNotExist) as caught:
            client.get(ada, BLOCK)
        assert not isinstance(caught.value, client.PermissionDenied | client.ServiceUnavailable)

    def test_set_overlays(self) -> None:
        """SG2: new fields are merged over the existing ones."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        client.set(ada, BLOCK, {"b": 2})
        client.set(ada, BLOCK, {"a": 3})
        assert client.get(ada, BLOCK).state == {"a": 3, "b": 2}

    def test_the_answer(self) -> None:
        """SG2: a returned state has username, block key, time of change and scope."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        found = client.get(ada, BLOCK)
        assert (found.username, found.block_key, found.state) == (ada, BLOCK, {"a": 1})
        assert tuple(found) == (ada, BLOCK, {"a": 1}, found.updated, found.scope)
        assert found.updated.utcoffset() is not None
        assert getattr(found.scope, "name", found.scope) == "user_state"
        assert client.get(ada, BLOCK, found.scope).state == {"a": 1}

    def test_none_is_a_value(self) -> None:
        """SG3: a field that is set to None is kept."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        client.set(ada, BLOCK, {"a": None})
        assert client.get(ada, BLOCK).state == {"a": None}

    def test_fields_that_are_not_there(self) -> None:
        """SG4: a block with none of the requested fields is returned with {}, not left out."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1, "b": 2})
        assert client.get(ada, BLOCK, fields=["zzz"]).state == {}
        assert client.get(ada, BLOCK, fields=[]).state == {}
        assert client.get(ada, BLOCK, fields=["a", "zzz"]).state == {"a": 1}
        assert [found.state for found in client.get_many(ada, [BLOCK, OTHER], fields=[])] == [{}]

    def test_no_fields_leave_nothing(self) -> None:
        """SG8: a block that is set to no fields is absent."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {})
        with raises(client.DoesNotExist):
            client.get(ada, BLOCK)
        assert list(client.iter_all_for_block(BLOCK)) == []

    def test_learners_are_apart(self) -> None:
        """SG2: one learner's state is not visible to another."""
        client, ada, ben = self.make_client(), self.make_user("ada"), self.make_user("ben")
        client.set(ada, BLOCK, {"a": 1})
        client.set(ben, BLOCK, {"a": 2})
        client.delete(ben, BLOCK)
        assert client.get(ada, BLOCK).state == {"a": 1}
        assert list(client.get_many(ben, [BLOCK])) == []

    def test_a_client_made_for_one_learner_serves_all(self) -> None:
        """SG24: a client made for one learner returns the same states for all learners."""
        ada, ben = self.make_user("ada"), self.make_user("ben")
        client = self.make_client(ada)
        for username in (ada, ben):
            client.set(username, BLOCK, {"name": username})
            assert client.get(username, BLOCK).state == {"name": username}
            assert len(list(client.get_history(username, BLOCK))) == 1

    def test_every_value_comes_back(self) -> None:
        """SG14: any stored value is equal when it is read again."""
        client, ada = self.make_client(), self.make_user("ada")
        for block, state in zip(BLOCKS, STATES, strict=False):
            client.set(ada, block, state)
        for block, state in zip(BLOCKS, STATES, strict=False):
            assert client.get(ada, block).state == state
            assert next(client.get_history(ada, block)).state == state

    def test_answers_are_private(self) -> None:
        """SG15: changing a returned state, or a dict that was set, changes nothing stored."""
        client, ada = self.make_client(), self.make_user("ada")
        mine: dict[str, list[int]] = {"a": [1]}
        client.set(ada, BLOCK, mine)
        mine["a"].append(2)
        found = client.get(ada, BLOCK).state
        found["a"].append(3)
        found["b"] = 4
        assert client.get(ada, BLOCK).state == {"a": [1]}
        for entry in client.get_history(ada, BLOCK):
            assert entry.state == {"a": [1]}

    def test_in_the_requested_order(self) -> None:
        """SG10: states come in the requested order, each once; absent blocks are left out."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set_many(ada, {block: {"n": n} for n, block in enumerate(BLOCKS[:8])})
        order = [BLOCKS[n] for n in (5, 2, 40, 7, 2, 0, 6, 5, 1, 3, 4)]
        found = list(client.get_many(ada, order))
        assert [state.state["n"] for state in found] == [5, 2, 7, 0, 6, 1, 3, 4]
        assert [state.block_key for state in found] == [BLOCKS[n] for n in (5, 2, 7, 0, 6, 1, 3, 4)]
        assert [state.block_key for state in client.get_many(ada, iter(order))] == [
            state.block_key for state in found
        ]

    def test_course_and_library_together(self) -> None:
        """SG11: one call handles blocks of a course and of libraries."""
        client, ada = self.make_client(), self.make_user("ada")
        mixed = [LIBRARY_BLOCK, BLOCK, DEPRECATED_LIBRARY_BLOCK, ELSEWHERE]
        client.set_many(ada, {key: {"at": str(key), "x": 1} for key in mixed})
        found = list(client.get_many(ada, mixed))
        assert [state.block_key for state in found] == mixed
        assert [state.state["at"] for state in found] == [str(key) for key in mixed]
        client.delete_many(ada, mixed, fields=["x"])
        assert all(set(state.state) == {"at"} for state in client.get_many(ada, mixed))
        client.delete_many(ada, mixed)
        assert list(client.get_many(ada, mixed)) == []

    def test_one_bad_value_stores_nothing(self) -> None:
        """SG16: if one value cannot be stored, nothing is stored."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        for bad in (object(), {1, 2}, float("nan"), b"bytes"):
            states: dict[object, dict[str, object]] = {block: {"a": 2} for block in BLOCKS}
            states[BLOCKS[25]] = {"fine": 1, "bad": [bad]}
            with raises(TypeError, ValueError):
                client.set_many(ada, states)
        assert [found.state for found in client.get_many(ada, BLOCKS)] == [{"a": 1}]
        assert len(list(client.get_history(ada, BLOCK))) == 1

    def test_deprecated_keys(self) -> None:
        """SG13: a deprecated (i4x) key is returned with its run, and runs do not mix."""
        client, ada = self.make_client(), self.make_user("ada")
        first, second = (DEPRECATED_KEY.map_into_course(run) for run in OLD_RUNS)
        client.set_many(ada, {first: {"run": 1}, second: {"run": 2}})
        assert [f.state["run"] for f in client.get_many(ada, [second, first])] == [2, 1]
        client.delete(ada, second)
        found = client.get(ada, first)
        assert (found.block_key, found.block_key.context_key) == (first, OLD_RUNS[0])
        assert [f.block_key for f in client.iter_all_for_course(OLD_RUNS[0])] == [first]
        assert list(client.iter_all_for_course(OLD_RUNS[1])) == []

    def test_upper_and_lower_case(self) -> None:
        """SG10: two blocks whose names differ only in case are two blocks."""
        client, ada = self.make_client(), self.make_user("ada")
        upper = UsageKey.from_string(str(BLOCK).replace("@p0", "@P0"))
        client.set(ada, BLOCK, {"a": 1})
        assert list(client.get_many(ada, [upper])) == []
        client.set(ada, upper, {"a": 2})
        assert [found.state["a"] for found in client.get_many(ada, [upper, BLOCK])] == [2, 1]
        assert [entry.state["a"] for entry in client.get_history(ada, upper)] == [2]
        assert [found.block_key for found in client.iter_all_for_block(upper)] == [upper]
