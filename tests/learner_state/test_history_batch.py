"""Collapsing: several writes in one scope leave one entry."""

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
    trail,
    undone,
    versions,
    write,
)
from xqueue_bridge import api
from xqueue_bridge.learner_state.history import batch
from xqueue_bridge.learner_state.history.batch import history_batch
from xqueue_bridge.learner_state.history.middleware import history_batch_middleware
from xqueue_bridge.learner_state.history.models import Reason

pytestmark = pytest.mark.django_db


def test_it_works():
    """SG30: one entry with the final state and score; outside of a scope one each."""
    row = make_row()
    with history_batch():
        write(row, state='{"n": "first"}')
        write(row, Reason.SCORE, state='{"n": "last"}', grade=1, max_grade=2)
    (entry,) = trail()
    assert (entry.version, entry.state, entry.reason) == (2, '{"n": "last"}', "score")
    assert (entry.grade, entry.max_grade, entry.created) == (1, 2, row.modified)
    write(row)
    write(row, Reason.SCORE, grade=2)
    assert versions() == [4, 3, 2]


@pytest.mark.django_db(transaction=True)
def test_our_own_writes():
    """SG30: by the functions that blocks and graders use."""
    learner = get_user_model().objects.create_user("ada").pk
    with history_batch():
        api.save_fields(learner, COURSE, BLOCK, {"seed": 1})
        api.set_score(learner, COURSE, BLOCK, 1, 2)
    (entry,) = api.read_history(learner, BLOCK, COURSE)
    assert (entry.state, entry.grade, entry.max_grade) == ({"seed": 1}, 1, 2)
    api.save_fields(learner, COURSE, BLOCK, {"seed": 2})
    api.set_score(learner, COURSE, BLOCK, 2, 2)
    assert len(list(api.read_history(learner, BLOCK, COURSE))) == 3


def test_the_entry_is_there_at_once():
    """SG30: a process that ends within the scope loses nothing."""
    with history_batch():
        row = make_row()
        write(row)
        assert versions() == [1]
        write(row)
        assert versions() == [2]


def test_rows_are_collapsed_each_for_itself():
    row, other = make_row(), make_row(OTHER)
    with history_batch():
        write(row)
        write(other)
        write(row)
    assert versions() == [2]
    assert versions(OTHER) == [1]


def test_what_others_write_meanwhile_stays():
    row = make_row()
    with history_batch():
        write(row)
        contextvars.Context().run(write, row)  # as if in another process
        write(row)
    assert versions() == [3, 2]


def test_a_scope_in_a_scope_is_part_of_it():
    row = make_row()
    with history_batch():
        write(row)
        with history_batch():
            write(row)
        write(row)
    assert versions() == [3]


def test_scopes_one_after_the_other_are_two():
    row = make_row()
    for _ in range(2):
        with history_batch():
            write(row)
            write(row)
    assert versions() == [4, 2]


def test_an_exception_ends_the_scope_and_takes_nothing():
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


def test_a_write_that_is_undone_is_no_part_of_it():
    """The entry before it comes back, and goes when the next write replaces it."""
    row = make_row()
    with history_batch():
        write(row)
        with undone():
            write(row)
        assert versions() == [1]
        row.refresh_from_db()
        write(row)
    assert versions() == [2]


def test_a_thread_begins_outside():
    seen = []
    with history_batch():
        thread = threading.Thread(target=lambda: seen.append(batch.current_batch()))
        thread.start()
        thread.join()
        assert batch.current_batch() is not None
    assert seen == [None]


def test_a_task_that_outlives_the_scope_has_left_it():
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
def test_in_another_database(settings):
    """SG30: collapsed where the history is."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row = make_row()
    with history_batch():
        write(row)
        write(row)
    assert versions() == [2]
    assert identities(PLAIN) == []


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
def test_in_another_database_a_write_that_fails_replaces_nothing(settings):
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row = make_row()
    with history_batch():
        write(row)
        with undone():
            write(row)
        assert versions() == [1]
        row.refresh_from_db()
        write(row)
    assert versions() == [2]
    assert identities(EXTENDED, "history") == [(row.pk, 2)]


class TestMiddleware:
    def test_a_request_is_one_scope(self):
        """SG30: whatever the request writes, each block gets one entry."""
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

    def test_an_async_request_too(self):
        async def view(request):
            return HttpResponse(str(batch.current_batch() is not None))

        async def ask():
            return await history_batch_middleware(view)(RequestFactory().get("/"))

        assert asyncio.run(ask()).content == b"True"

    def test_its_path_can_be_written_in_settings(self, settings, client):
        settings.MIDDLEWARE = [
            "xqueue_bridge.learner_state.history.middleware.history_batch_middleware",
            *settings.MIDDLEWARE,
        ]
        assert client.get("/admin/login/").status_code == 200
