"""The block lock: one process at a time applies replies to one learner's block."""

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


def test_lock_has_one_owner():
    """C118: while one process has the lock of a learner's block, no other one gets it."""
    with block_lock(7, BLOCK) as first, block_lock(7, BLOCK) as second:
        assert (first, second) == (True, False)
    with block_lock(7, BLOCK) as third:
        assert third
    assert not BlockLock.objects.exists()


def test_failed_acquire_does_not_release_the_lock():
    with block_lock(7, BLOCK):
        with block_lock(7, BLOCK):
            pass
        with block_lock(7, BLOCK) as third:
            assert not third


def test_other_blocks_and_learners_have_other_locks():
    with (
        block_lock(7, BLOCK),
        block_lock(8, BLOCK) as neighbour,
        block_lock(7, OTHER) as next_problem,
    ):
        assert neighbour
        assert next_problem


def test_lock_is_released_after_an_exception():
    with pytest.raises(ZeroDivisionError), block_lock(7, BLOCK):
        raise ZeroDivisionError
    with block_lock(7, BLOCK) as again:
        assert again


def test_lock_of_a_killed_process_expires():
    """C118: after a process was killed, another one gets the lock when it has expired."""
    with block_lock(7, BLOCK):
        with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)):
            with block_lock(7, BLOCK) as next_owner:
                assert next_owner
                # The first owner is late, not killed: the lock is no longer its own.
        with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS - 1)):
            with block_lock(7, BLOCK) as after:
                assert after


@pytest.mark.django_db(transaction=True)
def test_deadlock_of_concurrent_acquires_leaves_no_lock():
    """C118: MySQL and MariaDB may report a deadlock if several processes acquire at once."""
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


def test_expired_lock_of_another_block_releases_no_lock():
    """C118: a process that was killed at another block releases no lock of this one."""
    with (
        block_lock(7, OTHER),
        time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)),
    ):
        with block_lock(7, BLOCK), block_lock(7, BLOCK) as second:
            assert not second


def test_former_owner_does_not_release_the_next_owners_lock():
    former = block_lock(7, BLOCK)
    former.__enter__()
    with time_machine.travel(timezone.now() + timedelta(seconds=LOCK_SECONDS + 1)):
        with block_lock(7, BLOCK):
            former.__exit__(None, None, None)
            with block_lock(7, BLOCK) as third:
                assert not third
