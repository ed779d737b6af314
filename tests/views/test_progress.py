"""The learner's page."""

from __future__ import annotations

import re
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.course_grades import courses, factories
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from xqueue_bridge.course_grades import api
from xqueue_bridge.views import common
from xqueue_bridge.views.grade_chart import TOP, grade_chart

OWN = f"/xqueue/grades/{COURSE_KEY}/progress/"

#: Three homeworks of which one is dropped, and an exam whose results nobody sees.
POLICY = courses.policy(
    {"type": "Homework", "short_label": "HW", "min_count": 3, "drop_count": 1, "weight": 0.5},
    {"type": "Exam", "short_label": "Ex", "min_count": 1, "drop_count": 0, "weight": 0.5},
    B=0.5,
    A=0.9,
)
LONG = courses.course(
    subsection("one", block("p1", 4)),
    subsection("two", block("p2", 4)),
    subsection("three", block("p3", 4)),
    subsection("exam", block("x1", 4), format="Exam", show_correctness="never"),
    grading=POLICY,
)


@pytest.fixture
def staff(db) -> User:
    return User.objects.create(username="teacher", is_staff=True)


@pytest.fixture
def long_course(db):
    return factories.publish(LONG)


@pytest.fixture
def learner(long_course) -> User:
    """Somebody with 4, 3 and 0 of 4, and a perfect exam."""
    user = factories.make_learner()
    for name, earned in (("p1", 4), ("p2", 3), ("p3", 0), ("x1", 4)):
        factories.score(user, key("problem", name), earned, 4)
    factories.settle(user)
    return user


def look(client, viewer: User, path: str = OWN) -> str:
    client.force_login(viewer)
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_address_is_what_the_name_says() -> None:
    assert reverse("xqueue_bridge:progress", args=[COURSE_KEY]) == OWN
    assert reverse("xqueue_bridge:progress", args=[COURSE_KEY, 7]) == f"{OWN}7/"


def test_learner_sees_assignments_and_what_is_dropped(client, learner) -> None:
    page = look(client, learner)
    assert page.count("no: dropped") == 1
    assert "Homework 2 - Two - 75% (3/4)" in page
    assert "Homework = 43.75% of a possible 50.00%" in page
    assert "3 of 4" in page
    assert "A from 90%, B from 50%" in page


def test_results_that_are_hidden_stay_hidden(client, learner, staff) -> None:
    """SG77: the learner's page leaves them out; staff sees the stored grade."""
    own = look(client, learner)
    assert "<strong>44%</strong>" in own
    assert "Results are not shown." in own
    assert "Exam = 0%" in own
    assert "Exam = 100%" not in own
    theirs = look(client, staff, f"{OWN}{learner.pk}/")
    assert "<strong>94%</strong>" in theirs
    assert "Exam = 100%" in theirs
    assert "hidden from the learner" in theirs


def test_results_that_count_stay_hidden_too(client, db, staff) -> None:
    """SG77: the course grade has them; no bar, average or row says what they are."""
    exam = subsection("exam", block("x1", 4), show_correctness="never_but_include_grade")
    factories.publish(courses.course(subsection("one", block("p1", 4)), exam))
    user = factories.make_learner()
    for name, earned in (("p1", 4), ("x1", 3)):
        factories.score(user, key("problem", name), earned, 4)
    factories.settle(user)
    own = look(client, user)
    assert "<strong>88%</strong>" in own
    assert "Results are not shown, but count in the course grade." in own
    assert "75%" not in own
    assert "3/4" not in own
    theirs = look(client, staff, f"{OWN}{user.pk}/")
    assert "Homework 2 - Exam - 75% (3/4)" in theirs


def test_where_nothing_is_hidden_the_stored_grade_is_shown(client, ada, staff) -> None:
    """SG75, SG77: of a course that is frozen, too, whatever was published of it since."""
    factories.score(ada, factories.P1, 2)
    factories.settle(ada)
    ended = timezone.now() - timedelta(days=400)
    factories.publish(
        courses.course(
            factories.HOMEWORK,
            grading=courses.policy({**courses.HOMEWORK, "min_count": 2}, Pass=0.2),
            end=ended,
            edited_on=timezone.now(),
        )
    )
    factories.score(ada, factories.P2, 2)
    factories.settle(ada)
    for viewer in (ada, staff):
        page = look(client, viewer, f"{OWN}{ada.pk}/")
        assert "<strong>50%</strong>" in page
        assert "Not passed yet." in page


