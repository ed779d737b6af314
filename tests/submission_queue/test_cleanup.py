"""Deletion of content and files of sends that were interrupted."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from tests.submission_queue.factories import new_submission, stored_files, upload
from xqueue_bridge.submission_queue import cleanup, files, queue
from xqueue_bridge.submission_queue.models import SubmissionContent

pytestmark = pytest.mark.django_db


def test_unpublished_content_is_deleted_after_two_days():
    before = stored_files()
    queue.enqueue(new_submission())
    file = files.store_file(upload("a.py"))
    orphan = SubmissionContent.objects.create(
        header="{}", body="{}", files=[[file.name, file.storage_name, file.size]]
    )
    assert cleanup.purge_unpublished() == 0, "its sender may still be at work"
    SubmissionContent.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert cleanup.purge_unpublished() == 1
    assert not SubmissionContent.objects.filter(pk=orphan.pk).exists()
    assert stored_files() == before
    assert queue.pull("python", grader_id=None)


def test_each_run_reads_a_bounded_number_of_contents(monkeypatch):
    """A sweep costs the same, however much was ever sent; in the end all is deleted."""
    monkeypatch.setattr(cleanup, "PURGE_WINDOW", 2)
    for _ in range(6):
        SubmissionContent.objects.create(header="{}", body="{}")
    purged = []
    while SubmissionContent.objects.exists() and len(purged) < 1000:
        purged.append(cleanup.purge_unpublished(older_than=timedelta(days=-1)))
    assert sum(purged) == 6
    assert max(purged) <= 2
    assert cleanup.purge_unpublished() == 0


def test_content_stays_until_its_files_are_deleted(monkeypatch):
    """Only this row has the names of its files in the storage."""
    stored = files.store_file(upload("a.py"))
    entry = [stored.name, stored.storage_name, stored.size]
    SubmissionContent.objects.create(header="{}", body="{}", files=[entry])
    with monkeypatch.context() as storage_is_down:
        storage_is_down.setattr(files, "_delete", lambda *args: False)
        assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 0
    assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 1
    with pytest.raises(FileNotFoundError):
        files.open_file(stored)


def test_storage_that_deletes_slowly_gets_part_of_the_content_in_each_call(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(cleanup.time, "monotonic", lambda: next(clock))
    for _ in range(10):
        SubmissionContent.objects.create(header="{}", body="{}")
    assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 6
    assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 4


class TestStrayFiles:
    """Files that no row names."""

    @pytest.fixture(autouse=True)
    def storage(self, monkeypatch, settings, tmp_path):
        """A storage without the files of other tests, which is not compared yet."""
        monkeypatch.setattr(cleanup, "_compared_at", 0.0)
        backend = "django.core.files.storage.FileSystemStorage"
        own = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
        settings.STORAGES = {**settings.STORAGES, "xqueue_bridge": own}

    @pytest.mark.django_db(transaction=True)
    def test_files_of_a_transaction_that_the_host_rolls_back_are_deleted(self):
        """C11: the sweeper deletes them after two days; files that a row names stay."""
        queue.enqueue(new_submission(files=(upload("kept.py"),)))
        before = stored_files()
        with transaction.atomic():
            queue.enqueue(new_submission(files=(upload("a.py"), upload("b.py"))))
            transaction.set_rollback(True)
        assert len(stored_files()) == len(before) + 2
        assert cleanup.purge_stray_files() == 0, "its sender may still be at work"
        with time_machine.travel(timezone.now() + timedelta(days=3)):
            assert cleanup.purge_unpublished() == 1
        assert stored_files() == before

    def test_files_of_a_process_that_was_killed_are_deleted(self, monkeypatch):
        """C11, C19: the process stored a file and no row."""
        before = stored_files()
        files.store_file(upload("a.py"), files.new_folder())
        with time_machine.travel(timezone.now() + timedelta(days=31)):
            assert cleanup.purge_stray_files() == 1
        assert stored_files() == before

    def test_large_day_is_compared_in_parts(self, monkeypatch):
        monkeypatch.setattr(cleanup, "FOLDER_LIMIT", 2)
        for _ in range(3):
            files.store_file(upload("a.py"), files.new_folder())
        with time_machine.travel(timezone.now() + timedelta(days=3)):
            assert [cleanup.purge_stray_files() for _ in range(3)] == [2, 1, 0]

    def test_folder_with_a_file_that_cannot_be_deleted_is_tried_again(self, monkeypatch):
        files.store_file(upload("a.py"), files.new_folder())
        with time_machine.travel(timezone.now() + timedelta(days=3)):
            with monkeypatch.context() as storage_is_down:
                storage_is_down.setattr(files, "_delete", lambda *args: False)
                assert cleanup.purge_stray_files() == 0
            assert cleanup.purge_stray_files() == 1

    def test_storage_that_cannot_be_listed_is_one_line_in_the_log(self, monkeypatch, caplog):
        """The other kinds of work are swept."""

        def down(day):
            raise OSError("/secret/path")

        monkeypatch.setattr(files, "folders_of", down)
        assert cleanup.purge_unpublished() == 0
        assert "STORAGES['xqueue_bridge'] cannot be listed: OSError" in caplog.text
        assert "secret" not in caplog.text

    def test_slow_storage_is_compared_in_several_calls(self, monkeypatch):
        """The other kinds of work do not wait; each call goes on, and none starts anew."""
        clock = iter(range(10_000))
        monkeypatch.setattr(cleanup.time, "monotonic", lambda: next(clock))
        monkeypatch.setattr(cleanup, "STRAY_DAYS", range(2, 4))
        for days in (2, 3):
            with time_machine.travel(timezone.now() - timedelta(days=days)):
                for _ in range(10):
                    files.store_file(upload("a.py"), files.new_folder())
        purged = [cleanup.purge_stray_files()]
        while stored_files() and len(purged) < 100:
            purged.append(cleanup.purge_stray_files())
        assert sum(purged) == 20
        assert 0 < max(purged) <= 6

    def test_folders_are_compared_every_ten_minutes(self, monkeypatch, django_assert_num_queries):
        """A sweep every few seconds does not list the storage each time."""
        calls = []
        monkeypatch.setattr(cleanup, "purge_stray_files", lambda: len(calls.append(1) or []))
        now = timezone.now()
        for seconds in (0, 5, 599, 601, 700, 1300, 0):
            with time_machine.travel(now + timedelta(seconds=seconds)):
                cleanup.purge_unpublished()
        assert len(calls) == 4, "at 0, 601 and 1300 s, and after the clock was set back"
