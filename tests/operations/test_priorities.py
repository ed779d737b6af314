"""Priorities in the admin: valid rows only, and a record of who set or removed them."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.submission_queue.factories import COURSE
from xqueue_bridge.models import OperatorAction, Priority

pytestmark = pytest.mark.django_db

ADD = "/admin/xqueue_bridge/priority/add/"


@pytest.fixture
def operator(client: Client) -> int:
    user = get_user_model().objects.create_superuser("operator")
    client.force_login(user)
    return user.pk


def recorded() -> list[tuple[object, ...]]:
    rows = OperatorAction.objects.order_by("pk")
    return list(rows.values_list("kind", "author_id", "queue_name", "parameters"))


def test_priority_that_is_set_and_removed_in_the_admin_is_recorded(client, operator):
    form = {"queue_name": "python", "course_key": str(COURSE), "level": "1"}
    assert client.post(ADD, form).status_code == 302
    row = Priority.objects.get()
    path = f"/admin/xqueue_bridge/priority/{row.pk}/"
    assert client.post(f"{path}change/", {**form, "level": "-2"}).status_code == 302
    assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 302
    assert not Priority.objects.exists()
    assert recorded() == [
        ("priority", operator, "python", {"course": str(COURSE), "level": level})
        for level in (1, -2, None)
    ]


@pytest.mark.parametrize(
    ("field", "value"), [("course_key", "x"), ("queue_name", "x" * 129), ("level", "3")]
)
def test_error_is_shown_at_the_field(client, operator, field, value):
    form = {"queue_name": "python", "course_key": str(COURSE), "level": "1", field: value}
    response = client.post(ADD, form)
    assert field in response.context["adminform"].form.errors
    assert not Priority.objects.exists()
    assert recorded() == []


@pytest.mark.parametrize("is_staff", [True, False])
def test_user_without_the_permission_sets_none(client, is_staff):
    client.force_login(get_user_model().objects.create_user("ada", is_staff=is_staff))
    form = {"queue_name": "python", "course_key": "", "level": "1"}
    assert client.post(ADD, form).status_code == (403 if is_staff else 302)
    assert not Priority.objects.exists()
