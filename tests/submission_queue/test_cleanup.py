"""What interrupted sends have left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.submission_queue.factories import new_submission, stored_files, upload
from xqueue_bridge.submission_queue import cleanup, files, queue
from xqueue_bridge.submission_queue.models import SubmissionContent

pytestmark = pytest.mark.django_db


def test_unpublished_content_is_swept():
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


def test_a_look_for_unpublished_content_is_short(monkeypatch):
    """A sweep costs the same, however much was ever sent; in the end all is found."""
    monkeypatch.setattr(cleanup, "PURGE_WINDOW", 2)
    for _ in range(6):
        SubmissionContent.objects.create(header="{}", body="{}")
    purged = []
    while SubmissionContent.objects.exists() and len(purged) < 1000:
        purged.append(cleanup.purge_unpublished(older_than=timedelta(days=-1)))
    assert sum(purged) == 6
    assert max(purged) <= 2
    assert cleanup.purge_unpublished() == 0


def test_unpublished_files_that_cannot_be_removed_yet(monkeypatch):
    """The row stays as long as a file does: it alone says where that is."""
    stored = files.store_file(upload("a.py"))
    entry = [stored.name, stored.storage_name, stored.size]
    SubmissionContent.objects.create(header="{}", body="{}", files=[entry])
    with monkeypatch.context() as storage_is_down:
        storage_is_down.setattr(files, "_delete", lambda *args: False)
        assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 0
    assert cleanup.purge_unpublished(older_than=timedelta(days=-1)) == 1
    with pytest.raises(FileNotFoundError):
        files.open_file(stored)
