"""The admin: what staff can see and change, and what it hides."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from tests.submission_queue.factories import GraderClient, make_grader, new_submission
from xqueue_bridge.admin.base import ReadOnlyAdmin
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.crawlers import CrawlersConfig
from xqueue_bridge.learner_state.models import RetiredLearner
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderSecret
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model._meta.app_label == "xqueue_bridge"]
READ_ONLY = [each for each in admin.site._registry.values() if isinstance(each, ReadOnlyAdmin)]


def permission(codename: str) -> Permission:
    """Return a permission of our own; edx-submissions has a model Submission, too."""
    return Permission.objects.get(codename=codename, content_type__app_label="xqueue_bridge")


@pytest.fixture(autouse=True)
def _empty_principal_cache():
    cache.clear()


def page(model: str, what: str = "changelist", *args: int) -> str:
    return reverse(f"admin:xqueue_bridge_{model}_{what}", args=args)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_change_list_of_each_model_responds_200(admin_client, model):
    grader = make_grader()
    queue.enqueue(new_submission())
    grader.put(grader.pull().header)
    assert admin_client.get(page(model._meta.model_name)).status_code == 200


@pytest.mark.parametrize("ours", READ_ONLY, ids=str)
def test_change_page_shows_each_column_of_the_list(ours):
    """The list shows few columns; the change page shows all of these and more."""
    shown = {re.sub("_(id|number)$", "", name) for name in ours.list_display}
    assert shown <= {name.removesuffix("_id") for name in ours.fields}


def test_pages_show_no_key_answer_or_feedback(admin_client):
    """C130: pages of the admin contain no key, no learner's answer and no feedback."""
    grader = make_grader()
    queue.enqueue(new_submission(queue_key="the-queue-key", body='"the answer"'))
    pulled = grader.pull()
    grader.put(pulled.header, '{"correct": true, "score": 1, "msg": "the feedback"}')
    submission, reply = Submission.objects.get(), ReceivedReply.objects.get()
    for url in (
        page("submission"),
        page("submission", "change", submission.pk),
        page("receivedreply"),
        page("receivedreply", "change", reply.pk),
        page("grader", "change", Grader.objects.get().pk),
    ):
        response = admin_client.get(url)
        assert response.status_code == 200
        for secret in (
            "the-queue-key",
            "the answer",
            "the feedback",
            pulled.pullkey,
            submission.pullkey_digest,
            grader.secret,
        ):
            assert secret not in response.text


def test_new_secret_is_shown_once(admin_client):
    make_grader()
    form = {"action": "rotate_secret", "_selected_action": Grader.objects.get().pk}
    response = admin_client.post(page("grader"), form, follow=True)
    secret = re.search(r"shown only now: (\S+?)<", response.text)[1]
    assert GraderClient(secret).login()["return_code"] == 0
    assert secret not in admin_client.get(page("grader")).text


@pytest.mark.parametrize("right", ["view", "change"])
def test_new_secret_requires_the_change_permission(client, right):
    """C130: staff with only the view permission cannot create a grader's secret."""
    make_grader()
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(permission(f"{right}_grader"))
    client.force_login(staff)
    form = {"action": "rotate_secret", "_selected_action": Grader.objects.get().pk}
    response = client.post(page("grader"), form, follow=True)
    assert ("shown only now" in response.text) is (right == "change")
    assert GraderSecret.objects.count() == (2 if right == "change" else 1)


def test_requeue_sets_a_failed_submission_to_waiting(admin_client):
    """C127: the admin action puts a failed submission back into its queue."""
    queue.enqueue(new_submission())
    Submission.objects.update(status=Status.FAILED, available_at=None, due_at=None)
    form = {"action": "retry", "_selected_action": Submission.objects.get().pk}
    admin_client.post(page("submission"), form)
    assert Submission.objects.get().status == Status.WAITING


def test_requeue_of_a_waiting_submission_says_why_nothing_changed(admin_client):
    queue.enqueue(new_submission())
    form = {"action": "retry", "_selected_action": Submission.objects.get().pk}
    page_after = admin_client.post(page("submission"), form, follow=True).text
    assert "0 submissions requeued. Only failed submissions can be requeued" in page_after


