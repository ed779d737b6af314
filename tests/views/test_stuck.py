"""The course team's page of stuck answers."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from tests.regrading.factories import state_of
from tests.stuck_answers.factories import lost, no_reply
from tests.submission_queue.factories import COURSE
from xqueue_bridge.learner_state import waiting
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.submission_queue.models import Submission

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

PAGE = f"/xqueue/courses/{COURSE}/stuck/"
CSV = f"/xqueue/courses/{COURSE}/stuck.csv"


def age() -> list[int]:
    """Make all states two hours old; return the ids of their rows."""
    StudentModule.objects.update(modified=timezone.now() - timedelta(hours=2))
    return list(StudentModule.objects.order_by("pk").values_list("pk", flat=True))


def text_of(response) -> str:
    return (b"".join(response) if response.streaming else response.content).decode()


def test_stuck_answers_are_shown_with_their_kind_and_repair(team):
    lost("ada")
    no_reply("bob")
    age()
    page = text_of(team.get(PAGE))
    for text in ("ada", "Its submission is not stored", "The learner is told", "bob"):
        assert text in page
    assert "Its submission ended" in page
    assert "It is offered to graders again." in page


def test_chosen_answers_are_repaired_and_the_rest_is_left(team):
    ada, bob = lost("ada"), lost("bob")
    first, _second = age()
    page = text_of(team.post(PAGE, {"row": [first]}))
    assert "The learner was told" in page
    assert "bob" not in page
    assert state_of(ada)["queuestate"] is None
    assert state_of(bob)["queuestate"]
    assert "None of the chosen" in text_of(team.post(PAGE, {"row": [first, "x", "9" * 30]}))
    assert "None of the chosen" in text_of(team.post(PAGE))


def test_page_without_stuck_answers_says_so(team):
    assert "No answer is stuck." in text_of(team.get(PAGE))
    lost("ada")  # its state is new
    assert "No answer is stuck." in text_of(team.get(PAGE))


def test_search_goes_on_where_it_ended(team, monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 2)
    monkeypatch.setattr(
        "xqueue_bridge.stuck_answers.find.time.monotonic", iter(range(0, 900, 9)).__next__
    )
    for n in range(3):
        lost(f"learner {n}")
    age()
    seen, query = [], "?"
    while query:
        response = team.get(PAGE + query)
        seen += [learner.username for _answer, learner in response.context["rows"]]
        query = response.context["search_on"]
    assert seen == ["learner 0", "learner 1", "learner 2"]


def test_csv_has_every_stuck_answer(team, monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 2)
    users = [lost(f"=learner {n}") for n in range(3)]
    age()
    head, *lines = csv.reader(io.StringIO(text_of(team.get(CSV)).removeprefix("\ufeff")))
    rows = [dict(zip(head, each, strict=True)) for each in lines]
    assert [each["user_id"] for each in rows] == [str(pk) for pk in users]
    assert rows[0]["username"] == "'=learner 0"
    assert (rows[0]["kind"], rows[0]["repair"], rows[0]["submission"]) == ("lost", "ended", "")


def test_backend_that_cannot_read_the_state_is_named(team, settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REPLY_BACKEND": "callback"}
    assert "REPLY_BACKEND" in text_of(team.get(PAGE))
    assert "REPLY_BACKEND" in text_of(team.post(PAGE, {"row": [1]}))
    assert text_of(team.get(CSV)).count("\n") == 1


@pytest.mark.parametrize("number", [1, 20])
def test_page_takes_nine_statements_for_any_number(team, number, django_assert_num_queries):
    """Session, user, group; ids, states, submissions, replies, transport; names."""
    for n in range(number):
        lost(f"lost {n}")
        no_reply(f"no reply {n}")
    age()
    with django_assert_num_queries(9):
        team.get(PAGE)


# -- access


def test_wrong_users_are_refused_and_nothing_is_repaired(client, tea):
    ada = lost("ada")
    (row,) = age()
    other = User.objects.create(username="other")
    other.groups.add(Group.objects.create(name="course-staff:course-v1:DemoX+CS102+2026"))
    gone = User.objects.create(username="gone", is_staff=True, is_active=False)
    for user in (other, gone, User.objects.get(username="ada")):
        client.force_login(user)
        for response in (client.get(PAGE), client.get(CSV), client.post(PAGE, {"row": [row]})):
            assert response.status_code in (302, 403)
            assert b"ada" not in response.content
    client.logout()
    for response in (client.get(PAGE), client.get(CSV), client.post(PAGE, {"row": [row]})):
        assert (response.status_code, response.content) == (302, b"")
    assert state_of(ada)["queuestate"]


def test_row_of_another_course_is_not_repaired(client, tea):
    ada = lost("ada")
    (row,) = age()
    tea.groups.add(Group.objects.create(name="course-staff:course-v1:DemoX+CS102+2026"))
    client.force_login(tea)
    other = "/xqueue/courses/course-v1:DemoX+CS102+2026/stuck/"
    assert "None of the chosen" in text_of(client.post(other, {"row": [row]}))
    assert state_of(ada)["queuestate"]
    assert not Submission.objects.exists()


def test_repair_needs_a_csrf_token(tea):
    ada = lost("ada")
    (row,) = age()
    http = Client(enforce_csrf_checks=True)
    http.force_login(tea)
    assert http.post(PAGE, {"row": [row]}).status_code == 403
    assert state_of(ada)["queuestate"]


def test_repair_is_recorded_with_who_did_it(team, tea):
    lost("ada")
    rows = age()
    team.post(PAGE, {"row": rows})
    action = OperatorAction.objects.get()
    assert (action.kind, action.author_id, action.parameters) == (
        "repair",
        tea.pk,
        {"course": str(COURSE)},
    )
    assert (action.selected, action.changed) == (1, 1)


def test_filter_stays_when_the_search_goes_on(team, monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 1)
    monkeypatch.setattr(
        "xqueue_bridge.stuck_answers.find.time.monotonic", iter(range(0, 900, 9)).__next__
    )
    for name in ("ada", "bob"):
        lost(name)
    age()
    first = team.get(PAGE, {"learner": "BO"})
    assert "None was found in this part of the course." in text_of(first)
    second = team.get(PAGE + first.context["search_on"])
    assert [learner.username for _answer, learner in second.context["rows"]] == ["bob"]
    assert "Search from the beginning" in text_of(second)
