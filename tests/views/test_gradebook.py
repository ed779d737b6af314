"""The course team's pages: the gradebook, its file, and grades set by hand."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.course_grades import courses, factories
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from tests.course_grades.factories import P1
from xqueue_bridge.course_grades import api
from xqueue_bridge.views import gradebook as gradebook_views
from xqueue_bridge.views.common import percents, points
from xqueue_bridge.views.gradebook_csv import safe

ROOT = f"/xqueue/grades/{COURSE_KEY}"
BOOK, CSV = f"{ROOT}/gradebook/", f"{ROOT}/gradebook.csv"
HOMEWORK = key("sequential", "homework")


@pytest.fixture
def staff(db) -> User:
    return User.objects.create(
        username="teacher", is_staff=True, first_name="Tea", last_name="Cher"
    )


@pytest.fixture
def desk(client, staff, course) -> Client:
    """The browser of the course team."""
    client.force_login(staff)
    return client


@pytest.fixture
def class_of_three(course) -> list[User]:
    """Ada has half of the points, Bob all, Cyd none."""
    users = [factories.make_learner(name) for name in ("ada", "bob", "cyd")]
    for user, earned in zip(users, (2, 4, 0), strict=True):
        factories.score(user, P1, min(earned, 2))
        factories.score(user, factories.P2, max(earned - 2, 0))
        factories.settle(user)
    return users


def names(response) -> list[str]:
    return [line.learner.username for line, _ in response.context["lines"]]


def place(user: User) -> str:
    return f"{ROOT}/override/{user.pk}/{HOMEWORK}/"


@pytest.mark.parametrize("path", [BOOK, CSV, f"{ROOT}/override/1/{HOMEWORK}/"])
def test_pages_are_for_staff(client, ada, path: str, settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get(path).status_code == 302
    client.force_login(ada)
    assert client.get(path).status_code == 403
    assert client.post(path).status_code == 403
    client.force_login(User.objects.create(username="gone", is_staff=True, is_active=False))
    assert client.get(path).status_code == 403


def test_it_shows_learners_by_subsections(desk, class_of_three) -> None:
    response = desk.get(BOOK)
    page = response.content.decode()
    assert names(response) == ["ada", "bob", "cyd"]
    assert "Exercise" not in page, "which is not graded"
    assert "Homework, bob: 4 of 4. Change" in page
    assert "Homework, cyd: 0 of 4. Change" in page
    assert "100%" in page


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({"sort": "total", "order": "down"}, ["bob", "ada", "cyd"]),
        ({"sort": "total"}, ["cyd", "ada", "bob"]),
        ({"sort": "1", "order": "down"}, ["bob", "ada", "cyd"]),
        ({"sort": "name", "order": "down"}, ["cyd", "bob", "ada"]),
        ({"sort": "99"}, ["ada", "bob", "cyd"]),
        ({"find": "BO"}, ["bob"]),
        ({"page": "none"}, ["ada", "bob", "cyd"]),
    ],
)
def test_it_is_sorted_and_searched(desk, class_of_three, query, order: list[str]) -> None:
    assert names(desk.get(BOOK, query)) == order


def test_head_says_how_it_is_sorted_and_turns_it_round(desk, class_of_three) -> None:
    page = desk.get(BOOK, {"sort": "total", "order": "down"}).content.decode()
    assert page.count("aria-sort") == 1
    assert 'aria-sort="descending"><a href="?sort=total&amp;order=up"' in page
    assert 'href="?sort=1&amp;order=down"' in page


def test_it_has_pages(desk, class_of_three, monkeypatch) -> None:
    monkeypatch.setattr(gradebook_views, "PAGE_SIZE", 2)
    first, second = desk.get(BOOK), desk.get(BOOK, {"page": 2})
    assert (names(first), names(second)) == (["ada", "bob"], ["cyd"])
    assert "1 to 2 of 3 learners" in first.content.decode()
    assert 'rel="next" href="?sort=name&amp;order=up&amp;page=2"' in first.content.decode()
    assert 'rel="prev"' in second.content.decode()


def test_empty_course_and_empty_search_say_so(desk, ada) -> None:
    assert "No learner has a score" in desk.get(BOOK).content.decode()
    page = desk.get(BOOK, {"find": "<i>"}).content.decode()
    assert "contains “&lt;i&gt;”" in page


def test_learner_whose_account_is_gone_is_still_there(desk, class_of_three) -> None:
    ada = class_of_three[0].pk
    User.objects.filter(pk=ada).delete()
    page = desk.get(BOOK).content.decode()
    assert f"user {ada}<small>account is gone" in page


@pytest.mark.parametrize("how_many", [1, 20])
def test_statements_do_not_grow_with_learners(
    desk, django_assert_num_queries, how_many: int
) -> None:
    for number in range(how_many):
        user = factories.make_learner(f"n{number}")
        factories.score(user)
        factories.settle(user)
    # Session, user, course; who has scores (2 pages), who has grades (2); names; grades (2).
    with django_assert_num_queries(10):
        desk.get(BOOK)


@pytest.mark.parametrize(("sort", "statements"), [("name", 10), ("total", 11), ("1", 12)])
def test_sorting_reads_no_more_than_it_sorts_by(
    desk, class_of_three, django_assert_num_queries, sort: str, statements: int
) -> None:
    """Of all learners the total, or one column; everything only of those on the page."""
    with django_assert_num_queries(statements) as said:
        desk.get(BOOK, {"sort": sort})
    details = [each["sql"] for each in said if "subsectiongrade" in each["sql"]]
    assert [str(HOMEWORK) in each for each in details] == (
        [True, False] if sort == "1" else [False]
    )


# -- the file


def rows(response) -> list[list[str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_file_has_every_learner(desk, class_of_three) -> None:
    response = desk.get(CSV)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="grades_course-v1_')
    head, *body = rows(response)
    assert head[3:] == ["percent", "letter", "passed", "Homework: points", "Homework: possible"]
    assert [row[1:] for row in body] == [
        ["ada", "", "0.50", "", "no", "2", "4"],
        ["bob", "", "1.00", "Pass", "yes", "4", "4"],
        ["cyd", "", "0.00", "", "no", "0", "4"],
    ]


def test_file_holds_no_formulas(desk) -> None:
    factories.publish(courses.course(subsection("homework", block("p1", 2), display_name="=1+1")))
    user = User.objects.create(username="@mal", first_name='=HYPERLINK("http://x")', last_name="y")
    factories.score(user)
    head, line = rows(desk.get(CSV))
    assert head[6] == "'=1+1: points"
    assert line[1:3] == ["'@mal", """'=HYPERLINK("http://x") y"""]


