"""Grader accounts: names, secrets and queue grants."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.property_examples import few
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.submission_queue import accounts
from xqueue_bridge.submission_queue.grader_models import Grader, GraderSecret, RevokedSession

pytestmark = pytest.mark.django_db


def test_grader_with_its_secret_is_authenticated_for_its_queues():
    secret = accounts.create_grader("watcher", ["python", "java"])
    principal = accounts.authenticate("watcher", secret)
    assert principal.queue_names == {"python", "java"}
    assert principal.may_use("java")
    assert not principal.may_use("rust")


def test_star_grants_every_queue():
    principal = accounts.authenticate("w", accounts.create_grader("w", ["*"]))
    assert principal.may_use("anything")


@pytest.mark.parametrize(("name", "secret"), [("other", None), ("watcher", "wrong"), ("", "")])
def test_wrong_name_or_secret_is_not_authenticated(name, secret):
    real = accounts.create_grader("watcher")
    assert accounts.authenticate(name, real if secret is None else secret) is None


def test_secrets_are_stored_as_keyed_hashes(settings):
    """C86: the row has a hash that depends on SECRET_KEY, and not the secret."""
    secret = accounts.create_grader("watcher")
    assert secret not in str(GraderSecret.objects.values().get())
    assert len(GraderSecret.objects.get().digest) == 64
    settings.SECRET_KEY = "another site's key"
    assert accounts.authenticate("watcher", secret) is None
    settings.SECRET_KEY_FALLBACKS = ["only for tests"]
    assert accounts.authenticate("watcher", secret)


def test_former_secret_is_valid_during_the_overlap():
    old = accounts.create_grader("watcher")
    grader = Grader.objects.get()
    new = accounts.issue_secret(grader, overlap=timedelta(hours=1))
    assert accounts.authenticate("watcher", old)
    assert accounts.authenticate("watcher", new)
    newest = accounts.issue_secret(grader, overlap=timedelta(hours=1))
    assert accounts.authenticate("watcher", old) is None
    assert accounts.authenticate("watcher", new)
    assert accounts.authenticate("watcher", newest)


def test_former_secret_is_invalid_without_an_overlap():
    old = accounts.create_grader("watcher")
    accounts.issue_secret(Grader.objects.get())
    assert accounts.authenticate("watcher", old) is None


def test_inactive_grader_is_not_authenticated():
    secret = accounts.create_grader("watcher")
    Grader.objects.update(is_active=False)
    assert accounts.authenticate("watcher", secret) is None


def test_second_account_of_one_name_is_refused():
    accounts.create_grader("watcher")
    with pytest.raises(IntegrityError):
        accounts.create_grader("watcher")


@pytest.mark.parametrize("name", ["watcher ", " watcher", "watcher\u00a0", "watcher\n"])
def test_spaces_around_a_name_are_ignored(name):
    """MariaDB ignores trailing spaces in comparisons; on every database the name has none."""
    secret = accounts.create_grader(name, ["python "])
    with pytest.raises(IntegrityError), transaction.atomic():
        accounts.create_grader("watcher")
    assert Grader.objects.get(name=name).name == "watcher"
    principal = accounts.authenticate(name, secret)
    assert principal == accounts.authenticate("watcher", secret)
    assert principal.queue_names == {"python"}
    assert principal.may_use("python ")


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\0b", "a\nb", "\ud800"])
def test_invalid_name_is_refused(name):
    """The name is refused before any statement, on every database."""
    with pytest.raises(InvalidField):
        accounts.create_grader(name)
    with pytest.raises(InvalidField):
        accounts.create_grader("watcher", [name])
    assert not Grader.objects.exists()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 129])
def test_invalid_name_is_refused_by_the_form(name):
    """The admin's form refuses the same names as the command and ``create_grader``."""
    with pytest.raises(ValidationError):
        Grader(name=name).full_clean()


def test_failed_login_is_stored_once_a_minute(django_assert_num_queries):
    accounts.create_grader("watcher")
    with django_assert_num_queries(2):
        grader_id = accounts.record_failed_login("watcher")
    with django_assert_num_queries(1):
        assert accounts.record_failed_login("watcher") == grader_id
    with django_assert_num_queries(1):
        assert accounts.record_failed_login("other") is None
    first = Grader.objects.get().last_failed_login_at
    with time_machine.travel(first + accounts.FAILURE_INTERVAL + timedelta(seconds=1)):
        accounts.record_failed_login("watcher")
    assert Grader.objects.get().last_failed_login_at > first


def test_failed_login_with_a_name_that_is_no_text_is_not_looked_up(django_assert_num_queries):
    """C44: not every database can compare half of a surrogate pair."""
    with django_assert_num_queries(0):
        assert accounts.record_failed_login("\ud800") is None


def test_sum_of_graders_was_last_seen_when_one_of_them_was():
    early, late = timezone.now(), timezone.now() + timedelta(seconds=1)
    graders = accounts.QueueGraders
    assert graders(1, late) + graders(2, early) == graders(3, late)
    assert graders(1) + graders(2, early) == graders(3, early)
    assert graders() + graders() == graders(0, None)


