"""Tests of a user-state client with concurrent writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.testing.user_state.base import BLOCK, UserStateCase

#: Enough for two transactions to overlap.
MANY_BLOCKS = [
    UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@problem+block@m{n}") for n in range(300)
]


class ConcurrentUserStateContract(UserStateCase):
    """Many callers with one client each. Hooks: those of ``UserStateCase``, and ``together``.

    With a Django database, mark your class with ``pytest.mark.django_db(transaction=True)``.
    """

    def together(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Run all jobs at once and raise the exception of one that failed; default: threads."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [pool.submit(self.in_thread, job) for job in jobs]
        for job in running:
            job.result()

    def in_thread(self, job: Callable[[], object]) -> None:
        """Run one job in its own thread; override it to close what the thread opened."""
        job()

    def test_first_writers(self) -> None:
        """SG19: eight writers of one field each to a block without state all succeed."""
        ada = self.make_user("ada")
        self.together([partial(self._set, ada, {f"field {n}": n}) for n in range(8)])
        client = self.make_client()
        assert client.get(ada, BLOCK).state == {f"field {n}": n for n in range(8)}
        entries = list(client.get_history(ada, BLOCK))
        assert [len(entry.state) for entry in entries] == list(range(8, 0, -1))

    def test_many_writers(self) -> None:
        """SG20: six writers of ten fields each store sixty fields."""
        ada = self.make_user("ada")
        self.together([partial(self._set_ten, ada, writer) for writer in range(6)])
        client = self.make_client()
        assert client.get(ada, BLOCK).state == {f"{w} {n}": n for w in range(6) for n in range(10)}
        assert len(list(client.get_history(ada, BLOCK))) == 60

    def test_opposite_orders(self) -> None:
        """SG21: two writers of 300 blocks in opposite orders both succeed, new blocks or not."""
        ada = self.make_user("ada")
        for round_ in range(3):
            there = {block: {f"there {round_}": 1} for block in MANY_BLOCKS}
            back = {block: {f"back {round_}": 1} for block in reversed(MANY_BLOCKS)}
            self.together([partial(self._set_many, ada, states) for states in (there, back)])
        fields = {f"{way} {round_}": 1 for way in ("there", "back") for round_ in range(3)}
        found = list(self.make_client().get_many(ada, MANY_BLOCKS))
        assert [state.state for state in found] == [fields] * 300

    def test_deleters_and_writers(self) -> None:
        """SG22: concurrent deletes and writes of different fields all take effect."""
        ada = self.make_user("ada")
        old = {f"old {n}": n for n in range(20)}
        self.make_client().set(ada, BLOCK, {**old, "kept": True})
        self.together(
            [partial(self._delete_each, ada, list(old)[n::4]) for n in range(4)]
            + [partial(self._set_ten, ada, writer) for writer in range(4)]
        )
        new = {f"{w} {n}": n for w in range(4) for n in range(10)}
        assert self.make_client().get(ada, BLOCK).state == {"kept": True, **new}

    def _set(self, username: str, fields: dict[str, object]) -> None:
        self.make_client().set(username, BLOCK, fields)

    def _set_ten(self, username: str, writer: int) -> None:
        for n in range(10):
            self._set(username, {f"{writer} {n}": n})

    def _set_many(self, username: str, states: Mapping[UsageKey, Mapping[str, object]]) -> None:
        self.make_client().set_many(username, states)

    def _delete_each(self, username: str, names: list[str]) -> None:
        for name in names:
            self.make_client().delete(username, BLOCK, fields=[name])