def test_requeue_requires_the_change_permission(client):
    """C130: staff with only the view permission cannot requeue a submission."""
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(permission("view_submission"))
    client.force_login(staff)
    queue.enqueue(new_submission())
    Submission.objects.update(status=Status.FAILED, available_at=None, due_at=None)
    form = {"action": "retry", "_selected_action": Submission.objects.get().pk}
    client.post(page("submission"), form)
    assert Submission.objects.get().status == Status.FAILED


@pytest.mark.parametrize("right", ["view", "change"])
def test_retry_sets_a_dead_reply_to_pending(client, right, monkeypatch):
    """C127, C130: staff with the change permission can retry a dead reply; others cannot."""
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(permission(f"{right}_receivedreply"))
    client.force_login(staff)
    grader = make_grader()
    queue.enqueue(new_submission())
    grader.put(grader.pull().header)
    ReceivedReply.objects.update(status="dead", attempts=8, next_attempt_at=None)
    form = {"action": "retry", "_selected_action": ReceivedReply.objects.get().pk}
    client.post(page("receivedreply"), form)
    reply = ReceivedReply.objects.get()
    assert (reply.status, reply.attempts) == (("pending", 0) if right == "change" else ("dead", 8))
    assert (reply.next_attempt_at is not None) is (right == "change")


def test_crawlers_config_can_be_added_once(admin_client):
    """If the row exists, the admin only allows changing it."""
    assert admin_client.get(page("crawlersconfig")).status_code == 200
    form = {"enabled": "on", "known_user_agents": "wget, curl"}
    assert admin_client.post(page("crawlersconfig", "add"), form).status_code == 302
    assert CrawlersConfig.objects.get().agents == ("wget", "curl")
    assert admin_client.get(page("crawlersconfig", "add")).status_code == 403
    form["known_user_agents"] = ""
    assert admin_client.post(page("crawlersconfig", "change", 1), form).status_code == 302
    assert CrawlersConfig.objects.get().agents == ()


def test_tombstone_can_be_deleted_but_not_added(admin_client):
    """C125: retired learners are listed; deleting a tombstone lets replies in again."""
    RetiredLearner.objects.create(user_id=7, mode="scrub", started_at=timezone.now())
    assert "scrub" in admin_client.get(page("retiredlearner")).text
    assert admin_client.get(page("retiredlearner", "add")).status_code == 403
    admin_client.post(page("retiredlearner", "delete", 7), {"post": "yes"})
    assert not RetiredLearner.objects.exists()


def test_ledger_list_shows_and_filters_outcomes(admin_client):
    """SG39: staff see the outcome of each reply in the ledger, and can filter by it."""
    target = new_submission().target
    for outcome in learner_state.Outcome:
        entry = learner_state.ScoreLedger(
            idempotency_key=f"r:{outcome}",
            user_id=7,
            course_key=target.course_key,
            usage_key=target.usage_key,
            outcome=outcome,
        )
        learner_state.record_outcomes([entry])
    listed = admin_client.get(page("scoreledger")).text
    assert all(f"r:{outcome}" in listed for outcome in learner_state.Outcome)
    entry = admin_client.get(page("scoreledger"), {"outcome": "stale"}).text
    assert "r:stale" in entry
    assert "r:applied" not in entry


def test_retry_makes_a_failed_recalculation_due(admin_client):
    """SG74: a failed recalculation is listed with its error, and the admin action retries it."""
    course_key = new_submission().target.course_key
    course_grades.request_recalculation(7, course_key)
    GradeRecalculation.objects.update(
        next_attempt_at=None, last_error="Version 2 of the score is not seen."
    )
    assert "Version 2" in admin_client.get(page("graderecalculation")).text
    form = {"action": "retry", "_selected_action": GradeRecalculation.objects.get().pk}
    admin_client.post(page("graderecalculation"), form)
    assert GradeRecalculation.objects.get().next_attempt_at is not None
