"""The doctor names what is wrong, and what to write where."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import requests
import responses
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone

from tests.grader_replies.factories import make_due_reply
from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge import doctor
from xqueue_bridge.checks.databases import check_deployment
from xqueue_bridge.doctor import installation, work
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.models import Heartbeat
from xqueue_bridge.xqueue_service.models import TransportOverride

# The checks of databases are run for both.
pytestmark = pytest.mark.django_db(databases=["default", "history"])
ROOT = "http://lms.example.com"
STATUS = f"{ROOT}/xqueue/status/"
CALLBACK = re.compile(rf"{ROOT}/courses/.*/xqueue/0/.*/score_update")


@pytest.fixture
def site():
    """What the site responds with at its public address."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get(STATUS, json={"return_code": 0, "content": "OK"})
        mocked.post(CALLBACK, status=404, body="xqueue_header: is missing\n")
        yield mocked


@pytest.fixture(autouse=True)
def _sweeper_runs(db) -> None:
    Heartbeat.objects.create(name=heartbeat.SWEEPER, seen_at=timezone.now())


@pytest.fixture(autouse=True)
def _lasting_connections(settings, monkeypatch):
    """Configure PostgreSQL and MariaDB as checks W006 and W008 recommend."""
    for database in settings.DATABASES.values():
        monkeypatch.setitem(database, "CONN_MAX_AGE", 600)
        monkeypatch.setitem(database, "CONN_HEALTH_CHECKS", True)


def make_seen_grader(*queue_names: str) -> None:
    """Create a grader that has logged in, and a submission to each of its queues."""
    make_grader(*queue_names)
    for queue_name in queue_names:
        api.enqueue(new_submission(queue_name))


def problems() -> dict[str, str]:
    """Return area -> text and advice of everything that is not well."""
    return {f.area: f"{f.text} {f.advice}" for f in doctor.examine() if f.advice}


def test_healthy(db, site, capsys):
    make_seen_grader("python")
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
    make_due_reply(due_at)
    assert "xqueue_bridge_sweep --forever" in problems()["sweeper"]


def test_storage_that_cannot_be_written(db, site, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError("/a/secret/path")

    make_grader("python")
    monkeypatch.setattr(storages["xqueue_bridge"], "save", fail)
    found = problems()["storage"]
    assert "cannot be examined" in found
    assert "/a/secret/path" not in found


def test_grader_that_is_revoked_with_a_notice(db, site):
    """Its account can still log in, to return the results of what it holds."""
    make_seen_grader("python")
    api.end_access(Grader.objects.get(), timedelta(minutes=30))
    texts = [finding.text for finding in doctor.examine() if finding.area == "grader watcher"]
    assert texts == ["gets no submissions: it is revoked, and its notice has not passed"]


def test_storage_that_is_not_set(db, site, settings):
    """W001 has the line to write."""
    settings.STORAGES = {"default": settings.STORAGES["default"]}
    found = problems()
    assert "storage" not in found
    assert "W001" in found["settings"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 301, "headers": {"Location": "https://x"}}, "status 301"),
        ({"body": "<html>", "status": 200}, "cannot be read"),
        ({"body": requests.ConnectionError()}, "cannot be read: ConnectionError"),
        ({"json": ["OK"]}, "cannot be read: AttributeError"),
        ({"body": "[" * 100_000, "status": 200}, "cannot be read"),
    ],
)
def test_address(db, site, answer, words):
    """Graders would not reach the site there."""
    make_grader("python")
    site.replace(responses.GET, STATUS, **answer)
    assert words in problems()["address"]


def test_workers(db, site, settings, monkeypatch):
    make_seen_grader("python")
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    control = installation.current_app.control
    monkeypatch.setattr(control, "ping", lambda timeout: [])
    assert "['TASK_RUNNER'] = 'inline'" in problems()["workers"]
    monkeypatch.setattr(control, "ping", lambda timeout: [{"celery@a": {"ok": "pong"}}])
    assert problems() == {}


def test_no_network(db, capsys):
    """Without --no-network, three requests are sent at most."""
    make_seen_grader("python")
    call_command("xqueue_bridge_doctor", "--no-network")
    out = capsys.readouterr().out
    assert "address" not in out
    assert "callback" not in out


LEGACY = {"url": "http://xqueue.example.com", "django_auth": {}}


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({"status": 301, "headers": {"Location": "https://x"}}, "the address with https://"),
        ({"status": 302, "headers": {"Location": "/login"}}, "redirects elsewhere (status 302)"),
        ({"status": 403, "body": "CSRF"}, "without a login"),
        ({"status": 404, "body": "<html>nginx"}, "not from the callback's view"),
        ({"status": 200, "body": "welcome"}, "pass /courses/ on to the LMS"),
        ({"status": 502}, "the proxy does not reach the LMS"),
        ({"body": requests.ConnectionError()}, "no connection XQUEUE_INTERFACE['callback_url']"),
        ({"body": requests.Timeout()}, "timeout"),
    ],
)
def test_callback(db, site, settings, response, words):
    """An XQueue server would not bring its results there."""
    settings.XQUEUE_INTERFACE = LEGACY
    make_seen_grader("python")
    site.replace(responses.POST, CALLBACK, **response)
    assert words in problems()["callback"]
    is_error = {f.area: f.is_error for f in doctor.examine()}
    assert is_error["callback"] is True
    settings.XQUEUE_INTERFACE = None
    assert {f.area: f.is_error for f in doctor.examine()}["callback"] is False


