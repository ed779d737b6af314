"""Tests of a user-state client: deletes, history, and iteration over all learners."""

from __future__ import annotations

from contextlib import suppress

from xqueue_bridge.testing.user_state.base import (
    BLOCK,
    BLOCKS,
    COURSE,
    ELSEWHERE,
    LIBRARY,
    LIBRARY_BLOCK,
    OTHER,
    OTHER_SCOPES,
    VIDEO,
    UserStateCase,
    raises,
)


class DeletingAndRemembering(UserStateCase):
    """Fields and blocks are deleted; history and iteration show it."""

    # -- deletes

    def test_delete_fields(self) -> None:
        """SG5: fields are deleted one by one; a block without fields is absent."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1, "b": 2})
        client.delete(ada, BLOCK, fields=["a", "zzz"])
        assert client.get(ada, BLOCK).state == {"b": 2}
        client.delete(ada, BLOCK, fields=["b"])
        with raises(client.DoesNotExist):
            client.get(ada, BLOCK)
        assert list(client.get_many(ada, [BLOCK], fields=["a"])) == []

    def test_delete_no_fields(self) -> None:
        """SG5: an empty list of fields deletes nothing."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        client.delete(ada, BLOCK, fields=[])
        assert client.get(ada, BLOCK).state == {"a": 1}

    def test_delete_all(self) -> None:
        """SG6: after all fields were deleted, only newly set fields exist."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1, "b": 2})
        client.set(ada, OTHER, {"a": 1})
        client.delete(ada, BLOCK)
        assert [found.block_key for found in client.get_many(ada, [BLOCK, OTHER])] == [OTHER]
        client.set(ada, BLOCK, {"c": 3})
        assert client.get(ada, BLOCK).state == {"c": 3}

    def test_delete_what_is_not_there(self) -> None:
        """SG7: deleting an absent state is no error and stores nothing."""
        client, ada = self.make_client(), self.make_user("ada")
        client.delete(ada, BLOCK)
        client.delete_many(ada, BLOCKS, fields=["a"])
        with raises(client.DoesNotExist):
            client.get(ada, BLOCK)
        with raises(client.DoesNotExist):
            next(client.get_history(ada, BLOCK))

    # -- history

    def test_history(self) -> None:
        """SG27: each write adds a history entry; newest first, times do not rise."""
        client, ada = self.make_client(), self.make_user("ada")
        for n in range(3):
            client.set(ada, BLOCK, {"n": n, f"field {n}": True})
        entries = list(client.get_history(ada, BLOCK))
        assert [entry.state["n"] for entry in entries] == [2, 1, 0]
        assert entries[2].state == {"n": 0, "field 0": True}
        assert [(e.username, e.block_key) for e in entries] == [(ada, BLOCK)] * 3
        times = [entry.updated for entry in entries]
        assert times == sorted(times, reverse=True)
        assert all(time.utcoffset() is not None for time in times)
        assert times[0] == client.get(ada, BLOCK).updated

    def test_history_of_a_deleted_state(self) -> None:
        """SG28: after the last field was deleted, the newest entry is None."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1, "b": 2})
        client.delete(ada, BLOCK, fields=["a"])
        client.delete(ada, BLOCK, fields=["b"])
        states = [entry.state for entry in client.get_history(ada, BLOCK)]
        assert states == [None, {"b": 2}, {"a": 1, "b": 2}]

    def test_no_history(self) -> None:
        """SG29: if nothing was ever stored, history raises DoesNotExist when it is iterated."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, OTHER, {"a": 1})
        entries = client.get_history(ada, BLOCK)
        with raises(client.DoesNotExist):
            next(entries)

    # -- iteration

    def test_every_learner_at_a_block(self) -> None:
        """SG12: iteration over a block yields each learner with state there once."""
        client = self.make_client()
        names = [self.make_user(f"learner{n}") for n in range(7)]
        for n, name in enumerate(names):
            client.set(name, BLOCK, {"n": n})
            client.set(name, OTHER, {"n": -1})
        client.delete(names[3], BLOCK)
        found = sorted(client.iter_all_for_block(BLOCK), key=lambda state: state.username)
        assert [(s.username, s.state["n"]) for s in found] == [
            (name, n) for n, name in enumerate(names) if n != 3
        ]
        assert {s.block_key for s in found} == {BLOCK}
        assert all(s.updated.utcoffset() is not None for s in found)

    def test_every_state_in_a_course(self) -> None:
        """SG12: iteration over a course yields all its blocks, or those of one type."""
        client, ada, ben = self.make_client(), self.make_user("ada"), self.make_user("ben")
        for name in (ada, ben):
            client.set_many(name, {BLOCK: {"a": 1}, VIDEO: {"a": 2}, ELSEWHERE: {"a": 3}})
        found = {(s.username, s.block_key) for s in client.iter_all_for_course(COURSE)}
        assert found == {(name, block) for name in (ada, ben) for block in (BLOCK, VIDEO)}
        videos = list(client.iter_all_for_course(COURSE, "video"))
        assert sorted((s.username, s.block_key) for s in videos) == [(ada, VIDEO), (ben, VIDEO)]
        assert list(client.iter_all_for_course(COURSE, block_type="html")) == []

    def test_every_state_in_a_library(self) -> None:
        """SG12: iteration over a library yields its blocks."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set_many(ada, {LIBRARY_BLOCK: {"a": 1}, BLOCK: {"a": 2}})
        found = list(client.iter_all_for_course(LIBRARY))
        assert [(s.block_key, s.state) for s in found] == [(LIBRARY_BLOCK, {"a": 1})]
        assert [s.state for s in client.iter_all_for_block(LIBRARY_BLOCK)] == [{"a": 1}]

    # -- invalid arguments

    def test_other_scopes(self) -> None:
        """SG9: any other scope raises ValueError, and nothing is written."""
        client, ada = self.make_client(), self.make_user("ada")
        client.set(ada, BLOCK, {"a": 1})
        for scope in OTHER_SCOPES:
            with raises(ValueError):
                client.set(ada, BLOCK, {"a": 2}, scope)
            with raises(ValueError):
                client.set_many(ada, {OTHER: {"a": 2}}, scope=scope)
            with raises(ValueError):
                client.delete(ada, BLOCK, scope)
            with raises(ValueError):
                client.delete_many(ada, [BLOCK], scope=scope)
            with raises(ValueError):
                client.get(ada, BLOCK, scope=scope)
        assert [found.state for found in client.get_many(ada, [BLOCK, OTHER])] == [{"a": 1}]

    def test_other_scopes_in_generators(self) -> None:
        """SG9: a generator raises ValueError when it is iterated, not before."""
        client, ada = self.make_client(), self.make_user("ada")
        for scope in OTHER_SCOPES:
            for generator in (
                client.get_many(ada, [BLOCK], scope=scope),
                client.get_history(ada, BLOCK, scope=scope),
                client.iter_all_for_block(BLOCK, scope=scope),
                client.iter_all_for_course(COURSE, scope=scope),
            ):
                with raises(ValueError):
                    next(generator)

    def test_unknown_username(self) -> None:
        """SG17: an unknown username reads nothing, and writing for it stores nothing."""
        client = self.make_client()
        assert list(client.get_many("unknown", [BLOCK])) == []
        with raises(client.DoesNotExist):
            client.get("unknown", BLOCK)
        with suppress(client.DoesNotExist):  # an error or no effect are both allowed
            client.set_many("unknown", {BLOCK: {"a": 1}, OTHER: {"a": 1}})
        assert len(list(client.iter_all_for_course(COURSE))) in (0, 2)
