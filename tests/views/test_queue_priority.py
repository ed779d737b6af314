"""The page that sets the priority of a queue, or of a course in it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.submission_queue.factories import COURSE, make_grader, new_submission
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.priority_models import Priority

pytestmark = pytest.mark.django_db

URL = "/xqueue/queues/priority/"
PAGE = "/xqueue/queues/history/?queue=python"


def priorities() -> list[tuple[str, str, int]]:
    return list(Priority.objects.values_list("queue_name", "course_key", "level"))


def test_priority_of_a_queue_is_set_after_a_confirmation_and_is_on_record(client, operator):
    api.enqueue(new_submission("python"))
    assert f'href="{URL}?queue=python"' in client.get(PAGE).content.decode()
    assert 'method="get"' in client.get(URL, {"queue": "python"}).content.decode()
    form = {"queue": "python", "course": "", "level": "1"}
    page = client.get(URL, form).content.decode()
    assert 'method="post"' in page
    assert "They are due 60 minutes earlier." in page
    assert priorities() == []
    assert client.post(URL, form).url == PAGE
    assert priorities() == [("python", "", 1)]
    action = OperatorAction.objects.get()
    assert (action.kind, action.author_id, action.queue_name) == (
        "priority",
        operator.pk,
        "python",
    )
    assert action.parameters == {"course": "", "level": 1}


def test_priority_of_a_course_in_the_queue_is_set_listed_and_removed(client, operator):
    form = {"queue": "python", "course": str(COURSE), "level": "-2"}
    assert "due 120 minutes later" in client.get(URL, form).content.decode()
    client.post(URL, form)
    assert priorities() == [("python", str(COURSE), -2)]
    page = client.get(URL, {"queue": "python"}).content.decode()
    assert f"<bdi>{COURSE}</bdi>" in page
    assert "<td>lowest</td>" in page
    assert "lowest" not in client.get(URL, {"queue": "java"}).content.decode().split("</form>")[1]
    form["level"] = "none"
    assert "The priority is removed" in client.get(URL, form).content.decode()
    client.post(URL, form)
    assert priorities() == []
    levels = [each.parameters["level"] for each in OperatorAction.objects.order_by("pk")]
    assert levels == [-2, None]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"queue": "python", "level": "3"}, "level"),
        ({"queue": "python", "level": "1", "course": "x"}, "course"),
        ({"queue": "", "level": "1"}, "course"),
        ({"queue": "x" * 129, "level": "1"}, "queue"),
        ({"queue": "py\0thon", "level": "1"}, "queue"),
        ({"queue": "two\nlines", "level": "1"}, "queue"),
    ],
)
def test_error_is_shown_at_the_field_and_nothing_is_set(client, operator, given, field):
    response = client.post(URL, given)
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert 'role="alert"' in response.content.decode()
    assert priorities() == []
    assert not OperatorAction.objects.exists()


def test_users_without_the_right_set_nothing(client, db):
    """Anonymous, learner, staff without the permission, a grader."""
    api.enqueue(new_submission("python"))
    staff, learner = Client(), Client()
    staff.force_login(User.objects.create(username="staff", is_staff=True))
    learner.force_login(User.objects.create(username="learner"))
    for visitor in (Client(), learner, staff, make_grader().http):
        for send in (visitor.get, visitor.post):
            response = send(URL, {"queue": "python", "level": "1"})
            assert response.status_code in (302, 403)
            assert b"python" not in response.content
    assert URL not in staff.get(PAGE).content.decode()
    assert priorities() == []


def test_request_without_a_csrf_token_is_refused(operator):
    visitor = Client(enforce_csrf_checks=True)
    visitor.force_login(operator)
    assert visitor.post(URL, {"queue": "python", "level": "1"}).status_code == 403


def test_statements(client, operator, django_assert_num_queries):
    # Session, user and its two kinds of permission; the priorities.
    with django_assert_num_queries(5):
        client.get(URL, {"queue": "python", "level": "1"})
    # Besides: look-up and INSERT of the priority, the record; three savepoints, begin and end.
    with django_assert_num_queries(4 + 3 + 6):
        client.post(URL, {"queue": "python", "level": "1"})
