"""The progress page, as the learner and as staff see it, and its chart."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.course_grades import courses, factories
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from xqueue_bridge import models
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_structure.validation import EARLIEST, LATEST
from xqueue_bridge.data import Dispatch, NewSubmission, Target
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.views import learners
from xqueue_bridge.views.grade_chart import TOP, grade_chart

OWN = f"/xqueue/grades/{COURSE_KEY}/progress/"

#: Three homeworks of which one is dropped, and an exam whose results are never shown.
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
    """Create a learner with 4, 3 and 0 of 4 points in the homeworks, and 4 of 4 in the exam."""
    user = factories.make_learner()
    for name, earned in (("p1", 4), ("p2", 3), ("p3", 0), ("x1", 4)):
        factories.score(user, key("problem", name), earned, 4)
    factories.recalculate_pending(user)
    return user


def read_page(client, viewer: User, path: str = OWN) -> str:
    client.force_login(viewer)
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_url_names_resolve_to_paths_of_the_course() -> None:
    assert reverse("xqueue_bridge:progress", args=[COURSE_KEY]) == OWN
    assert reverse("xqueue_bridge:progress", args=[COURSE_KEY, 7]) == f"{OWN}7/"


def test_page_shows_assignments_and_the_dropped_one(client, learner) -> None:
    page = read_page(client, learner)
    assert page.count("no: dropped") == 1
    assert "Homework 2 - Two - 75% (3/4)" in page
    assert "Homework = 43.75% of a possible 50.00%" in page
    assert "3 of 4" in page
    assert "A from 90%, B from 50%" in page


def test_hidden_results_are_on_the_page_of_staff_only(client, learner, staff) -> None:
    """SG77: the learner's page leaves them out; staff sees the stored grade."""
    own = read_page(client, learner)
    assert "<strong>44%</strong>" in own
    assert "Results are not shown." in own
    assert "Exam = 0%" in own
    assert "Exam = 100%" not in own
    theirs = read_page(client, staff, f"{OWN}{learner.pk}/")
    assert "<strong>94%</strong>" in theirs
    assert "Exam = 100%" in theirs
    assert "hidden from the learner" in theirs


def test_hidden_results_that_count_are_in_the_course_grade_only(client, db, staff) -> None:
    """SG77: the course grade has them; no bar, average or row says what they are."""
    exam = subsection("exam", block("x1", 4), show_correctness="never_but_include_grade")
    factories.publish(courses.course(subsection("one", block("p1", 4)), exam))
    user = factories.make_learner()
    for name, earned in (("p1", 4), ("x1", 3)):
        factories.score(user, key("problem", name), earned, 4)
    factories.recalculate_pending(user)
    own = read_page(client, user)
    assert "<strong>88%</strong>" in own
    assert "Results are not shown, but count in the course grade." in own
    assert "75%" not in own
    assert "3/4" not in own
    theirs = read_page(client, staff, f"{OWN}{user.pk}/")
    assert "Homework 2 - Exam - 75% (3/4)" in theirs


def test_stored_grade_of_a_frozen_course_is_shown_unchanged(client, ada, staff) -> None:
    """SG75, SG77: a structure that is published after the freeze changes no grade."""
    factories.score(ada, factories.P1, 2)
    factories.recalculate_pending(ada)
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
    factories.recalculate_pending(ada)
    for viewer in (ada, staff):
        page = read_page(client, viewer, f"{OWN}{ada.pk}/")
        assert "<strong>50%</strong>" in page
        assert "Not passed yet." in page


def test_learners_own_page_by_id_hides_the_same_results(client, learner) -> None:
    assert "<strong>44%</strong>" in read_page(client, learner, f"{OWN}{learner.pk}/")


def test_results_are_hidden_before_the_due_date(client, db) -> None:
    late = subsection(
        "late", block("p1", 4), show_correctness="past_due", due=timezone.now() + timedelta(days=1)
    )
    factories.publish(courses.course(late))
    user = factories.make_learner()
    factories.score(user, key("problem", "p1"), 4, 4)
    factories.recalculate_pending(user)
    assert "Results are not shown before the due date." in read_page(client, user)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Pacific/Honolulu"])
@pytest.mark.parametrize("due", [EARLIEST, LATEST])
def test_each_due_date_is_shown_in_each_time_zone(client, db, due, zone) -> None:
    factories.publish(courses.course(subsection("homework", block("p1", 4), due=due)))
    with timezone.override(zone):
        assert ", due " in read_page(client, factories.make_learner())


