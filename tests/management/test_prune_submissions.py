"""xqueue_bridge_prune_submissions, and the Celery task that does the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import CommandError

from tests.commands import output_of
from tests.submission_queue.test_prune import empty_storage, finished  # noqa: F401 (fixture)
from xqueue_bridge import tasks
from xqueue_bridge.submission_queue import files, prune
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db

COMMAND = "xqueue_bridge_prune_submissions"


def run(*arguments: str) -> str:
    return output_of(COMMAND, *arguments, "--no-progress")


def test_dry_run_counts_and_removes_nothing():
    finished(2, files=1)
    expected = "2 submissions, 2 replies, 2 files would be removed"
    assert run("--keep-days", "365", "--dry-run") == expected
    assert Submission.objects.count() == 2
    assert run("--keep-days", "365") == "2 submissions, 2 replies, 2 files removed"
    assert Submission.objects.count() == 0


def test_archive_then_delete_from_the_archive():
    finished(2, files=1)
    assert run("--keep-days", "365", "--archive") == "2 submissions, 2 replies, 0 files removed"
    assert ArchivedSubmission.objects.count() == 2
    assert run("--keep-days", "30", "--archived") == "2 submissions, 0 replies, 2 files removed"
    assert ArchivedSubmission.objects.count() == 0


def test_json_has_every_count():
    finished(1)
    assert json.loads(run("--keep-days", "1", "--json", "--dry-run")) == {
        "submissions": 1, "replies": 1, "files": 0, "files_left": 0, "dry_run": True,
    }  # fmt: skip


def test_course_and_limit():
    finished(3)
    assert run("--keep-days", "1", "--course", "course-v1:A+B+C").startswith("0 submissions")
    assert run("--keep-days", "1", "--limit", "2").startswith("2 submissions")
    assert Submission.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--keep-days"),
        (("--keep-days", "0"), "--keep-days"),
        (("--keep-days", "99999999999"), "--keep-days"),
        (("--keep-days", "1", "--course", "x"), "--course"),
        (("--keep-days", "1", "--limit", "none"), "--limit"),
        (("--keep-days", "1", "--archive", "--archived"), "--archived"),
    ],
)
def test_wrong_argument_is_named(arguments, named):
    with pytest.raises(CommandError, match=named):
        run(*arguments)


def test_file_that_cannot_be_deleted_is_an_error(monkeypatch):
    finished(1, files=1)
    monkeypatch.setattr(files, "_delete", lambda storage, name: False)
    with pytest.raises(CommandError, match=r"1 files could not be deleted\. Run it again"):
        run("--keep-days", "1")


def test_interrupted_run_says_what_it_has_removed(monkeypatch):
    monkeypatch.setattr(prune, "CHUNK", 2)
    finished(4)
    remove = prune._remove
    calls: list[Any] = []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return remove(*args)

    monkeypatch.setattr(prune, "_remove", interrupted)
    with pytest.raises(CommandError, match=r"2 submissions, 2 replies, 0 files removed; run it"):
        run("--keep-days", "1")
    assert Submission.objects.count() == 2


def test_celery_task_prunes_up_to_its_limit():
    finished(3)
    assert tasks.prune_submissions(365, limit=2) == {"submissions": 2, "replies": 2}
    assert tasks.prune_submissions(365, course_id="course-v1:A+B+C") == {}
    assert tasks.prune_submissions(keep_days=365, archive=True)["submissions"] == 1
    assert ArchivedSubmission.objects.count() == 1


@pytest.mark.parametrize("days", [0, -1])
def test_celery_task_refuses_to_keep_nothing(days):
    with pytest.raises(ValueError, match="keep_days"):
        tasks.prune_submissions(days)
