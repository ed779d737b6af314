"""History batches: several writes of a row in one batch leave one entry."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import RequestFactory

from tests.learner_state.history_factories import (
    BLOCK,
    COURSE,
    EXTENDED,
    OTHER,
    PLAIN,
    TWO_DATABASES,
    identities,
    make_row,
    read_entries,
    rolled_back,
    versions,
    write,
)
from xqueue_bridge import api
from xqueue_bridge.learner_state.history import batch, store
from xqueue_bridge.learner_state.history.batch import history_batch
from xqueue_bridge.learner_state.history.middleware import history_batch_middleware
from xqueue_bridge.learner_state.history.models import Reason

pytestmark = pytest.mark.django_db


def test_writes_in_a_batch_leave_one_entry():
    """SG30: keep one entry with the last state and score; after the batch, one for each write."""
    row = make_row()
    with history_batch():
        write(row, state='{"n": "first"}')
        write(row, Reason.SCORE, state='{"n": "last"}', grade=1, max_grade=2)
    (entry,) = read_entries()
    assert (entry.version, entry.state, entry.reason) == (2, '{"n": "last"}', "score")
    assert (entry.grade, entry.max_grade, entry.created) == (1, 2, row.modified)
    write(row)
    write(row, Reason.SCORE, grade=2)
    assert versions() == [4, 3, 2]


@pytest.mark.django_db(transaction=True)
def test_save_fields_and_set_score_in_a_batch_leave_one_entry():
    """SG30: keep one entry of the functions that blocks and graders use."""
    learner = get_user_model().objects.create_user("ada").pk
    with history_batch():
        api.save_fields(learner, COURSE, BLOCK, {"seed": 1})
        api.set_score(learner, COURSE, BLOCK, 1, 2)
    (entry,) = api.read_history(learner, BLOCK, COURSE)
    assert (entry.state, entry.grade, entry.max_grade) == ({"seed": 1}, 1, 2)
    api.save_fields(learner, COURSE, BLOCK, {"seed": 2})
    api.set_score(learner, COURSE, BLOCK, 2, 2)
    assert len(list(api.read_history(learner, BLOCK, COURSE))) == 3


def test_entry_is_stored_before_the_batch_ends():
    """SG30: store each entry at once, so that a process that ends loses none."""
    with history_batch():
        row = make_row()
        write(row)
        assert versions() == [1]
        write(row)
        assert versions() == [2]


def test_each_row_has_its_own_entry():
    row, other = make_row(), make_row(OTHER)
    with history_batch():
        write(row)
        write(other)
        write(row)
    assert versions() == [2]
    assert versions(OTHER) == [1]


def test_rows_of_different_versions_have_one_entry_each():
    """SG30: also if they are written together, as by ``set_many``."""
    rows = [make_row(), make_row(OTHER, version=5)]
    with history_batch():
        for _ in range(2):
            for row in rows:
                row.version += 1
                row.save()
            store.record(rows, Reason.STATE)
    assert (versions(), versions(OTHER)) == ([2], [7])


def test_entry_of_another_context_stays():
    row = make_row()
    with history_batch():
        write(row)
        contextvars.Context().run(write, row)  # as if in another process
        write(row)
    assert versions() == [3, 2]


def test_nested_batch_is_part_of_the_outer_one():
    row = make_row()
    with history_batch():
        write(row)
        with history_batch():
            write(row)
        write(row)
    assert versions() == [3]


def test_two_batches_leave_two_entries():
    row = make_row()
    for _ in range(2):
        with history_batch():
            write(row)
            write(row)
    assert versions() == [4, 2]


def test_exception_ends_the_batch_and_keeps_the_entry():
    row = make_row()

    def fail():
        with history_batch():
            write(row)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    write(row)
    write(row)
    assert versions() == [3, 2, 1]


def test_rolled_back_write_keeps_the_entry_before_it():
    """Keep the entry before it until the next write replaces it."""
    row = make_row()
    with history_batch():
        write(row)
        with rolled_back():
            write(row)
        assert versions() == [1]
        row.refresh_from_db()
        write(row)
    assert versions() == [2]


def test_new_thread_is_outside_of_the_batch():
    seen = []
    with history_batch():
        thread = threading.Thread(target=lambda: seen.append(batch.current_batch()))
        thread.start()
        thread.join()
        assert batch.current_batch() is not None
    assert seen == [None]


def test_task_that_continues_after_the_batch_is_outside_of_it():
    async def story() -> list[bool]:
        go_on = asyncio.Event()

        async def task() -> list[bool]:
            inside = batch.current_batch() is not None
            await go_on.wait()
            return [inside, batch.current_batch() is not None]

        with history_batch():
            running = asyncio.create_task(task())
            await asyncio.sleep(0)
        go_on.set()
        return await running

    assert asyncio.run(story()) == [True, False]


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
def test_batch_leaves_one_entry_in_the_history_database(settings):
    """SG30: keep one entry in the database that has the history."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row = make_row()
    with history_batch():
        write(row)
        write(row)
    assert versions() == [2]
    assert identities(PLAIN) == []


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
def test_rolled_back_write_keeps_the_entry_in_the_history_database(settings):
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row = make_row()
    with history_batch():
        write(row)
        with rolled_back():
            write(row)
        assert versions() == [1]
        row.refresh_from_db()
        write(row)
    assert versions() == [2]
    assert identities(EXTENDED, "history") == [(row.pk, 2)]


class TestMiddleware:
    def test_request_is_one_batch(self):
        """SG30: keep one entry of each block for all writes of a request."""
        row = make_row()

        def view(request):
            write(row)
            write(row)
            return HttpResponse("done")

        handler = history_batch_middleware(view)
        assert handler(RequestFactory().get("/")).content == b"done"
        assert versions() == [2]
        handler(RequestFactory().get("/"))
        assert versions() == [4, 2]

    def test_async_request_is_one_batch(self):
        async def view(request):
            return HttpResponse(str(batch.current_batch() is not None))

        async def ask():
            return await history_batch_middleware(view)(RequestFactory().get("/"))

        assert asyncio.run(ask()).content == b"True"

    def test_middleware_is_loaded_by_its_path(self, settings, client):
        settings.MIDDLEWARE = [
            "xqueue_bridge.learner_state.history.middleware.history_batch_middleware",
            *settings.MIDDLEWARE,
        ]
        assert client.get("/admin/login/").status_code == 200
