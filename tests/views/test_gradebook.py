"""The course team's pages: the gradebook, its CSV file, and the form for overrides."""

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
from xqueue_bridge.views import tables
from xqueue_bridge.views.formatting import format_percent, format_points
from xqueue_bridge.views.gradebook_csv import safe

ROOT = f"/xqueue/grades/{COURSE_KEY}"
GRADEBOOK, CSV = f"{ROOT}/gradebook/", f"{ROOT}/gradebook.csv"
HOMEWORK = key("sequential", "homework")


@pytest.fixture
def staff(db) -> User:
    return User.objects.create(
        username="teacher", is_staff=True, first_name="Tea", last_name="Cher"
    )


@pytest.fixture
def teacher(client, staff, course) -> Client:
    """Return a client that is logged in as staff."""
    client.force_login(staff)
    return client


@pytest.fixture
def three_learners(course) -> list[User]:
    """Ada has half of the points, Bob all, Cyd none."""
    users = [factories.make_learner(name) for name in ("ada", "bob", "cyd")]
    for user, earned in zip(users, (2, 4, 0), strict=True):
        factories.score(user, P1, min(earned, 2))
        factories.score(user, factories.P2, max(earned - 2, 0))
        factories.recalculate_pending(user)
    return users


def names(response) -> list[str]:
    return [row.learner.username for row in response.context["rows"]]


def override_path(user: User) -> str:
    return f"{ROOT}/override/{user.pk}/{HOMEWORK}/"


@pytest.mark.parametrize("path", [GRADEBOOK, CSV, f"{ROOT}/override/1/{HOMEWORK}/"])
def test_pages_refuse_users_who_are_not_active_staff(client, ada, path: str, settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get(path).status_code == 302
    client.force_login(ada)
    assert client.get(path).status_code == 403
    assert client.post(path).status_code == 403
    client.force_login(User.objects.create(username="gone", is_staff=True, is_active=False))
    assert client.get(path).status_code == 403


def test_page_shows_each_learners_points_in_graded_subsections(teacher, three_learners) -> None:
    response = teacher.get(GRADEBOOK)
    page = response.content.decode()
    assert names(response) == ["ada", "bob", "cyd"]
    assert "Exercise" not in page, "which is not graded"
    assert "Homework, bob: 4 of 4. Override" in page
    assert "Homework, cyd: 0 of 4. Override" in page
    assert "100%" in page


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({"sort": "total", "order": "desc"}, ["bob", "ada", "cyd"]),
        ({"sort": "total"}, ["bob", "ada", "cyd"]),
        ({"sort": "total", "order": "asc"}, ["cyd", "ada", "bob"]),
        ({"sort": "1", "order": "desc"}, ["bob", "ada", "cyd"]),
        ({"sort": "name", "order": "desc"}, ["cyd", "bob", "ada"]),
        ({"sort": "99"}, ["ada", "bob", "cyd"]),
        ({"search": "BO"}, ["bob"]),
        ({"after": "none"}, ["ada", "bob", "cyd"]),
        ({"passed": "yes"}, ["bob"]),
        ({"passed": "no", "sort": "total", "order": "asc"}, ["cyd", "ada"]),
    ],
)
def test_learners_are_sorted_and_searched(teacher, three_learners, query, order: list[str]) -> None:
    assert names(teacher.get(GRADEBOOK, query)) == order


def test_header_gives_the_sort_order_and_links_to_the_reverse(teacher, three_learners) -> None:
    page = teacher.get(GRADEBOOK, {"sort": "total", "order": "desc"}).content.decode()
    assert page.count("aria-sort") == 1
    assert 'aria-sort="descending"><a href="?sort=total&amp;order=asc"' in page
    assert 'href="?sort=1&amp;order=desc"' in page


def test_learners_above_the_page_size_are_on_the_next_page(
    teacher, three_learners, monkeypatch
) -> None:
    monkeypatch.setattr(tables, "PAGE_SIZE", 2)
    first, second = teacher.get(GRADEBOOK), teacher.get(GRADEBOOK, {"after": 2})
    assert (names(first), names(second)) == (["ada", "bob"], ["cyd"])
    assert "3 learners" in first.content.decode()
    assert 'rel="next" href="?sort=name&amp;order=asc&amp;after=2"' in first.content.decode()
    assert 'rel="first"' in second.content.decode()


def test_course_without_scores_and_search_without_match_show_a_message(teacher, ada) -> None:
    assert "No learner has a score" in teacher.get(GRADEBOOK).content.decode()
    page = teacher.get(GRADEBOOK, {"search": "<i>"}).content.decode()
    assert "No learner matches." in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page


def test_learner_with_a_deleted_account_is_listed_by_id(teacher, three_learners) -> None:
    ada = three_learners[0].pk
    User.objects.filter(pk=ada).delete()
    page = teacher.get(GRADEBOOK).content.decode()
    assert f"user {ada}<small>account deleted" in page


@pytest.mark.parametrize("how_many", [1, 20])
def test_statements_are_the_same_for_1_and_20_learners(
    teacher, django_assert_num_queries, how_many: int
) -> None:
    for number in range(how_many):
        user = factories.make_learner(f"n{number}")
        factories.score(user)
        factories.recalculate_pending(user)
    # Session, user, course; who has scores, who has grades; names; grades (2).
    with django_assert_num_queries(8):
        teacher.get(GRADEBOOK)


