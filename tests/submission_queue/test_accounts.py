"""Secrets and grants of the machines that grade."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from xqueue_bridge.submission_queue import accounts
from xqueue_bridge.submission_queue.models import Grader, GraderSecret

pytestmark = pytest.mark.django_db


def test_it_works():
    secret = accounts.create_grader("watcher", ["python", "java"])
    principal = accounts.authenticate("watcher", secret)
    assert principal.queue_names == {"python", "java"}
    assert principal.may_use("java")
    assert not principal.may_use("rust")


def test_a_star_is_every_queue():
    principal = accounts.authenticate("w", accounts.create_grader("w", ["*"]))
    assert principal.may_use("anything")


@pytest.mark.parametrize(("name", "secret"), [("other", None), ("watcher", "wrong"), ("", "")])
def test_name_and_secret_must_both_fit(name, secret):
    real = accounts.create_grader("watcher")
    assert accounts.authenticate(name, real if secret is None else secret) is None


def test_secrets_are_stored_as_keyed_hashes(settings):
    """C86: what the database holds is of no use to its readers."""
    secret = accounts.create_grader("watcher")
    assert secret not in str(GraderSecret.objects.values().get())
    settings.SECRET_KEY = "another site's key"
    assert accounts.authenticate("watcher", secret) is None
    settings.SECRET_KEY_FALLBACKS = ["only for tests"]
    assert accounts.authenticate("watcher", secret)


def test_two_secrets_live_at_once_for_rotation():
    old = accounts.create_grader("watcher")
    grader = Grader.objects.get()
    new = accounts.issue_secret(grader, overlap=timedelta(hours=1))
    assert accounts.authenticate("watcher", old)
    assert accounts.authenticate("watcher", new)
    newest = accounts.issue_secret(grader, overlap=timedelta(hours=1))
    assert accounts.authenticate("watcher", old) is None
    assert accounts.authenticate("watcher", new)
    assert accounts.authenticate("watcher", newest)


def test_without_overlap_the_former_secret_ends_now():
    old = accounts.create_grader("watcher")
    accounts.issue_secret(Grader.objects.get())
    assert accounts.authenticate("watcher", old) is None


def test_an_inactive_grader_cannot_log_in():
    secret = accounts.create_grader("watcher")
    Grader.objects.update(is_active=False)
    assert accounts.authenticate("watcher", secret) is None


def test_names_are_unique():
    accounts.create_grader("watcher")
    with pytest.raises(IntegrityError):
        accounts.create_grader("watcher")


def test_no_lms_account_is_made_or_accepted():
    """C60: machine credentials and people's are two things."""
    get_user_model().objects.create_user("learner", password="learner's")
    accounts.create_grader("watcher")
    assert accounts.authenticate("learner", "learner's") is None
    assert get_user_model().objects.count() == 1


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(name=st.text(), secret=st.text())
def test_any_text_is_an_answerable_login(name, secret):
    assert accounts.authenticate(name, secret) is None


def test_what_is_no_text_is_no_login():
    """C44: half of a surrogate pair, which JSON can hold, is neither a name nor a secret."""
    secret = accounts.create_grader("watcher")
    assert accounts.authenticate("\ud800", secret) is None
    assert accounts.authenticate("watcher", "\ud800") is None


def test_a_login_costs_three_statements_and_then_one(django_assert_num_queries):
    secret = accounts.create_grader("watcher", ["python"])
    with django_assert_num_queries(3):
        accounts.authenticate("watcher", secret)
    with django_assert_num_queries(1):
        accounts.authenticate("watcher", secret)