def test_user_account_is_not_accepted_as_a_grader_account():
    """C60: no user account is created for a grader, and none is authenticated."""
    get_user_model().objects.create_user("learner", password="learner's")
    accounts.create_grader("watcher")
    assert accounts.authenticate("learner", "learner's") is None
    assert get_user_model().objects.count() == 1


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=few(30)
)
@given(name=st.text(), secret=st.text())
def test_any_name_and_secret_are_refused_without_an_error(name, secret):
    assert accounts.authenticate(name, secret) is None


def test_half_of_a_surrogate_pair_is_not_authenticated():
    """C44: half of a surrogate pair, which JSON can contain, is neither a name nor a secret."""
    secret = accounts.create_grader("watcher")
    assert accounts.authenticate("\ud800", secret) is None
    assert accounts.authenticate("watcher", "\ud800") is None


def test_first_login_in_a_minute_takes_four_statements_and_the_next_one(
    django_assert_num_queries,
):
    secret = accounts.create_grader("watcher", ["python"])
    with django_assert_num_queries(4):
        accounts.authenticate("watcher", secret)
    with django_assert_num_queries(1):
        accounts.authenticate("watcher", secret)


def test_last_request_of_a_grader_is_stored_once_a_minute(settings):
    settings.XQUEUE_BRIDGE = {"GRADER_CACHE_SECONDS": 0}
    secret = accounts.create_grader("watcher", ["python"])
    start, seen = timezone.now(), []
    for seconds in (0, 59, 61):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            accounts.authenticate("watcher", secret)
        seen.append((Grader.objects.get().last_seen_at - start).total_seconds())
    assert seen == [0, 0, 61]


def test_only_active_graders_with_a_valid_secret_are_counted_for_a_queue(
    django_assert_num_queries,
):
    for name in ("usable", "inactive", "revoked"):
        accounts.create_grader(name, ["python", "java"] if name == "usable" else ["python"])
    Grader.objects.filter(name="inactive").update(is_active=False)
    Grader.objects.get(name="revoked").secrets.all().delete()
    accounts.create_grader("all", ["*"])
    with django_assert_num_queries(1):
        found = accounts.graders_by_queue()
    assert {name: graders.count for name, graders in found.items()} == {
        "python": 1,
        "java": 1,
        "*": 1,
    }


class TestSession:
    """A session is remembered by the process, then cached, then read from the database."""

    @pytest.fixture
    def secret_id(self) -> int:
        accounts.create_grader("watcher", ["python"])
        return GraderSecret.objects.get().pk

    @pytest.fixture
    def calls(self, monkeypatch) -> list[str]:
        """Return the methods of the cache that are called from now on."""
        found: list[str] = []
        call = accounts.BestEffortCache._call

        def note(self, method, *args):
            found.append(method)
            return call(self, method, *args)

        monkeypatch.setattr(accounts.BestEffortCache, "_call", note)
        return found

    def test_second_request_asks_neither_cache_nor_database(
        self, secret_id, calls, django_assert_num_queries
    ):
        with django_assert_num_queries(4):
            first = accounts.find_session(secret_id, "s1")
        with django_assert_num_queries(0):
            assert accounts.find_session(secret_id, "s1") is first
        assert calls == ["get_many", "set", "set"]

    def test_sessions_are_remembered_beside_one_another(self, secret_id, calls):
        sessions = ("s1", "s2", "s3")
        found = [accounts.find_session(secret_id, each) for each in sessions]
        calls.clear()
        assert [accounts.find_session(secret_id, each) for each in sessions] == found
        assert calls == []

    def test_cache_is_read_once_when_the_memory_ends(
        self, secret_id, calls, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(accounts, "MEMORY_SECONDS", 0)
        accounts.find_session(secret_id, "s1")
        calls.clear()
        with django_assert_num_queries(0):
            assert accounts.find_session(secret_id, "s1").queue_names == {"python"}
        assert calls == ["get_many"]

    def test_logout_ends_the_session_at_once_in_its_process(self, secret_id):
        """C102: other processes refuse it within MEMORY_SECONDS."""
        assert accounts.find_session(secret_id, "s1")
        assert accounts.find_session(secret_id, "s2")
        accounts.revoke_session("s1")
        assert accounts.find_session(secret_id, "s1") is None
        assert accounts.find_session(secret_id, "s2")

    def test_inactive_grader_is_refused_when_memory_and_cache_end(self, secret_id, settings):
        settings.XQUEUE_BRIDGE = {"GRADER_CACHE_SECONDS": 0}
        assert accounts.find_session(secret_id, "s1")
        Grader.objects.update(is_active=False)
        assert accounts.find_session(secret_id, "s1") is None

    def test_memory_is_bounded(self, secret_id, monkeypatch):
        monkeypatch.setattr(accounts, "MAX_MEMORY", 3)
        monkeypatch.setattr(accounts, "_memory", {})
        for number in range(10):
            assert accounts.find_session(secret_id, f"s{number}")
            assert len(accounts._memory) <= 3

    def test_row_of_a_logged_out_session_is_deleted_when_its_cookie_has_expired(self, settings):
        settings.XQUEUE_BRIDGE = {"SESSION_SECONDS": 100}
        for name, age in (("old", 101), ("young", 99)):
            accounts.revoke_session(name)
            revoked_at = timezone.now() - timedelta(seconds=age)
            RevokedSession.objects.filter(pk=name).update(revoked_at=revoked_at)
        assert accounts.clear_expired_sessions() == 1
        assert RevokedSession.objects.get().pk == "young"
