"""The sweeper does not keep what the platform has cached for a request."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from edx_django_utils.cache import RequestCache

from tests.lms import stand_ins
from xqueue_bridge.lms.request_cache import clear_request_cache


@pytest.fixture
def cached():
    """A value in the platform's request cache of this thread."""
    cache = RequestCache("tests.lms")
    cache.set("course", "first version")
    yield cache
    RequestCache.clear_all_namespaces()


def test_cache_is_cleared_in_an_lms(monkeypatch, cached):
    stand_ins.add_installed_apps(monkeypatch, stand_ins.COURSEWARE)
    clear_request_cache()
    assert not cached.get_cached_response("course").is_found


def test_cache_of_another_host_is_left_alone(cached):
    clear_request_cache()
    assert cached.get_cached_response("course").value == "first version"


@pytest.mark.django_db
def test_sweeper_clears_it_between_two_sweeps(monkeypatch, cached):
    """Without this, a process that runs for days would see one version of each course."""
    cleared: list[bool] = []

    class Stop:
        received = False

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

        def wait(self, seconds: float) -> None:
            self.received = True

    command = "xqueue_bridge.management.commands.xqueue_bridge_sweep"
    monkeypatch.setattr(f"{command}.StopSignals", Stop)
    monkeypatch.setattr(f"{command}.close_old_connections", lambda: None)
    monkeypatch.setattr(f"{command}.clear_request_cache", lambda: cleared.append(True))
    call_command("xqueue_bridge_sweep", "--forever")
    assert cleared == [True]
