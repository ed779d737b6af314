"""Each change that a person makes is on record: who, what, with what. In the admin, too."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import graded, submit
from tests.stuck_answers.factories import lost
from tests.submission_queue.factories import COURSE, make_grader
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.models import CrawlersConfig, Grader, OperatorAction, TransportOverride
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations import course_team
from xqueue_bridge.operations.transports import set_transport
from xqueue_bridge.regrading.models import Regrade
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.operator_actions import details_of
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = "/admin/xqueue_bridge"


@pytest.fixture
def root(client: Client) -> int:
    user = get_user_model().objects.create_superuser("root")
    client.force_login(user)
    return user.pk


def recorded() -> list[tuple[str, int | None, str]]:
    rows = OperatorAction.objects.order_by("pk")
    return [(row.kind, row.author_id, details_of(row)) for row in rows]


def grader_form(**changes: str) -> dict[str, str]:
    """Return the admin's form of a grader without grants."""
    form = {"name": "watcher", "is_active": "on", "may_pull": "on", "note": ""}
    for prefix in ("grants", "code_counts"):
        form |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    return {**form, **changes}


def grant(number: int, queue_name: str, **more: str) -> dict[str, str]:
    values = {"queue_name": queue_name, **more}
    return {f"grants-{number}-{name}": value for name, value in values.items()}


# -- grader accounts


def test_commands_that_create_grant_and_deny_are_recorded():
    Grader.objects.create(name="another")
    out = StringIO()
    for arguments in (
        ("create", "watcher", "--queue", "python"),
        ("grant", "watcher", "--queue", "java", "--queue", "python"),
        ("grant", "watcher", "--queue", "java"),
        ("deny", "watcher", "--queue", "python", "--queue", "none"),
    ):
        call_command("xqueue_bridge_grader", *arguments, stdout=out)
    assert recorded() == [
        ("create", None, "watcher: python"),
        ("grant", None, "watcher: java"),
        ("deny", None, "watcher: python"),
    ], "a grant that was there before is no change"
    secret = out.getvalue().split()[0]
    assert not any(secret in str(row.parameters) for row in OperatorAction.objects.all())
    with pytest.raises(CommandError):
        call_command("xqueue_bridge_grader", "create", "watcher")
    assert OperatorAction.objects.count() == 3


