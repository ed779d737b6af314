"""The POST of a grade to Credentials: its message, errors, timeouts and log."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.factories import COURSE
from tests.doubles.credentials import CLIENT_SECRET, DROPPED, Fault, UserGradeSerializer
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials.client import grade_message, post_grade, quantised
from xqueue_bridge.credentials.errors import GradeSendError

MODIFIED = datetime(2026, 11, 20, 8, 0, 0, 250_000, tzinfo=UTC)


def stored(percent: float = 0.8, letter: str = "Pass", modified=MODIFIED) -> PersistentCourseGrade:
    return PersistentCourseGrade(
        user_id=7,
        course_id=COURSE,
        percent_grade=percent,
        letter_grade=letter,
        version=3,
        modified=modified,
    )


def test_post_has_the_grade_and_its_time(credentials, service):
    """SG79: the POST has username, run, letter, percent, verified, and the grade's time."""
    post_grade(service, grade_message("ada", stored(), verified=True))
    assert [post.message for post in credentials.posts] == [
        {
            "username": "ada",
            "course_run": "course-v1:DemoX+CS101+2026",
            "letter_grade": "Pass",
            "percent_grade": 0.8,
            "verified": True,
            "lms_last_updated_at": "2026-11-20T08:00:00.250000+00:00",
        }
    ]
    assert credentials.grade("ada", COURSE)["lms_last_updated_at"] == MODIFIED


def test_message_keeps_the_time_zone_of_the_grade():
    zone = timezone(timedelta(hours=2))
    message = grade_message("ada", stored(modified=MODIFIED.astimezone(zone)), verified=False)
    assert message["lms_last_updated_at"].endswith("+02:00")
    assert message["verified"] is False


def test_grade_without_a_letter_is_sent_with_an_empty_one(credentials, service):
    """SG82: Credentials accepts a grade with an empty letter."""
    post_grade(service, grade_message("ada", stored(0.33, ""), verified=True))
    grade = credentials.grade("ada", COURSE)
    assert (grade["letter_grade"], grade["percent_grade"]) == ("", Decimal("0.3300"))


@pytest.mark.parametrize(
    ("percent", "sent"),
    [
        (1 / 3, 0.3333),
        (0.33, 0.33),
        (0, 0.0),
        (1, 1.0),
        (0.1 + 0.2, 0.3),
        (1.25, 1.25),
        (99, 9.9999),
    ],
)
def test_percent_is_rounded_to_four_decimal_places(percent, sent):
    """SG82: at most four decimal places are sent, and at most 9.9999, which fits Credentials."""
    assert quantised(percent) == sent


@given(st.floats(min_value=0, max_value=20))
def test_any_percent_is_accepted(percent):
    """SG82: Credentials' serializer accepts every percent after it was rounded."""
    message = grade_message("ada", stored(percent), verified=True)
    assert UserGradeSerializer(data=message).is_valid()


def test_post_after_the_token_was_revoked_is_repeated_with_a_new_token(credentials, service):
    message = grade_message("ada", stored(), verified=True)
    post_grade(service, message)
    credentials.revoke_tokens()
    post_grade(service, message)
    assert credentials.statuses == [201, 401, 201]
    assert len(credentials.token_requests) == 2


def test_second_401_is_a_transient_error(credentials, service):
    credentials.always = Fault(401)
    with pytest.raises(GradeSendError) as caught:
        post_grade(service, grade_message("ada", stored(), verified=True))
    assert (caught.value.code, caught.value.permanent) == ("HTTP 401", False)
    assert credentials.statuses == [401, 401]


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        (Fault(400), "HTTP 400", True),
        (Fault(403), "HTTP 403", True),
        (Fault(300), "HTTP 300", False),
        (Fault(302), "HTTP 302", False),
        (Fault(500), "HTTP 500", False),
        (Fault(503), "HTTP 503", False),
        (DROPPED, "no connection", False),
    ],
)
def test_error_has_the_status_and_says_whether_it_is_permanent(
    credentials, service, fault, code, permanent
):
    """SG80: only the response's status is kept."""
    credentials.faults = [fault]
    with pytest.raises(GradeSendError) as caught:
        post_grade(service, grade_message("ada", stored(), verified=True))
    assert (caught.value.code, caught.value.permanent) == (code, permanent)


@pytest.mark.parametrize("status", [200, 201, 299])
def test_response_of_success_is_no_error(credentials, service, status):
    credentials.faults = [Fault(status)]
    post_grade(service, grade_message("ada", stored(), verified=True))
    assert credentials.statuses == [status]


def test_retry_after_header_is_in_the_error(credentials, service):
    credentials.faults = [Fault(429, retry_after="77")]
    with pytest.raises(GradeSendError) as caught:
        post_grade(service, grade_message("ada", stored(), verified=True))
    assert (caught.value.code, caught.value.retry_after) == ("HTTP 429", 77)


def test_response_after_the_timeout_is_a_timeout_error(credentials, service):
    credentials.faults = [Fault(201, seconds=60)]
    with pytest.raises(GradeSendError, match="timeout"):
        post_grade(replace(service, TIMEOUT=0.2), grade_message("ada", stored(), verified=True))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api/v2", "nonsense", "http://[::1"])
def test_unreachable_service_is_a_transient_error_without_its_url(credentials, service, url):
    with pytest.raises(GradeSendError) as caught:
        post_grade(replace(service, URL=url), grade_message("ada", stored(), verified=True))
    assert url not in str(caught.value)
    assert not caught.value.permanent


def test_each_request_verifies_certificates_and_has_timeouts(credentials, service, monkeypatch):
    seen = []
    send = requests.Session.send
    monkeypatch.setattr(
        requests.Session, "send", lambda *a, **kwargs: seen.append(kwargs) or send(*a, **kwargs)
    )
    post_grade(service, grade_message("ada", stored(), verified=True))
    # True, or the bundle that the environment names.
    assert [(bool(each["verify"]), each["timeout"]) for each in seen] == [(True, (3.05, 20))] * 2
    # The body of the response to a grade is not read.
    assert [each["stream"] for each in seen] == [False, True]


def test_netrc_file_does_not_replace_the_token(credentials, service, monkeypatch, tmp_path: Path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someuser password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    post_grade(service, grade_message("ada", stored(), verified=True))
    assert credentials.posts[0].authorization.startswith("JWT header.")


def test_log_has_no_token_secret_or_username(credentials, service, caplog):
    caplog.set_level(logging.DEBUG)
    post_grade(service, grade_message("ada", stored(), verified=True))
    token = credentials.posts[0].authorization.removeprefix("JWT ")
    assert token not in caplog.text
    assert CLIENT_SECRET not in caplog.text
    assert "ada" not in caplog.text