@pytest.mark.parametrize("text", ["=a", "+a", "-a", "@a", "\ta", "\ra", "  =a", "\uff1da"])
def test_formula_becomes_text(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "0.5", "Ada"])
def test_other_text_stays(text: str) -> None:
    assert safe(text) == text


# -- grades set by hand


def test_grade_is_set_with_reason_and_author(desk, ada, staff) -> None:
    factories.score(ada)
    factories.settle(ada)
    form = {"action": "set", "set-earned": "4", "set-reason": "He was ill."}
    response = desk.post(place(ada), form, follow=True)
    assert response.redirect_chain == [(place(ada), 302)]
    page = response.content.decode()
    assert "He was ill." in page
    assert "Tea Cher" in page
    assert "<dd>2 of 4</dd>" in page, "what was computed is still shown"
    (entry,) = api.override_history(ada.pk, COURSE_KEY)
    assert (entry.override.author_id, entry.override.earned_graded) == (staff.pk, 4)
    assert factories.percent(ada) == 1
    assert "by hand" in desk.get(BOOK).content.decode()


def test_grade_set_by_hand_is_removed_with_a_reason(desk, ada) -> None:
    factories.score(ada)
    factories.settle(ada)
    desk.post(place(ada), {"action": "set", "set-earned": "4", "set-reason": "Ill."})
    refused = desk.post(place(ada), {"action": "remove", "remove-reason": " "})
    assert refused.status_code == 422
    assert factories.percent(ada) == 1
    desk.post(place(ada), {"action": "remove", "remove-reason": "Was not."})
    assert factories.percent(ada) == 0.5
    page = desk.get(place(ada)).content.decode()
    assert "removed" in page
    assert "set to 4" in page


@pytest.mark.parametrize(
    "form",
    [
        {"set-earned": "4"},
        {"set-earned": "-1", "set-reason": "r"},
        {"set-earned": "nan", "set-reason": "r"},
        {"set-earned": "1e9", "set-reason": "r"},
        {"set-earned": "1", "set-possible": "inf", "set-reason": "r"},
        {"set-earned": "1", "set-possible": "1e-300", "set-reason": "r"},
        {"set-earned": "0", "set-possible": "5e-324", "set-reason": "r"},
        {"set-earned": "1", "set-reason": "r" * 301},
        {"set-earned": "1", "set-reason": "a\x00b"},
    ],
)
def test_form_that_is_wrong_changes_nothing(desk, ada, form) -> None:
    response = desk.post(place(ada), {"action": "set", **form})
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()
    assert not list(api.override_history(ada.pk, COURSE_KEY))


def test_form_is_safe_from_other_sites(staff, ada) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(place(ada), {"set-earned": "1", "set-reason": "r"}).status_code == 403


@pytest.mark.parametrize("name", ["exercise", "nowhere"])
def test_only_graded_subsections_can_be_set(desk, ada, name: str) -> None:
    path = f"{ROOT}/override/{ada.pk}/{key('sequential', name)}/"
    assert desk.get(path).status_code == 404


# -- numbers


def test_numbers_are_short() -> None:
    assert [points(n) for n in (0, 3, 2.5, 2 / 3, 100, 1234567)] == [
        *("0", "3", "2.5", "0.67", "100", "1234567")
    ]
    assert [percents(n) for n in (0, 0.5, 0.595, 1, 1.2)] == ["0", "50", "59.5", "100", "120"]
