"""One deliverer at a time for one learner's block."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from tests.db.test_transactions import collision
from tests.grader_replies.factories import BLOCK
from xqueue_bridge.grader_replies.locks import LOCK_SECONDS, block_lock
from xqueue_bridge.grader_replies.models import BlockLock

OTHER = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")

pytestmark = pytest.mark.django_db


def test_a_turn_is_held_by_one():
    """C118: while one delivers to a learner's block, nobody else does."""
    with block_lock(7, BLOCK) as first, block_lock(7, BLOCK) as second:
        assert (first, second) == (True, False)
    with block_lock(7, BLOCK) as third:
        assert third
    assert not BlockLock.objects.exists()


def test_who_had_no_turn_takes_none_away():
    with block_lock(7, BLOCK):
        with block_lock(7, BLOCK):
            pass
        with block_lock(7, BLOCK) as third:
            assert not third


def test_other_places_are_free():
    with (
        block_lock(7, BLOCK),
        block_lock(8, BLOCK) as neighbour,
        block_lock(7, OTHER) as next_problem,
    ):
        assert neighbour
        assert next_problem


def test_a_turn_is_given_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), block_lock(7, BLOCK):
        raise ZeroDivisionError
    with block_lock(7, BLOCK) as again:
        assert again


def test_a_lost_turn_ends_by_itself():
    """C118: a killed process keeps nobody from delivering."""
    with block_lock(7, BLOCK):
        with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)):
            with block_lock(7, BLOCK) as heir:
                assert heir
                # The first holder is late, not dead: its turn is not its own any more.
        with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS - 1)):
            with block_lock(7, BLOCK) as after:
                assert after


@pytest.mark.django_db(transaction=True)
def test_a_collision_neither_costs_a_turn_nor_leaves_one():
    """C118: where several ask at once, MySQL and its kin may call that a deadlock."""
    met = set()

    def collide_once(execute, sql, *args):
        verb = sql.split()[0]
        if BlockLock._meta.db_table in sql and verb not in met:
            met.add(verb)
            raise collision(connection.vendor)
        return execute(sql, *args)

    with connection.execute_wrapper(collide_once), block_lock(7, BLOCK) as is_ours:
        assert is_ours
    assert met == {"INSERT", "DELETE"}
    assert not BlockLock.objects.exists()


def test_a_lost_turn_elsewhere_is_not_this_one():
    """C118: that somebody was killed at another block frees no turn that is held."""
    with (
        block_lock(7, OTHER),
        time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)),
    ):
        with block_lock(7, BLOCK), block_lock(7, BLOCK) as second:
            assert not second


def test_the_former_holder_does_not_end_the_heirs_turn():
    former = block_lock(7, BLOCK)
    former.__enter__()
    with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)):
        with block_lock(7, BLOCK):
            former.__exit__(None, None, None)
            with block_lock(7, BLOCK) as third:
                assert not third
