"""The check of the platform's extended heartbeat, and the URL that says what is down."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery import current_app
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import OperationalError
from django.utils import timezone

from tests.grader_replies.factories import make_due_reply
from tests.submission_queue.factories import new_submission
from xqueue_bridge import health
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.models import Heartbeat


def test_healthy(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert health.health_check() == ("xqueue_bridge", True, "OK")


@pytest.mark.parametrize(("minutes", "ok"), [(14, True), (16, False)])
def test_replies_that_no_sweeper_applies(db, minutes, ok):
    """C126: a reply that is due for a quarter of an hour says that no sweeper runs."""
    submission_queue.enqueue(new_submission())
    due_at = timezone.now() - timedelta(minutes=minutes)
    make_due_reply(due_at)
    assert health.health_check()[1] is ok


def test_unreadable_tables(monkeypatch):
    def fail(**conditions: object) -> None:
        raise OperationalError("no such table: the-secret")

    monkeypatch.setattr(ReceivedReply.objects, "filter", fail)
    name, ok, message = health.health_check()
    assert (name, ok) == ("xqueue_bridge", False)
    assert message == "The tables cannot be read: OperationalError"


class TestUrl:
    """Kind 18: which part is down, for staff and monitors."""

    @pytest.fixture(autouse=True)
    def _setup(self, db, settings, monkeypatch):
        settings.XQUEUE_BRIDGE = {"HEALTH_TOKEN": "token"}
        monkeypatch.setattr(health, "RESULT_SECONDS", 0.0)
        heartbeat._recorded.clear()
        heartbeat.record(heartbeat.SWEEPER)

    def ask(self, client, **headers: str) -> tuple[int, dict[str, str]]:
        headers = headers or {"authorization": "Bearer token"}
        response = client.get("/xqueue/health/", headers=headers)
        return response.status_code, response.json()

    def test_all_parts_work(self, client, settings, tmp_path):
        backend = "django.core.files.storage.FileSystemStorage"
        storage = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
        settings.STORAGES = {**settings.STORAGES, "xqueue_bridge": storage}
        parts = dict.fromkeys(("database", "cache", "storage", "broker", "sweeper"), "OK")
        assert self.ask(client) == (200, parts)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer other", "token", "Bearer tok\xe9n"])
    def test_others_are_refused(self, client, given, django_assert_num_queries):
        with django_assert_num_queries(0):
            response = client.get("/xqueue/health/", headers={"authorization": given})
        assert response.status_code == 401
        assert client.post("/xqueue/health/").status_code == 405

    def test_no_token_matches_if_none_is_set(self, client, settings):
        settings.XQUEUE_BRIDGE = {}
        for given in ("Bearer None", "Bearer "):
            response = client.get("/xqueue/health/", headers={"authorization": given})
            assert response.status_code == 401

    @pytest.mark.parametrize(("is_staff", "status"), [(True, 200), (False, 401)])
    def test_staff_needs_no_token(self, client, django_user_model, is_staff, status):
        client.force_login(django_user_model.objects.create_user("ada", is_staff=is_staff))
        assert client.get("/xqueue/health/").status_code == status

    def down(self, client, part: str) -> str:
        status, parts = self.ask(client)
        assert status == 503
        assert [name for name, text in parts.items() if text != "OK"] == [part]
        return parts[part]

    def test_storage_that_cannot_be_written(self, client, monkeypatch):
        def save(*args: object, **kwargs: object) -> str:
            raise PermissionError("/the/secret/path")

        monkeypatch.setattr(storages["xqueue_bridge"], "save", save)
        assert self.down(client, "storage") == "is down: PermissionError"

    def test_storage_that_does_not_delete(self, client, monkeypatch):
        def delete(name: str) -> None:
            raise OSError

        with monkeypatch.context() as patch:
            patch.setattr(storages["xqueue_bridge"], "delete", delete)
            assert self.down(client, "storage") == "is down: OSError"

    def test_storage_that_changes_content(self, client, monkeypatch):
        storage = storages["xqueue_bridge"]
        before = storage.listdir("")
        monkeypatch.setattr(storage, "open", lambda name: ContentFile(b"other"))
        assert self.down(client, "storage") == "a file has other content than was written"
        assert storage.listdir("") == before

    def test_cache_that_is_down(self, client, monkeypatch):
        def get(*args: object) -> None:
            raise ConnectionError("redis://:the-secret@host")

        monkeypatch.setattr(caches["default"], "get", get)
        assert self.down(client, "cache") == "is down; the queue works without it"

    def test_broker_that_is_down(self, client, settings, monkeypatch):
        settings.XQUEUE_BRIDGE = {"HEALTH_TOKEN": "token", "TASK_RUNNER": "celery"}
        monkeypatch.setattr(current_app.conf, "broker_url", "redis://:the-secret@127.0.0.1:1/0")
        monkeypatch.setattr(current_app.conf, "broker_write_url", None)
        started = time.monotonic()
        text = self.down(client, "broker")
        assert text.startswith("is down: ")
        assert "the-secret" not in text
        assert time.monotonic() - started < 20

    def test_sweeper_that_does_not_run(self, client):
        Heartbeat.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
        assert self.down(client, "sweeper") == "has not run in the last five minutes"
        Heartbeat.objects.all().delete()
        assert self.down(client, "sweeper") == "has not run in the last five minutes"

    def test_database_that_is_down(self, client, monkeypatch):
        def fail(*args: object) -> None:
            raise OperationalError("password=the-secret")

        monkeypatch.setattr(Submission.objects, "values_list", fail)
        assert self.down(client, "database") == "is down: OperationalError"

    def test_result_is_repeated_for_ten_seconds(self, client, monkeypatch):
        monkeypatch.setattr(health, "RESULT_SECONDS", 10.0)
        monkeypatch.setattr(health._LastResult, "made_at", -10.0)
        assert self.ask(client)[0] == 200
        monkeypatch.setattr(health, "examine", pytest.fail)
        assert self.ask(client)[0] == 200
