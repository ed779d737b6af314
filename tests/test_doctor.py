"""The doctor names what is wrong, and what to write where."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import responses
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone

from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge import doctor
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission

STATUS = "http://lms.example.com/xqueue/status/"


@pytest.fixture
def site():
    """What the site responds with at its public address."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get(STATUS, json={"return_code": 0, "content": "OK"})
        yield mocked


@pytest.fixture(autouse=True)
def _lasting_connections(settings, monkeypatch):
    """Configure PostgreSQL and MariaDB as checks W006 and W008 recommend."""
    for database in settings.DATABASES.values():
        monkeypatch.setitem(database, "CONN_MAX_AGE", 600)
        monkeypatch.setitem(database, "CONN_HEALTH_CHECKS", True)


def problems() -> dict[str, str]:
    """Return area -> text and advice of everything that is not well."""
    return {f.area: f"{f.text} {f.advice}" for f in doctor.examine() if f.advice}


def test_healthy(db, site, capsys):
    make_grader("python")
    assert problems() == {}
    call_command("xqueue_bridge_doctor")
    assert "ok     storage: a file was written, read and deleted" in capsys.readouterr().out


def test_settings_without_graders(db, site, settings, capsys):
    settings.XQUEUE_BRIDGE = {"LEASE_SECOND": 5}
    with pytest.raises(SystemExit):
        call_command("xqueue_bridge_doctor")
    out = capsys.readouterr().out
    assert "ERROR  settings: xqueue_bridge.E001" in out
    assert "-> run: manage.py xqueue_bridge_grader create NAME --queue QUEUE" in out


def test_queue_without_a_grader(db, site):
    make_grader("python")
    api.enqueue(new_submission("matlab"))
    assert "xqueue_bridge_grader grant NAME --queue matlab" in problems()["queue matlab"]


def test_queue_whose_graders_are_silent(db, site):
    """C126: the age of the oldest submission, and when a grader was seen."""
    make_grader("python")
    api.enqueue(new_submission())
    early = timezone.now() - timedelta(hours=1)
    Submission.objects.update(created_at=early, available_at=early)
    assert "the oldest waits for 60 minutes" in problems()["queue python"]


def test_no_sweeper(db, site):
    make_grader("python")
    api.enqueue(new_submission())
    due_at = timezone.now() - timedelta(hours=1)
    ReceivedReply.objects.create(
        submission=Submission.objects.get(),
        source="put_result",
        body="{}",
        received_at=due_at,
        next_attempt_at=due_at,
    )
    assert "xqueue_bridge_sweep --forever" in problems()["replies"]


def test_storage_that_cannot_be_written(db, site, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError("/a/secret/path")

    make_grader("python")
    monkeypatch.setattr(storages["xqueue_bridge"], "save", fail)
    found = problems()["storage"]
    assert "cannot be examined" in found
    assert "/a/secret/path" not in found


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 301, "headers": {"Location": "https://x"}}, "status 301"),
        ({"body": "<html>", "status": 200}, "cannot be read"),
        ({"body": requests.ConnectionError()}, "cannot be read: ConnectionError"),
        ({"json": ["OK"]}, "cannot be read: AttributeError"),
    ],
)
def test_address(db, site, answer, words):
    """Graders would not reach the site there."""
    make_grader("python")
    site.replace(responses.GET, STATUS, **answer)
    assert words in problems()["address"]


def test_workers(db, site, settings, monkeypatch):
    make_grader("python")
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    control = doctor.current_app.control
    monkeypatch.setattr(control, "ping", lambda timeout: [])
    assert "['TASK_RUNNER'] = 'inline'" in problems()["workers"]
    monkeypatch.setattr(control, "ping", lambda timeout: [{"celery@a": {"ok": "pong"}}])
    assert problems() == {}


def test_no_network(db, capsys):
    """Without --no-network, two requests are sent at most."""
    make_grader("python")
    call_command("xqueue_bridge_doctor", "--no-network")
    assert "address" not in capsys.readouterr().out
