"""Revoking a grader's access: at once, with notice, and what it may still do."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from tests.submission_queue.factories import GraderClient, make_grader, new_submission
from xqueue_bridge.operations.api import OperatorAction, revoke_grader
from xqueue_bridge.submission_queue import accounts
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderSecret
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_memory(settings):
    """Sessions are looked up for each request, so that a change is seen at once."""
    settings.XQUEUE_BRIDGE = {"GRADER_CACHE_SECONDS": 0}
    accounts._memory.clear()


def one_in_grading(grader: GraderClient) -> str:
    for key in ("1", "2"):
        submission_queue.enqueue(new_submission(queue_key=key))
    return grader.pull().header


def test_with_notice_a_grader_returns_what_it_holds_and_gets_nothing_more() -> None:
    grader = make_grader()
    header = one_in_grading(grader)
    action = revoke_grader(Grader.objects.get(), notice=timedelta(minutes=10), author_id=3)
    answer = grader.ask("get_submission", queue_name="python")
    assert answer["content"] == "Queue 'python' is empty"
    assert grader.put(header)["return_code"] == 0
    assert (action.kind, action.author_id) == ("revoke", 3)
    assert action.parameters == {"grader": "watcher", "notice_minutes": 10, "leases_ended": 0}
    GraderSecret.objects.update(expires_at=timezone.now())
    assert grader.login()["return_code"] == 1


def test_without_notice_its_submissions_are_offered_to_other_graders_at_once() -> None:
    grader, other = make_grader(), make_grader(name="other")
    header = one_in_grading(grader)
    action = revoke_grader(Grader.objects.get(name="watcher"))
    assert action.parameters["leases_ended"] == 1
    assert grader.login()["return_code"] == 1
    response = grader.http.post("/xqueue/put_result/", {"xqueue_header": header})
    assert response.status_code == 302, "it has to log in"
    assert [other.pull() is not None for _ in range(3)] == [True, True, False]
    assert Submission.objects.filter(grader__name="other").count() == 2


def test_new_secret_lets_a_revoked_grader_pull_again() -> None:
    make_grader()
    row = Grader.objects.get()
    revoke_grader(row)
    grader = GraderClient(accounts.issue_secret(row))
    assert grader.login()["return_code"] == 0
    submission_queue.enqueue(new_submission())
    assert grader.pull()


def test_revoked_grader_does_not_count_as_a_grader_of_its_queue() -> None:
    make_grader()
    assert submission_queue.graders_of("python") == 1
    revoke_grader(Grader.objects.get(), notice=timedelta(hours=1))
    assert submission_queue.graders_of("python") == 0


def test_command_revokes_with_notice_and_records_it() -> None:
    make_grader()
    out = StringIO()
    call_command(
        "xqueue_bridge_grader", "revoke", "watcher", "--notice-minutes", "5", "--json", stdout=out
    )
    assert json.loads(out.getvalue()) == {
        "grader": "watcher",
        "notice_minutes": 5,
        "leases_ended": 0,
    }
    assert OperatorAction.objects.get().author_id is None


def test_rotated_secret_is_on_record_and_the_record_does_not_contain_it(client) -> None:
    make_grader()
    out = StringIO()
    call_command("xqueue_bridge_grader", "rotate", "watcher", "--overlap-hours", "2", stdout=out)
    root = get_user_model().objects.create_superuser("root")
    client.force_login(root)
    form = {"action": "rotate_secret", "_selected_action": [Grader.objects.get().pk]}
    page = client.post("/admin/xqueue_bridge/grader/", form, follow=True).content.decode()
    assert "New secret of watcher" in page
    rows = OperatorAction.objects.order_by("pk").values_list("kind", "author_id", "parameters")
    assert list(rows) == [
        ("rotate", None, {"grader": "watcher", "overlap_hours": 2.0}),
        ("rotate", root.pk, {"grader": "watcher", "overlap_hours": 24.0}),
    ]
    assert GraderClient(out.getvalue().strip()).login()["return_code"] == 0


def test_revoked_grader_pulls_nothing_although_its_account_is_cached(settings) -> None:
    """The cached account is deleted with the commit; only the process's memory ends later."""
    settings.XQUEUE_BRIDGE = {}
    grader = make_grader()
    one_in_grading(grader)
    revoke_grader(Grader.objects.get(), notice=timedelta(minutes=10))
    accounts._memory.clear()
    assert grader.pull() is None


def test_notice_does_not_prolong_a_secret_that_expires_earlier() -> None:
    make_grader()
    grader, soon = Grader.objects.get(), timezone.now() + timedelta(minutes=1)
    GraderSecret.objects.update(expires_at=soon)
    accounts.issue_secret(grader, overlap=timedelta(minutes=1))
    former = GraderSecret.objects.earliest("pk").expires_at
    revoke_grader(grader, notice=timedelta(minutes=10))
    first, second = GraderSecret.objects.order_by("pk").values_list("expires_at", flat=True)
    assert first == former
    assert timedelta(minutes=9) < second - timezone.now() <= timedelta(minutes=10)


def test_secret_that_has_expired_is_not_valid_again_by_a_new_one_or_a_notice() -> None:
    make_grader()
    grader, past = Grader.objects.get(), timezone.now() - timedelta(minutes=1)
    GraderSecret.objects.update(expires_at=past)
    accounts.issue_secret(grader, overlap=timedelta(hours=1))
    revoke_grader(grader, notice=timedelta(minutes=10))
    assert GraderSecret.objects.earliest("pk").expires_at == past


def test_access_of_other_graders_stays() -> None:
    make_grader()
    other = make_grader(name="other")
    submission_queue.enqueue(new_submission())
    revoke_grader(Grader.objects.get(name="watcher"))
    assert other.login()["return_code"] == 0
    assert other.pull()
