"""The commands that import and report, as an operator calls them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.utils import timezone
from submissions.models import ExternalGraderDetail

from tests.integration.conftest import grade_of
from tests.moving.legacy_server import ALIAS, make_row, rows
from tests.moving.test_edx_submissions import make_row as make_edx_row
from tests.submission_queue.factories import COURSE, GOOD_REPLY
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.submission_queue.models import Submission

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", ALIAS]),
    pytest.mark.usefixtures("legacy_table"),
]
IMPORT = "xqueue_bridge_import_legacy_xqueue"
REPORT = "xqueue_bridge_drain_report"
OTHER = "course-v1:DemoX+CS102+2026"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command(*arguments)
    return capsys.readouterr().out


def test_dry_run_and_import(capsys):
    make_row(1)
    make_row(2, pull_time=timezone.now())
    make_row(3, grader_reply=GOOD_REPLY)
    make_row(4, xqueue_header="{}")
    ours = ("--database", ALIAS)
    assert run(capsys, IMPORT, *ours, "--dry-run") == (
        f"{COURSE}: 1 answered, 1 leased, 1 waiting in legacy XQueue\n"
        "unknown course: 1 waiting in legacy XQueue\n"
    )
    assert Submission.objects.count() == 0
    assert (
        run(capsys, IMPORT, *ours, "--course", OTHER) == f"{OTHER}: 0 in flight in legacy XQueue\n"
    )
    done = json.loads(run(capsys, IMPORT, *ours, "--course", str(COURSE), "--json"))
    assert done == {
        "done": {"imported": 1, "held by a grader": 1, "refused": 1},
        "in_flight": {str(COURSE): {"leased": 1, "answered": 1}},
    }
    action = OperatorAction.objects.get()
    assert (action.kind, action.selected, action.changed) == ("import", 3, 1)
    rows().delete()
    assert run(capsys, IMPORT, *ours) == "0 in flight in legacy XQueue\n"


def test_limit_and_queue(capsys):
    for user_id in range(1, 4):
        make_row(user_id)
    make_row(4, queue_name="matlab")
    out = run(capsys, IMPORT, "--database", ALIAS, "--queue", "python", "--limit", "2")
    assert "2 imported" in out
    assert "2 waiting" in out


def test_drain_report(capsys):
    """C131: "0 in flight elsewhere" counts both kinds of other queues."""
    make_row(1)
    make_edx_row(2)
    command = (REPORT, "--database", ALIAS)
    with pytest.raises(SystemExit):
        call_command(*command)
    assert capsys.readouterr().out == (
        f"{COURSE}: 1 waiting in edx-submissions; 1 waiting in legacy XQueue\n"
    )
    with pytest.raises(SystemExit):
        call_command(*command, "--json")
    assert json.loads(capsys.readouterr().out) == {
        str(COURSE): {"edx-submissions": {"waiting": 1}, "legacy XQueue": {"waiting": 1}}
    }
    assert run(capsys, *command, "--course", OTHER) == f"{OTHER}: 0 in flight elsewhere\n"
    rows().update(retired=True)
    ExternalGraderDetail.objects.update(status="retired")
    assert run(capsys, *command) == "0 in flight elsewhere\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((IMPORT, "--database", "nowhere"), "--database: DATABASES has no entry 'nowhere'"),
        ((IMPORT, "--database", "default"), "'default' has no table queue_submission"),
        ((IMPORT,), "DATABASES has no entry 'legacy_xqueue'"),
        ((REPORT, "--database", "nowhere"), "DATABASES has no entry 'nowhere'"),
        ((REPORT, "--course", "x"), "'x' is not a course key"),
        ((IMPORT, "--database", ALIAS, "--limit", "0"), "--limit: '0' is not a whole number"),
        ((IMPORT, "--database", ALIAS, "--lease-minutes", "nan"), "--lease-minutes: 'nan' is not"),
        ((IMPORT, "--files-storage", "nowhere"), "--files-storage names no entry of STORAGES"),
        ((IMPORT, "--dump", "/nowhere.json"), "--dump cannot be read"),
        ((IMPORT, "--dump", "x", "--forward", "q"), "--forward needs --database"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command(*arguments)


def dump(path: Path, *, lines: bool = False) -> Path:
    """Write the rows as ``dumpdata submission_queue`` does on the server."""
    entries = []
    for values in rows().values():
        times = {k: v.isoformat() for k, v in values.items() if k.endswith("_time") and v}
        fields = {"requester_id": "", "grader_id": "", "num_failures": 0, **values, **times}
        entries.append(
            {"model": "submission_queue.submission", "pk": fields.pop("id"), "fields": fields}
        )
    text = "\n".join(map(json.dumps, entries)) if lines else json.dumps(entries)
    path.write_text(text)
    return path


@pytest.mark.parametrize("lines", [False, True])
def test_dump(tmp_path, capsys, learner, lines):
    """C131: of a server that is stopped; a second run imports nothing twice."""
    waiting, answered, retired = learner(), learner(), learner()
    make_row(waiting)
    make_row(answered, grader_reply=GOOD_REPLY)
    make_row(retired, retired=True)
    path = dump(tmp_path / "dump.json", lines=lines)
    if lines:  # as some editors save it
        path.write_text("\ufeff" + path.read_text())
    command = (IMPORT, "--dump", str(path))
    assert run(capsys, *command, "--dry-run") == (
        f"{COURSE}: 1 answered, 1 waiting in legacy XQueue\n"
    )
    assert run(capsys, *command) == ("1 imported\n1 results stored\n0 in flight in legacy XQueue\n")
    assert Submission.objects.get(transport="table").user_id == waiting
    assert grade_of(answered) == 1
    assert "1 imported before\n" in run(capsys, *command)
    assert Submission.objects.count() == 2


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16"])
def test_dump_with_a_byte_order_mark(tmp_path, capsys, learner, lines, charset):
    """C131: PowerShell writes what a command prints in UTF-16."""
    make_row(learner())
    path = dump(tmp_path / "dump.json", lines=lines)
    path.write_bytes(path.read_text().encode(charset))
    assert run(capsys, IMPORT, "--dump", str(path)).startswith("1 imported\n")


@pytest.mark.parametrize(
    "text", ["{}", "x", '[{"model": "submission_queue.submission"}]', "[1]", "[" * 100_000]
)
def test_file_that_is_no_dump(tmp_path, text):
    path = tmp_path / "dump.json"
    path.write_text(text)
    with pytest.raises(CommandError, match="--dump is not what dumpdata"):
        call_command(IMPORT, "--dump", str(path))


def test_files_storage(settings, tmp_path, capsys):
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = {
        **settings.STORAGES,
        "legacy": {**backend, "OPTIONS": {"location": str(tmp_path)}},
    }
    storages["legacy"].save("python/0123", ContentFile(b"print(1)"))
    make_row(s3_keys='{"a.py": "0123"}', s3_urls='{"a.py": "/media/python/0123"}')
    ours = ("--database", ALIAS)
    assert "1 refused" in run(capsys, IMPORT, *ours)
    assert "1 imported" in run(capsys, IMPORT, *ours, "--files-storage", "legacy")
    [stored] = Submission.objects.get().content.stored_files()
    assert (stored.name, stored.size) == ("a.py", 8)


def test_lease_minutes(capsys):
    make_row(pull_time=timezone.now() - timedelta(minutes=2), pullkey="k")
    out = run(capsys, IMPORT, "--database", ALIAS, "--lease-minutes", "5")
    assert "1 leased in legacy XQueue" in out
