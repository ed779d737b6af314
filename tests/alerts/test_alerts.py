"""Alerts: what opens and closes them, who is told, how often, and what a failure costs."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
import responses
from django.core import mail
from django.utils import timezone

from xqueue_bridge.alerts import conditions, notify
from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.checks.monitoring import check_alerts
from xqueue_bridge.metrics.models import QueueSample

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
URL = "https://chat.example.com/hook"
HEALTHY = {"waiting": 3, "leased": 1, "pending_replies": 0, "graders": 1, "paused_graders": 0}


class Clock:
    now = START


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


@pytest.fixture(autouse=True)
def _settings(settings, monkeypatch) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": {"EMAILS": ["operators@example.com"]}}
    monkeypatch.setattr(conditions, "_done", None)


@pytest.fixture
def sweep(clock, monkeypatch) -> Callable[..., int]:
    """Return a function that sweeps minutes later, with one queue as given."""

    def run(minutes: float = 0, **figures: float) -> int:
        clock.now += timedelta(minutes=minutes)
        if figures:
            QueueSample.objects.update_or_create(
                minute=clock.now, queue_name="python", defaults={**HEALTHY, **figures}
            )
        monkeypatch.setattr(conditions, "_done", None)
        conditions.update_alerts()
        return notify.send_due_alerts()

    return run


@pytest.mark.parametrize(
    ("figures", "kind"),
    [
        ({"oldest_seconds": 901.0}, "stalled"),
        ({"graders": 0}, "no_grader"),
        ({"grader_seen_seconds": 601.0}, "grader_gone"),
        ({"paused_graders": 1}, "grader_paused"),
    ],
)
def test_trouble_is_told_once_and_its_end_once(sweep, figures, kind) -> None:
    sweep(**figures)
    sweep(5, **figures)
    assert [message.subject for message in mail.outbox] == [
        f"Queue python: {Alert.Kind(kind).label}"
    ]
    sweep(5, waiting=2)
    sweep(5, waiting=2)
    assert len(mail.outbox) == 2
    assert "ended" in mail.outbox[1].subject
    assert mail.outbox[1].to == ["operators@example.com"]
    assert "Since: 2026-11-20T10:10:00+00:00\nMeasured: " in mail.outbox[1].body


@pytest.mark.parametrize(
    "figures",
    [{"oldest_seconds": 899.0}, {"waiting": 0, "graders": 0}, {"waiting": 0, "graders": 1}, {}],
)
def test_healthy_queue_opens_no_alert(sweep, figures) -> None:
    sweep(**{"waiting": 1, **figures})
    assert not Alert.objects.exists()


def test_paused_queue_is_neither_stalled_nor_without_graders(sweep) -> None:
    """Nor for STALLED_SECONDS after it is resumed; then a backlog that stays is trouble."""
    old = {"oldest_seconds": 5000.0, "grader_seen_seconds": 5000.0, "graders": 0}
    sweep(is_paused=True, **old)
    assert not Alert.objects.exists()
    sweep(10, oldest_seconds=5600.0)
    assert not Alert.objects.exists()
    sweep(6, oldest_seconds=5960.0)
    assert Alert.objects.get().kind == "stalled"


def test_failures_of_an_hour_are_told(sweep) -> None:
    sweep(failed_total=100)
    sweep(30, failed_total=109)
    assert not mail.outbox
    sweep(5, failed_total=110)
    assert "Submissions fail" in mail.outbox[0].subject


def test_trouble_that_comes_and_goes_is_told_once_in_an_hour(sweep) -> None:
    for _ in range(10):
        sweep(1, oldest_seconds=1000.0)
        sweep(1, oldest_seconds=0.0)
    opened = [message for message in mail.outbox if "ended" not in message.subject]
    assert len(opened) == 1
    sweep(50, oldest_seconds=1000.0)
    assert len(mail.outbox) == 3


def test_queue_without_samples_keeps_its_alert_for_a_day(sweep) -> None:
    sweep(oldest_seconds=1000.0)
    sweep(120)
    assert Alert.objects.get().is_open
    sweep(24 * 60)
    assert not Alert.objects.get().is_open


def test_two_sweepers_open_one_alert(sweep, clock) -> None:
    sweep(oldest_seconds=1000.0)
    conditions._insert(("stalled", "python"), "", clock.now)
    assert Alert.objects.count() == 1


def test_webhook_gets_a_signed_notification(sweep, settings) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": {"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "s3cret"}}
    with responses.RequestsMock() as server:
        server.post(URL, status=204)
        sweep(oldest_seconds=1000.0)
        request = server.calls[0].request
    digest = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers[notify.SIGNATURE_HEADER] == f"sha256={digest}"
    assert json.loads(request.body) == {
        "version": 1,
        "id": f"{Alert.objects.get().pk}-{START.timestamp():.0f}",
        "kind": "stalled",
        "queue": "python",
        "status": "open",
        "since": START.isoformat(),
        "sent_at": START.isoformat(),
        "text": f"Queue python: {Alert.Kind.STALLED.label}",
        "measured": "1000 s",
    }


@pytest.mark.parametrize("status", [301, 404, 500])
def test_refused_notification_is_sent_again_with_the_same_id(
    sweep, settings, status, caplog
) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": {"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "s3cret"}}
    with responses.RequestsMock() as server:
        server.post(URL, status=status, headers={"Location": "https://other.example.com/"})
        server.post(URL, status=200)
        sweep(oldest_seconds=1000.0)
        assert Alert.objects.get().last_error == f"webhook: status {status}"
        sweep(1)
        ids = {json.loads(call.request.body)["id"] for call in server.calls}
    assert len(ids) == 1
    assert Alert.objects.get().is_told
    assert "s3cret" not in caplog.text
    assert URL not in caplog.text


def test_notification_that_is_never_taken_ends(sweep, settings) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": {"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "s3cret"}}
    with responses.RequestsMock() as server:
        server.post(URL, body=requests.ConnectionError())
        for _ in range(40):
            sweep(31, oldest_seconds=1000.0)
        assert len(server.calls) == notify.MAX_ATTEMPTS
    alert = Alert.objects.get()
    assert (alert.next_attempt_at, alert.is_told) == (None, False)


def test_mail_backend_that_fails_costs_no_other_work(sweep, settings) -> None:
    settings.EMAIL_BACKEND = "tests.alerts.test_alerts.BrokenMail"
    assert sweep(oldest_seconds=1000.0) == 1
    assert Alert.objects.get().last_error == "mail: RuntimeError"


class BrokenMail:
    def __init__(self, **kwargs: object) -> None:
        assert kwargs["timeout"]

    def send_messages(self, messages: object) -> None:
        raise RuntimeError("secret of the server")


def test_change_while_a_notification_is_sent_is_told_next(sweep, monkeypatch) -> None:
    mailed = notify._mail

    def ends_meanwhile(row: Alert, channels: object) -> None:
        mailed(row, channels)
        Alert.objects.filter(pk=row.pk, is_open=True).update(is_open=False, next_attempt_at=None)

    monkeypatch.setattr(notify, "_mail", ends_meanwhile)
    sweep(oldest_seconds=1000.0)
    sweep(1, oldest_seconds=0.0)
    assert ["ended" in message.subject for message in mail.outbox] == [False, True]


def test_unchanged_queues_cost_two_statements_a_minute(
    sweep, monkeypatch, django_assert_num_queries
) -> None:
    sweep(oldest_seconds=1000.0)
    monkeypatch.setattr(conditions, "_done", None)
    with django_assert_num_queries(2):
        conditions.update_alerts()
    with django_assert_num_queries(0):
        conditions.update_alerts()


def test_notification_costs_three_statements(sweep, clock, django_assert_num_queries) -> None:
    sweep(oldest_seconds=1000.0)
    Alert.objects.update(next_attempt_at=clock.now)
    with django_assert_num_queries(3):  # what is due, the claim, the end
        notify.send_due_alerts()


def test_without_the_setting_nothing_is_done(sweep, settings, django_assert_num_queries) -> None:
    settings.XQUEUE_BRIDGE = {}
    with django_assert_num_queries(0):
        assert sweep() == 0


@pytest.mark.parametrize(
    ("alerts", "ids"),
    [
        ({"EMAILS": ["a@example.com"]}, []),
        ({"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "x"}, []),
        ({"STALLED_SECONDS": 60}, ["E019"]),
        ({"WEBHOOK_URL": URL}, ["E019"]),
        ({"WEBHOOK_URL": "chat", "WEBHOOK_SECRET": "x"}, ["E009"]),
        ({"EMAILS": ["a@example.com"], "STALLED_SECONDS": 0}, ["E008"]),
        ({"EMAILS": "a@example.com"}, ["E001"]),
        ({"EMAILS": ["a@example.com"], "EVERY": 5}, ["E001"]),
    ],
)
def test_check_names_what_is_wrong(settings, alerts, ids) -> None:
    settings.XQUEUE_BRIDGE = {"ALERTS": alerts}
    assert [found.id for found in check_alerts()] == [f"xqueue_bridge.{e}" for e in ids]