@pytest.mark.parametrize(("sort", "statements"), [("name", 8), ("total", 9), ("1", 10)])
def test_sorting_reads_only_the_column_that_it_sorts_by(
    teacher, three_learners, django_assert_num_queries, sort: str, statements: int
) -> None:
    """Of all learners the total or one column is read; all columns only of those on the page."""
    with django_assert_num_queries(statements) as queries:
        teacher.get(GRADEBOOK, {"sort": sort})
    details = [each["sql"] for each in queries if "subsectiongrade" in each["sql"]]
    assert [str(HOMEWORK) in each for each in details] == (
        [True, False] if sort == "1" else [False]
    )


# -- CSV


def rows(response) -> list[list[str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_a_line_for_each_learner(teacher, three_learners) -> None:
    response = teacher.get(CSV)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="grades_course-v1_')
    head, *body = rows(response)
    assert head[3:] == ["percent", "letter", "passed", "Homework: points", "Homework: possible"]
    assert [row[1:] for row in body] == [
        ["ada", "", "0.50", "", "no", "2", "4"],
        ["bob", "", "1.00", "Pass", "yes", "4", "4"],
        ["cyd", "", "0.00", "", "no", "0", "4"],
    ]


def test_csv_cells_that_begin_like_formulas_are_quoted(teacher) -> None:
    factories.publish(courses.course(subsection("homework", block("p1", 2), display_name="=1+1")))
    user = User.objects.create(username="@mal", first_name='=HYPERLINK("http://x")', last_name="y")
    factories.score(user)
    head, line = rows(teacher.get(CSV))
    assert head[6] == "'=1+1: points"
    assert line[1:3] == ["'@mal", """'=HYPERLINK("http://x") y"""]


@pytest.mark.parametrize("text", ["=a", "+a", "-a", "@a", "\ta", "\ra", "  =a", "\uff1da"])
def test_cell_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "0.5", "Ada"])
def test_cell_without_formula_is_unchanged(text: str) -> None:
    assert safe(text) == text


# -- overrides


def test_override_is_stored_with_reason_and_author(teacher, ada, staff) -> None:
    factories.score(ada)
    factories.recalculate_pending(ada)
    form = {"action": "set", "set-earned": "4", "set-reason": "He was ill."}
    response = teacher.post(override_path(ada), form, follow=True)
    assert response.redirect_chain == [(override_path(ada), 302)]
    page = response.content.decode()
    assert "He was ill." in page
    assert "Tea Cher" in page
    assert "<dd><bdi>2 of 4</bdi></dd>" in page, "the computed grade is still shown"
    (entry,) = api.override_history(ada.pk, COURSE_KEY)
    assert (entry.override.author_id, entry.override.earned_graded) == (staff.pk, 4)
    assert factories.percent(ada) == 1
    assert "overridden" in teacher.get(GRADEBOOK).content.decode()


def test_override_is_removed_only_with_a_reason(teacher, ada) -> None:
    factories.score(ada)
    factories.recalculate_pending(ada)
    teacher.post(override_path(ada), {"action": "set", "set-earned": "4", "set-reason": "Ill."})
    refused = teacher.post(override_path(ada), {"action": "remove", "remove-reason": " "})
    assert refused.status_code == 422
    assert factories.percent(ada) == 1
    teacher.post(override_path(ada), {"action": "remove", "remove-reason": "Was not."})
    assert factories.percent(ada) == 0.5
    page = teacher.get(override_path(ada)).content.decode()
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
def test_invalid_form_changes_nothing(teacher, ada, form) -> None:
    response = teacher.post(override_path(ada), {"action": "set", **form})
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()
    assert not list(api.override_history(ada.pk, COURSE_KEY))


def test_post_without_csrf_token_is_refused(staff, ada) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert (
        client.post(override_path(ada), {"set-earned": "1", "set-reason": "r"}).status_code == 403
    )


@pytest.mark.parametrize("name", ["exercise", "nowhere"])
def test_override_of_an_ungraded_subsection_is_not_found(teacher, ada, name: str) -> None:
    path = f"{ROOT}/override/{ada.pk}/{key('sequential', name)}/"
    assert teacher.get(path).status_code == 404


# -- numbers


def test_points_have_two_decimals_and_percents_one_at_most() -> None:
    assert [format_points(n) for n in (0, 3, 2.5, 2 / 3, 100, 1234567)] == [
        *("0", "3", "2.5", "0.67", "100", "1234567")
    ]
    assert [format_percent(n) for n in (0, 0.5, 0.595, 1, 1.2)] == ["0", "50", "59.5", "100", "120"]


def test_csv_has_the_learners_that_are_searched_for(teacher, three_learners) -> None:
    assert [row[1] for row in rows(teacher.get(CSV, {"search": "o"}))[1:]] == ["bob"]
    assert [row[1] for row in rows(teacher.get(CSV, {"passed": "no"}))[1:]] == ["ada", "cyd"]
    assert teacher.get(CSV, {"passed": "x"}).status_code == 422