def test_learner_who_looks_by_number_sees_no_more(client, learner) -> None:
    assert "<strong>44%</strong>" in look(client, learner, f"{OWN}{learner.pk}/")


def test_results_appear_when_it_is_due(client, db) -> None:
    late = subsection(
        "late", block("p1", 4), show_correctness="past_due", due=timezone.now() + timedelta(days=1)
    )
    factories.publish(courses.course(late))
    user = factories.make_learner()
    factories.score(user, key("problem", "p1"), 4, 4)
    factories.settle(user)
    assert "Results are not shown before it is due." in look(client, user)


def test_page_of_nobody_in_particular_is_zero(client, long_course, db) -> None:
    page = look(client, factories.make_learner("new"))
    assert "<strong>0%</strong>" in page
    assert "Not passed yet." in page


def test_others_pages_are_for_staff(client, learner) -> None:
    client.force_login(factories.make_learner("eve"))
    assert client.get(f"{OWN}{learner.pk}/").status_code == 403


def test_strangers_are_sent_to_login(client, long_course) -> None:
    response = client.get(OWN)
    assert response.status_code == 302
    assert "next=" in response.url


@pytest.mark.parametrize(
    "course_id", ["course-v1:No+Such+Course", "no:key+a+b", "a+b+" + "c" * 300]
)
def test_unknown_course_is_not_found(client, staff, course_id: str) -> None:
    client.force_login(staff)
    assert client.get(f"/xqueue/grades/{course_id}/progress/").status_code == 404


@pytest.mark.parametrize("user_id", ["999999", "9" * 18])
def test_unknown_learner_is_not_found(client, staff, long_course, user_id: str) -> None:
    client.force_login(staff)
    assert client.get(f"{OWN}{user_id}/").status_code == 404


def test_learners_with_large_numbers_have_pages(monkeypatch) -> None:
    """SG35: hosts can have users whose ids are above 2^31; the tests' own host cannot."""
    late = User(pk=2**40, username="late")
    found = Mock(first=lambda: late)
    users = Mock(filter=lambda pk: found if pk == late.pk else None)
    monkeypatch.setattr(common, "get_user_model", lambda: Mock(objects=users))
    assert common.learner_or_404(late.pk).username == "late"


def test_site_without_grades_has_no_page(client, staff, long_course, settings) -> None:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    client.force_login(staff)
    assert client.get(OWN).status_code == 404


def test_names_are_text(client, db) -> None:
    factories.publish(courses.course(subsection("p", block("p1"), display_name="<b>x</b>")))
    assert "<b>x</b>" not in look(client, factories.make_learner())


def test_it_asks_little_of_the_database(client, learner, django_assert_num_queries) -> None:
    client.force_login(learner)
    # Session, user, course, learner; grade, subsections, scores.
    with django_assert_num_queries(7):
        client.get(OWN)
    assert client.post(OWN).status_code == 405


def test_chart_says_in_words_what_it_draws(client, learner) -> None:
    page = look(client, learner)
    description = re.search(r"<desc[^>]*>(.*?)</desc>", page, re.DOTALL)
    assert description is not None
    assert "HW 01: 100%." in description[1]
    assert "HW 03: 0%, dropped." in description[1]
    assert "Course grade: 44%." in description[1]


# -- the chart alone


def test_kinds_of_bars_differ() -> None:
    grade = api.CourseGrade(1, COURSE_KEY, 0, None, False, 0)
    seen = grade.as_seen_by_learner(LONG, timezone.now())
    assert seen.summary is not None
    chart = grade_chart(seen.summary["section_breakdown"], 0.437, None, POLICY.cutoffs)
    kinds = [bar.kind for bar in chart.bars]
    assert kinds == ["counts", "counts", "dropped", "average", "counts", "total"]
    assert chart.height > chart.bars[-1].bar_y > TOP


def test_scale_has_an_end() -> None:
    chart = grade_chart([], 1.2, "A", (("A", 0.95), ("B", 0.5), ("C", 0.05)))
    (total,) = chart.bars
    assert (total.width, total.value, total.label) == ("100.00%", "120%", "Course grade: A")
    assert [line.anchor for line in chart.cutoffs] == ["end", "middle", "start"]
    assert chart.cutoffs[0].label_y != chart.cutoffs[1].label_y