def test_answers_without_a_grade_are_listed_with_their_position(client, learner, staff) -> None:
    """Kind 18: nothing moves, and why; what a new answer would do."""
    for key_ in ("before", "mine"):
        user_id = learner.pk if key_ == "mine" else staff.pk
        target = Target(user_id, COURSE_KEY, key("problem", "p2"), Dispatch.SCORE_UPDATE)
        new = NewSubmission(target=target, queue_name="q", queue_key=key_, header="{}", body="{}")
        submission_queue.enqueue(new)
    for viewer, path in ((learner, OWN), (staff, f"{OWN}{learner.pk}/")):
        page = read_page(client, viewer, path)
        listed = page[page.index("Answers without a grade") :]
        assert '<th scope="row">Two</th>' in listed
        assert "Number 2 in the queue." in listed
        assert "No grader is running now." in listed
        assert "goes to the end of the queue" in listed
    submission_queue.pause_queue("q")
    page = read_page(client, learner)
    assert "Grading is paused by staff." in page
    assert "No grader is running" not in page
    submission_queue.resume_queue("q")
    submission_queue.create_grader("watcher", ["q"])
    models.Grader.objects.update(last_seen_at=timezone.now())
    assert "No grader is running" not in read_page(client, learner)
    for _ in range(2):
        queue.pull("q", models.Grader.objects.get().pk)
    assert "A grader works on it." in read_page(client, learner)
    models.Submission.objects.update(status="answered", available_at=None, due_at=None)
    assert "Answers without a grade" not in read_page(client, learner)


def test_learner_without_scores_has_zero_percent(client, long_course, db) -> None:
    page = read_page(client, factories.make_learner("new"))
    assert "<strong>0%</strong>" in page
    assert "Not passed yet." in page


def test_learner_is_refused_another_learners_page(client, learner) -> None:
    client.force_login(factories.make_learner("eve"))
    assert client.get(f"{OWN}{learner.pk}/").status_code == 403


def test_anonymous_user_is_redirected_to_login(client, long_course) -> None:
    response = client.get(OWN)
    assert response.status_code == 302
    assert "next=" in response.url


@pytest.mark.parametrize(
    "course_id", ["course-v1:No+Such+Course", "no:key+a+b", "a+b+" + "c" * 300]
)
def test_unknown_or_invalid_course_key_is_not_found(client, staff, course_id: str) -> None:
    client.force_login(staff)
    assert client.get(f"/xqueue/grades/{course_id}/progress/").status_code == 404


@pytest.mark.parametrize("user_id", ["999999", "9" * 18])
def test_unknown_user_id_is_not_found(client, staff, long_course, user_id: str) -> None:
    client.force_login(staff)
    assert client.get(f"{OWN}{user_id}/").status_code == 404


def test_learner_with_an_id_above_2_31_has_a_page(monkeypatch) -> None:
    """SG35: hosts can have users whose ids are above 2^31; the tests' own host cannot."""
    user = User(pk=2**40, username="late")
    monkeypatch.setattr(learners, "find_user", lambda pk: user if pk == user.pk else None)
    assert learners.learner_or_404(user.pk).username == "late"


def test_page_is_not_found_without_a_course_structure_backend(
    client, staff, long_course, settings
) -> None:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    client.force_login(staff)
    assert client.get(OWN).status_code == 404


def test_display_name_with_markup_is_escaped(client, db) -> None:
    factories.publish(courses.course(subsection("p", block("p1"), display_name="<b>x</b>")))
    assert "<b>x</b>" not in read_page(client, factories.make_learner())


def test_page_executes_eight_statements_and_refuses_post(
    client, learner, django_assert_num_queries
) -> None:
    client.force_login(learner)
    # Session, user, course, learner; grade, subsections, scores; open submissions.
    with django_assert_num_queries(8):
        client.get(OWN)
    assert client.post(OWN).status_code == 405


def test_chart_description_has_all_values_as_text(client, learner) -> None:
    page = read_page(client, learner)
    description = re.search(r"<desc[^>]*>(.*?)</desc>", page, re.DOTALL)
    assert description is not None
    assert "HW 01: 100%." in description[1]
    assert "HW 03: 0%, dropped." in description[1]
    assert "Course grade: 44%." in description[1]


# -- the chart alone


def test_bars_have_the_kinds_counts_dropped_average_and_total() -> None:
    grade = api.CourseGrade(1, COURSE_KEY, 0, None, False, 0)
    seen = grade.as_seen_by_learner(LONG, timezone.now())
    assert seen.summary is not None
    chart = grade_chart(seen.summary["section_breakdown"], 0.437, None, POLICY.cutoffs)
    kinds = [bar.kind for bar in chart.bars]
    assert kinds == ["counts", "counts", "dropped", "average", "counts", "total"]
    assert chart.height > chart.bars[-1].bar_y > TOP


def test_bar_above_100_percent_ends_at_100_and_keeps_its_label() -> None:
    chart = grade_chart([], 1.2, "A", (("A", 0.95), ("B", 0.5), ("C", 0.05)))
    (total,) = chart.bars
    assert (total.width, total.value, total.label) == ("100.00%", "120%", "Course grade: A")
    assert [line.anchor for line in chart.cutoffs] == ["end", "middle", "start"]
    assert chart.cutoffs[0].label_y != chart.cutoffs[1].label_y
