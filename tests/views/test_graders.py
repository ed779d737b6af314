"""The page of graders and background work, and the revoking of a grader on it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.grader_replies.models import ReplyCodeCount
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.grader_models import Grader

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/xqueue/queues/graders/"


def revoke_url() -> str:
    return f"{URL}{Grader.objects.get().pk}/revoke/"


@pytest.fixture
def root(client) -> User:
    user = User.objects.create_superuser("root")
    client.force_login(user)
    return user


def test_page_shows_graders_and_leads_to_the_codes_of_their_replies(client, root) -> None:
    make_grader("python")
    ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="score_missing", count=42)
    page = client.get(URL).content.decode()
    assert '<th scope="row"><bdi>watcher</bdi></th>' in page
    assert f'href="{URL}codes/?grader=watcher"' in page
    assert ">42</a>" in page
    codes = client.get(f"{URL}codes/", {"grader": "watch"}).content.decode()
    assert "<code>score_missing</code>" in codes
    assert "<td>42</td>" in codes
    assert "No reply matches." in client.get(f"{URL}codes/", {"code": "x"}).content.decode()


def test_grader_is_revoked_with_notice_after_a_confirmation(client, root) -> None:
    grader = make_grader("python")
    api.enqueue(new_submission())
    assert grader.pull()
    page = client.get(revoke_url()).content.decode()
    assert "It holds 1 submission." in page
    assert Grader.objects.get().may_pull
    assert client.post(revoke_url(), {"notice_minutes": "-1"}).status_code == 422
    assert client.post(revoke_url(), {"notice_minutes": "10"}).url == URL
    assert not Grader.objects.get().may_pull
    action = OperatorAction.objects.get()
    assert (action.kind, action.author_id) == ("revoke", root.pk)
    assert action.parameters["leases_ended"] == 0
    assert "pulls no more" in client.get(URL).content.decode()


def test_page_without_graders(client, root) -> None:
    assert "There is no grader." in client.get(URL).content.decode()
    assert client.get(f"{URL}999/revoke/").status_code == 404


def test_staff_see_the_page_and_only_operators_revoke(client, db) -> None:
    grader = make_grader("python")
    client.force_login(User.objects.create(username="staff", is_staff=True))
    assert "revoke/" not in client.get(URL).content.decode()
    assert client.post(revoke_url(), {"notice_minutes": "0"}).status_code == 403
    learner = Client()
    learner.force_login(User.objects.create(username="learner"))
    for visitor in (learner, grader.http, Client()):
        for response in (visitor.get(URL), visitor.post(revoke_url())):
            assert response.status_code in (302, 403)
            assert b"watcher" not in response.content
    assert Grader.objects.get().may_pull