def test_callback_has_an_address_of_its_own(db, site, settings):
    """XQUEUE_INTERFACE["callback_url"] is tried, not LMS_ROOT_URL."""
    settings.XQUEUE_INTERFACE = {**LEGACY, "callback_url": "http://internal:8000/"}
    site.post(re.compile("http://internal:8000/courses/"), status=404, body="xqueue_header: is")
    found = {f.area: f.text for f in doctor.examine()}
    assert found["callback"] == "http://internal:8000/courses/.../xqueue/...: the bridge responds"


def test_callback_of_the_platform(db, site, settings):
    """In an LMS the platform's own view, which comes first, responds 404 to an empty form."""
    make_seen_grader("python")
    settings.ROOT_URLCONF = "tests.lms.platform_urls"
    site.replace(responses.POST, CALLBACK, status=404, body="<h1>Not found</h1>")
    found = {f.area: f for f in doctor.examine()}
    assert found["callback"].text.endswith("tests.lms.platform_urls responds")
    assert found["callback"].advice == ""


def test_callback_without_a_pattern(db, site, settings):
    settings.ROOT_URLCONF = "tests.no_urls"
    assert "include(" in problems()["callback"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"last_seen_at": None}, "has never logged in"),
        ({"last_failed_login_at": timezone.now() + timedelta(hours=1)}, "rotate watcher"),
        ({"last_seen_at": timezone.now() - timedelta(hours=1)}, "min ago; python"),
    ],
)
def test_login_of_a_grader(db, site, fields, words):
    """C126: which grader does not come, and why."""
    make_seen_grader("python")
    Grader.objects.update(**fields)
    assert words in problems()["grader watcher"]


def test_grants_of_a_grader(db, site):
    make_seen_grader("python")
    api.create_grader("idle")
    api.create_grader("wrong", ["pyhton"])
    Grader.objects.update(last_seen_at=timezone.now())
    found = problems()
    assert "xqueue_bridge_grader deny wrong --queue pyhton" in found["grader wrong"]
    advice = [f.advice for f in doctor.examine() if f.area == "grader idle"]
    assert advice[0] == "run: manage.py xqueue_bridge_grader grant idle --queue QUEUE"


def test_grader_that_is_revoked_is_no_error(db, site):
    make_seen_grader("python")
    api.create_grader("former", ["python"])
    Grader.objects.filter(name="former").update(is_active=False)
    assert "grader former" not in problems()
    texts = {f.area: f.text for f in doctor.examine()}
    assert texts["grader former"].startswith("cannot log in")


def test_graders_take_a_fixed_number_of_statements(db, django_assert_num_queries):
    """Accounts, grants, and queue names, for any number of accounts."""
    for number in range(5):
        api.create_grader(f"grader {number}", ["a", "b", "*"])
    with django_assert_num_queries(3):
        assert len(list(work.graders())) == 15


@pytest.mark.parametrize(
    ("age", "words"), [(None, "it has never run"), (timedelta(hours=1), "last ran 60 min ago")]
)
def test_sweeper_that_does_not_run(db, site, age, words):
    make_seen_grader("python")
    Heartbeat.objects.all().delete()
    if age:
        Heartbeat.objects.create(name=heartbeat.SWEEPER, seen_at=timezone.now() - age)
    assert words in problems()["sweeper"]


def test_checks_of_the_database_are_findings(db, site):
    """An override needs a server that is not configured: W009 is a check of databases."""
    make_seen_grader("python")
    TransportOverride.objects.create(scope="site", use_submissions_table=False)
    assert "xqueue_bridge.W009" in problems()["settings"]
    texts = [f.text for f in doctor.examine() if f.area == "courses"]
    assert texts[0] == "site uses the legacy XQueue"


def test_paused_queue_is_no_error_and_says_how_to_resume_it(db, site):
    make_seen_grader("python")
    api.pause_queue("python")
    assert "xqueue_bridge_queue resume python" in problems()["queue python"]
    assert not any(f.is_error for f in doctor.examine() if f.area == "queue python")


def test_paused_graders(db, site):
    make_seen_grader("python")
    grader = Grader.objects.get()
    later = timezone.now() + timedelta(hours=1)
    grader.pauses.create(queue_name="python", since=timezone.now(), paused_until=later)
    assert "Paused graders" in problems()["queue python"]


def test_legacy_database_is_no_finding_of_connections(monkeypatch, settings):
    """Only commands use it: no request waits for a connection to it."""
    entry = {"ENGINE": "django.db.backends.mysql", "NAME": "xqueue"}
    monkeypatch.setitem(settings.DATABASES, "other", entry)
    assert "'other'" in str(check_deployment())
    monkeypatch.delitem(settings.DATABASES, "other")
    monkeypatch.setitem(settings.DATABASES, "legacy_xqueue", entry)
    assert "legacy_xqueue" not in str(check_deployment())
