"""The page that confirms actions on queues: what it says and does, and who may use it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.submission_queue.factories import COURSE, make_grader, new_submission
from xqueue_bridge.lms.course_staff import group_name
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db

URL = "/xqueue/queues/act/"
PAGE = "/xqueue/queues/history/"


def enqueue(count: int, name: str = "python") -> None:
    for number in range(count):
        api.enqueue(new_submission(name, user_id=number + 1, queue_key=str(number)))


def test_queue_is_paused_and_resumed_on_its_page_and_both_are_recorded(client, operator) -> None:
    enqueue(1)
    page = client.get(PAGE, {"queue": "python"}).content.decode()
    assert "Pause the queue" in page
    assert "Resume the queue" not in page
    for action in ("pause", "resume"):
        confirmation = client.get(URL, {"action": action, "queue": "python"}).content.decode()
        assert 'method="post"' in confirmation
        response = client.post(URL, {"action": action, "queue": "python"}, follow=True)
        assert response.redirect_chain == [(f"{PAGE}?queue=python", 302)]
    shown = response.content.decode()
    assert shown.count("<bdi>operator</bdi>") == 2
    assert [each.kind for each in OperatorAction.objects.order_by("pk")] == ["pause", "resume"]
    assert queue.pull("python", None)


def test_confirmation_says_how_many_of_whom_and_a_get_changes_nothing(client, operator) -> None:
    enqueue(3, "pyton")
    make_grader("python")
    question = {"action": "move", "queue": "pyton", "to": "python"}
    page = client.get(URL, question).content.decode()
    for text in ("3 submissions", "of 3 learners", str(COURSE), "1 grader may use the other"):
        assert text in page
    assert set(Submission.objects.values_list("queue_name", flat=True)) == {"pyton"}
    client.post(URL, question)
    assert set(Submission.objects.values_list("queue_name", flat=True)) == {"python"}


def test_end_leaves_submissions_that_came_after_the_preview(client, operator) -> None:
    enqueue(2)
    last_id = client.get(URL, {"action": "end", "queue": "python"}).context["preview"].last_id
    enqueue(1)
    client.post(URL, {"action": "end", "queue": "python", "last_id": last_id})
    assert sorted(Submission.objects.values_list("status", flat=True)) == [
        "failed",
        "failed",
        "waiting",
    ]


def test_page_of_a_queue_whose_submissions_were_all_moved_away_says_so(client, operator) -> None:
    """The name was mistyped: nothing but the action is left of the queue."""
    enqueue(2)
    response = client.post(URL, {"action": "move", "queue": "python", "to": "java"})
    page = client.get(response.url)
    assert page.status_code == 200
    assert "<bdi>java</bdi>" in page.content.decode()
    assert client.get(PAGE, {"queue": "unknown"}).status_code == 404


def test_move_first_asks_for_the_other_queue(client, operator) -> None:
    enqueue(1)
    page = client.get(URL, {"action": "move", "queue": "python"}).content.decode()
    assert 'method="get"' in page
    assert 'name="to"' in page


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"action": "unknown", "queue": "python"}, "Unknown action"),
        ({"action": "end", "queue": ""}, "<p>queue: "),
        ({"action": "move", "queue": "python", "to": "python"}, "same queue"),
        ({"action": "end", "submissions": "1,x"}, "submissions"),
        ({"action": "end", "queue": "x" * 129}, "128"),
        ({"action": "end", "queue": "py\0thon"}, "queue"),
    ],
)
def test_invalid_request_is_answered_with_its_error(client, operator, given, text) -> None:
    for send in (client.get, client.post):
        response = send(URL, given)
        assert response.status_code == 422
        assert text in response.content.decode()
    assert not OperatorAction.objects.exists()


def test_users_without_the_right_see_nothing_and_do_nothing(client, db, settings) -> None:
    """Anonymous, learner, course staff, staff without the permission, a grader: nothing is done."""
    enqueue(1)
    grader = make_grader()
    staff = User.objects.create(username="staff", is_staff=True)
    team = User.objects.create(username="team")
    team.groups.add(Group.objects.create(name=group_name(COURSE)))
    inactive = User.objects.create(username="gone", is_staff=True, is_superuser=True)
    User.objects.filter(pk=inactive.pk).update(is_active=False)
    for user in (None, User.objects.create(username="learner"), team, staff, inactive):
        visitor = Client()
        if user is not None:
            visitor.force_login(user)
        _refused(visitor)
    _refused(grader.http)
    client.force_login(staff)
    assert URL not in client.get(PAGE, {"queue": "python"}).content.decode()
    assert Submission.objects.get().status == "waiting"
    assert not OperatorAction.objects.exists()


def _refused(visitor: Client) -> None:
    for action in ("pause", "end", "move", "requeue", "retry"):
        given = {"action": action, "queue": "python", "to": "java"}
        for send in (visitor.get, visitor.post):
            response = send(URL, given)
            assert response.status_code in (302, 403)
            assert b"python" not in response.content
            if response.status_code == 302:
                assert "login" in response.url


def test_request_without_a_csrf_token_is_refused(operator) -> None:
    enqueue(1)
    visitor = Client(enforce_csrf_checks=True)
    visitor.force_login(operator)
    assert visitor.post(URL, {"action": "end", "queue": "python"}).status_code == 403
    assert Submission.objects.get().status == "waiting"


def test_name_with_markup_is_escaped(client, operator) -> None:
    enqueue(1, "<b>bold</b>")
    for url, more in ((URL, {"action": "end"}), (PAGE, {})):
        page = client.get(url, {"queue": "<b>bold</b>", **more}).content.decode()
        assert "<b>bold" not in page


def test_statements_of_the_pages(client, operator, django_assert_num_queries) -> None:
    enqueue(1)
    # Session, user and its two kinds of permission; rows and the newest.
    with django_assert_num_queries(6):
        client.get(URL, {"action": "end", "queue": "python"})


def test_admin_leads_to_the_page_with_the_selected_submissions(client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    enqueue(3)
    first, second, _third = Submission.objects.order_by("pk").values_list("pk", flat=True)
    form = {"action": "end", "_selected_action": [first, second]}
    response = client.post("/admin/xqueue_bridge/submission/", form)
    assert response.url == f"{URL}?action=end&submissions={second},{first}"
    page = client.get(response.url).content.decode()
    assert "2 submissions" in page
    client.post(URL, {"action": "end", "submissions": f"{first},{second}"})
    assert [row.status for row in Submission.objects.order_by("pk")] == [
        "failed",
        "failed",
        "waiting",
    ]


def test_requeue_in_the_admin_is_recorded(client) -> None:
    root = User.objects.create_superuser("root")
    client.force_login(root)
    enqueue(1)
    pk = Submission.objects.get().pk
    client.post("/admin/xqueue_bridge/submission/", {"action": "retry", "_selected_action": [pk]})
    action = OperatorAction.objects.get()
    assert (action.kind, action.author_id) == ("requeue", root.pk)
    assert action.parameters == {"submissions": [pk]}
    assert (action.selected, action.changed) == (0, 0), "it has not failed"
    assert client.get(f"/admin/xqueue_bridge/operatoraction/{action.pk}/change/").status_code == 200
