"""What the requests of a grader cost beside their statements."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.urls import get_resolver
from django.urls.resolvers import RoutePattern
from django.utils import timezone

from tests.submission_queue.factories import GraderClient, make_grader
from xqueue_bridge.grader_api.authentication import SIGNATURE_SECONDS
from xqueue_bridge.options import Options

pytestmark = pytest.mark.django_db


@pytest.fixture
def grader() -> GraderClient:
    return make_grader()


def is_logged_in(grader: GraderClient) -> bool:
    return grader.http.get("/xqueue/get_queuelen/?queue_name=python").status_code == 200


def test_signature_of_a_cookie_is_verified_once_in_two_seconds(grader, monkeypatch):
    loads, calls = signing.loads, []

    def note(cookie, **kwargs):
        calls.append(cookie)
        return loads(cookie, **kwargs)

    monkeypatch.setattr(signing, "loads", note)
    now = timezone.now()
    for seconds, number in ((0, 1), (SIGNATURE_SECONDS, 2), (3 * SIGNATURE_SECONDS, 3)):
        with time_machine.travel(now + timedelta(seconds=seconds), tick=False):
            assert is_logged_in(grader)
            assert is_logged_in(grader)
        assert len(calls) == number
    grader.http.cookies["xqueue_session_key"] = f"{calls[0]}x"
    assert not is_logged_in(grader)


def test_session_ends_although_its_signature_was_verified(grader):
    """C62, C102: after SESSION_SECONDS, and at once after a logout."""
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        assert is_logged_in(grader)
        cookie = grader.http.cookies["xqueue_session_key"].value
        grader.http.get("/xqueue/logout/")
        grader.http.cookies["xqueue_session_key"] = cookie
        assert not is_logged_in(grader)
        grader.login()
        assert is_logged_in(grader)
    later = now + timedelta(seconds=Options.SESSION_SECONDS + SIGNATURE_SECONDS)
    with time_machine.travel(later, tick=False):
        assert not is_logged_in(grader)


def test_django_tries_the_urls_of_a_cycle_first():
    """It compares a request's path with one pattern after the other."""
    patterns = get_resolver("xqueue_bridge.grader_api.urls").url_patterns
    routes = [p.pattern._route for p in patterns if isinstance(p.pattern, RoutePattern)]
    assert routes[:3:2] == ["get_submission/", "put_result/"]
    whole = get_resolver("xqueue_bridge.urls").url_patterns
    assert whole[0].urlconf_module.__name__ == "xqueue_bridge.grader_api.urls"