def test_admin_records_a_new_account_its_grants_its_flags_and_its_deletion(client, root):
    added = grader_form(**{"grants-TOTAL_FORMS": "1"}, **grant(0, "python"))
    assert client.post(f"{ADMIN}/grader/add/", added).status_code == 302
    row = Grader.objects.get()
    old = row.grants.get()
    same = {"id": str(old.pk), "grader": str(row.pk)}
    counts = {"grants-TOTAL_FORMS": "2", "grants-INITIAL_FORMS": "1"}
    changed = grader_form(**counts, **grant(0, "python", **same, DELETE="on"), **grant(1, "java"))
    del changed["is_active"]
    assert client.post(f"{ADMIN}/grader/{row.pk}/change/", changed).status_code == 302
    assert client.post(f"{ADMIN}/grader/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Grader.objects.exists()
    assert recorded() == [
        ("create", root, "watcher: python"),
        ("account", root, "watcher: is_active=False"),
        ("grant", root, "watcher: java"),
        ("deny", root, "watcher: python"),
        ("delete", root, "watcher"),
    ]


def test_accounts_deleted_together_are_recorded_one_by_one(client, root):
    for name in ("one", "two"):
        make_grader(name=name)
    ids = list(Grader.objects.values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    assert client.post(f"{ADMIN}/grader/", form).status_code == 302
    assert {row[::2] for row in recorded()} == {("delete", "one"), ("delete", "two")}


def test_form_with_an_error_records_nothing(client, root):
    assert client.post(f"{ADMIN}/grader/add/", grader_form(name="")).status_code == 200
    assert recorded() == []


# -- transports


def test_transport_chosen_in_the_admin_is_recorded_and_its_course_cannot_be_exchanged(client, root):
    form = {"scope": "course", "name": str(COURSE), "use_submissions_table": "on"}
    assert client.post(f"{ADMIN}/transportoverride/add/", form).status_code == 302
    row = TransportOverride.objects.get()
    path = f"{ADMIN}/transportoverride/{row.pk}"
    assert client.post(f"{path}/change/", {"scope": "site", "name": ""}).status_code == 302
    row.refresh_from_db()
    assert (row.scope, row.name, row.use_submissions_table) == ("course", str(COURSE), False)
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 302
    assert recorded() == [
        ("transport", root, f"{COURSE}: {choice}")
        for choice in ("submissions table", "legacy XQueue", "none of its own")
    ]


def test_transport_chosen_from_code_is_recorded(settings):
    settings.XQUEUE_INTERFACE = {"url": "http://xqueue.example.com"}
    set_transport("course", str(COURSE), True, author_id=3)
    assert use_edx_submissions_for_xqueue(COURSE)
    set_transport("course", str(COURSE), None)
    assert not use_edx_submissions_for_xqueue(COURSE)
    assert [row[:2] for row in recorded()] == [("transport", 3), ("transport", None)]


@pytest.mark.parametrize("model", ["grader", "transportoverride"])
def test_user_without_the_permission_changes_and_records_nothing(client, model):
    make_grader()
    client.force_login(get_user_model().objects.create_user("staff", is_staff=True))
    form = {"scope": "site", "name": "", **grader_form(name="new")}
    assert client.post(f"{ADMIN}/{model}/add/", form).status_code == 403
    assert not TransportOverride.objects.exists()
    assert (Grader.objects.count(), recorded()) == (1, [])


# -- other tables of the admin


def test_crawlers_and_a_deleted_tombstone_are_recorded_without_the_learner(client, root):
    form = {"enabled": "on", "known_user_agents": "wget"}
    assert client.post(f"{ADMIN}/crawlersconfig/add/", form).status_code == 302
    assert CrawlersConfig.objects.exists()
    RetiredLearner.objects.create(user_id=7, mode="scrub", started_at=timezone.now())
    assert client.post(f"{ADMIN}/retiredlearner/7/delete/", {"post": "yes"}).status_code == 302
    assert recorded() == [("other", root, "crawlersconfig"), ("other", root, "retiredlearner")]


# -- course staff


def test_regrade_is_recorded_from_its_start_to_its_end():
    graded("ada")
    call_command(
        "xqueue_bridge_regrade", "start", "--course", str(COURSE), "--queue", "python",
        stdout=StringIO(),
    )  # fmt: skip
    job = Regrade.objects.get()
    for change, is_changed in (("pause", True), ("pause", False), ("resume", True)):
        assert operations.change_regrade(job, change, author_id=3) is is_changed
    call_command("xqueue_bridge_regrade", "cancel", str(job.pk), stdout=StringIO())
    assert recorded() == [
        ("regrade", None, f"{COURSE}: {job.pk} started"),
        ("regrade", 3, f"{COURSE}: {job.pk} paused"),
        ("regrade", 3, f"{COURSE}: {job.pk} resumed"),
        ("regrade", None, f"{COURSE}: {job.pk} cancelled"),
    ]
    assert set(OperatorAction.objects.values_list("queue_name", flat=True)) == {"python"}


def test_change_of_a_regrade_without_its_record_is_rolled_back(monkeypatch):
    graded("ada")
    selection = course_team.regrading.Selection(COURSE, queue_name="python")
    options = course_team.regrading.RegradeOptions()

    def fail(*args, **kwargs):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(course_team, "record", fail)
        with pytest.raises(RuntimeError):
            operations.start_regrade(selection, options)
    assert not Regrade.objects.exists()
    job = operations.start_regrade(selection, options)
    monkeypatch.setattr(course_team, "record", fail)
    with pytest.raises(RuntimeError):
        operations.change_regrade(job, "cancel")
    job.refresh_from_db()
    assert job.status == "running"


def test_repair_of_stuck_answers_is_recorded_with_its_number():
    lost("ada")
    lost("bob")
    StudentModule.objects.update(modified=timezone.now() - timedelta(hours=2))
    call_command("xqueue_bridge_stuck_answers", stdout=StringIO())
    assert recorded() == [], "nothing was repaired"
    arguments = ("--course", str(COURSE), "--repair")
    call_command("xqueue_bridge_stuck_answers", *arguments, stdout=StringIO())
    action = OperatorAction.objects.get()
    assert (action.kind, details_of(action)) == ("repair", str(COURSE))
    assert (action.selected, action.changed) == (2, 2)


# -- removal of rows


def test_pruning_is_recorded_with_the_number_of_rows():
    pk = submit(make_learner())
    old = timezone.now() - timedelta(days=100)
    finished = {"status": "superseded", "available_at": None, "due_at": None, "finished_at": old}
    Submission.objects.filter(pk=pk).update(**finished)
    arguments = ["--keep-days", "30", "--no-progress"]
    call_command("xqueue_bridge_prune_submissions", *arguments, "--dry-run", stdout=StringIO())
    call_command("xqueue_bridge_prune_history", *arguments, "--dry-run", stdout=StringIO())
    assert recorded() == []
    call_command("xqueue_bridge_prune_submissions", *arguments, stdout=StringIO())
    call_command("xqueue_bridge_prune_history", *arguments, stdout=StringIO())
    assert [row[::2] for row in recorded()] == [
        ("prune", "submission"),
        ("prune", "studentmodulehistory"),
    ]
    first = OperatorAction.objects.earliest("pk")
    assert (first.changed, first.parameters["archive"]) == (1, False)
    assert old < datetime.fromisoformat(first.parameters["before"]) < timezone.now()


# -- the page


def test_page_of_records_is_filtered_by_who_and_what(client, root):
    set_transport("site", "", True, author_id=root)
    make_grader()
    operations.change_grants(Grader.objects.get(), granted=["java"])
    page = "/xqueue/queues/actions/"

    def kinds(**query: str) -> list[str]:
        return [row.kind for row, _name, _how in client.get(page, query).context["rows"]]

    assert kinds() == ["grant", "transport"]
    assert kinds(who="root") == ["transport"]
    assert kinds(who="unknown") == []
    assert kinds(action="grant") == ["grant"]
    assert kinds(sort="who", order="desc") == ["transport", "grant"]
    text = client.get(page).content.decode()
    assert "site: submissions table" in text
    assert "watcher: java" in text
