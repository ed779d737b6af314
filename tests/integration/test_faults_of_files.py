"""Uploaded files of sends that do not end: the sweeper leaves those that rows name, and no others.

A storage takes no part in the database's transactions, so such files stay until they are swept.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.files.storage import FileSystemStorage
from django.db import Error, IntegrityError, connection, transaction
from django.utils import timezone

from tests.db.test_connections import kill_connection
from tests.integration.conftest import submit
from tests.integration.killable_processes import fork_server
from tests.submission_queue.factories import new_submission, stored_files, upload
from xqueue_bridge.data import RetirementMode
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import cleanup, files, queue
from xqueue_bridge.submission_queue.models import SubmissionContent

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("sqlite_that_notices"),
]

JOB = "tests.integration.subprocess_jobs.enqueue_in_transaction_until_killed"
KILLED = -9


class HostError(Exception):
    """An error of the host's own, after the answer was sent."""


@pytest.fixture(autouse=True)
def location(monkeypatch, settings, tmp_path) -> str:
    """A storage without the files of other tests, in a folder that killed processes can use."""
    settings.XQUEUE_BRIDGE = {}
    monkeypatch.setattr(cleanup, "_compared_at", 0.0)
    backend = "django.core.files.storage.FileSystemStorage"
    own = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "xqueue_bridge": own}
    return str(tmp_path)


@pytest.fixture
def user_id() -> int:
    """A learner with one submission of the past, whose file stays."""
    user_id = get_user_model().objects.create(username="learner").pk
    submit("past", user_id=user_id, files=(upload("kept.py"),))
    return user_id


def send(user_id: int) -> None:
    new = new_submission(user_id=user_id, queue_key="key", files=(upload("a.py"), upload("b.py")))
    submission_queue.enqueue(new)


def named_files() -> list[str]:
    contents = SubmissionContent.objects.all()
    return sorted(file.storage_name for each in contents for file in each.stored_files())


def sweep_later() -> None:
    """Sweep as often as it takes to reach all content, three days later."""
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        for _ in range(3):
            cleanup.purge_unpublished()
            cleanup._compared_at = 0.0


def assert_only_the_past_is_left() -> None:
    sweep_later()
    assert len(stored_files()) == 1
    assert [f"./{name}" for name in named_files()] == stored_files()


def send_and_fail(user_id: int) -> None:
    """ATOMIC_REQUESTS: the host's view fails after the answer was sent."""
    try:
        with transaction.atomic():
            send(user_id)
            raise HostError
    except HostError:
        assert len(stored_files()) == 3


def send_and_lose_the_connection(user_id: int) -> None:
    """The server closes the connection before the host's transaction is committed."""

    def view() -> None:
        with transaction.atomic():
            send(user_id)
            kill_connection()
            SubmissionContent.objects.count()

    with pytest.raises(Error):
        view()


def send_without_a_connection(user_id: int) -> None:
    """The server closes the connection before the submission is published."""
    publish = queue._publish

    def publish_late(*args: Any) -> Any:
        kill_connection()
        return publish(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "_publish", publish_late)
        with pytest.raises(Error):
            send(user_id)


FAULTS: tuple[Callable[[int], None], ...] = (
    send_and_fail,
    send_and_lose_the_connection,
    send_without_a_connection,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_after_the_files_were_stored(fault, user_id):
    """C11, C20: no row names the files, and the sweeper deletes them; the learner's others stay."""
    fault(user_id)
    connection.close_if_unusable_or_obsolete()
    assert_only_the_past_is_left()
    send(user_id)
    assert len(named_files()) == 3


def test_database_error_leaves_the_callers_transaction_usable(monkeypatch, user_id):
    """C20: with ATOMIC_REQUESTS, the host tells the learner and saves the state after the error."""

    def publish_again(*args: Any) -> None:
        SubmissionContent.objects.create(pk=SubmissionContent.objects.get(body="{}").pk)

    SubmissionContent.objects.create(header="{}", body="{}")
    before = stored_files()
    monkeypatch.setattr(queue, "_publish", publish_again)
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            send(user_id)
        get_user_model().objects.filter(pk=user_id).update(first_name="Ada")
    assert get_user_model().objects.get(pk=user_id).first_name == "Ada"
    assert SubmissionContent.objects.count() == 2
    assert stored_files() == before


def test_retirement_before_the_sweep(user_id):
    """SG35, C11: of a learner who was retired meanwhile, no file is left."""
    send_and_fail(user_id)
    retire_learner(user_id, RetirementMode.PURGE)
    sweep_later()
    assert stored_files() == []


def test_process_killed_at_each_statement_of_a_hosts_transaction(user_id, location):
    """C11, C20, SG43: a kill leaves no row, and the sweeper deletes the files that it leaves."""
    ends, left = [KILLED], 0
    with fork_server() as processes:
        while ends[-1] == KILLED:
            ends.append(processes.run(JOB, moment=len(ends), user_id=user_id, location=location))
            if ends[-1] == KILLED:
                left += len(stored_files()) - 1
                assert_only_the_past_is_left()
    assert ends[-1] == 0
    assert len(ends) > 4
    assert left, "no kill came after the files were stored"
    assert len(named_files()) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_storage_that_takes_half_of_the_files(number, monkeypatch, user_id):
    """C18: nothing of the send stays, and the next one is stored as a whole."""
    save, calls = FileSystemStorage._save, []

    def save_once(*args: Any) -> str:
        calls.append(args)
        if len(calls) > 1:
            raise OSError(number, "fault of the storage")
        return save(*args)

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_save", save_once)
        with pytest.raises(OSError, match="fault of the storage"):
            send(user_id)
    assert [f"./{name}" for name in named_files()] == stored_files()
    send(user_id)
    assert len(named_files()) == 3


def test_storage_that_deletes_nothing_while_a_send_fails(monkeypatch, user_id):
    """C11: the files that could not be removed at once are deleted by the sweeper."""

    def fail(*args: Any) -> None:
        raise HostError

    with monkeypatch.context() as patch:
        patch.setattr(files, "_delete", lambda *args: False)
        patch.setattr(queue, "_publish", fail)
        with pytest.raises(HostError):
            send(user_id)
    assert len(stored_files()) == 3
    assert_only_the_past_is_left()
