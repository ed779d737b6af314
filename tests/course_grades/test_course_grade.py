"""Scores of problems, grades of subsections and of courses, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.course_grades import courses
from tests.course_grades.courses import block, key, subsection
from xqueue_bridge.course_grades.course_grade import (
    SubsectionGrade,
    SubsectionOverride,
    ZeroCourseGrade,
    compute_course,
    compute_subsection,
)
from xqueue_bridge.course_grades.grading_rules import ProblemScore, problem_score
from xqueue_bridge.course_structure.course import ShowCorrectness
from xqueue_bridge.data import BlockScore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
P1 = key("problem", "p1")


def block_score(earned: float | None, possible: float) -> BlockScore:
    return BlockScore(earned, possible, NOW, 1)


def grade_of(earned: float, possible: float, name: str = "homework") -> SubsectionGrade:
    total = ProblemScore(earned, possible, True, NOW)
    return SubsectionGrade(key("sequential", name), total, total)


class TestProblems:
    @pytest.mark.parametrize(
        ("weight", "possible", "expected"),
        [
            (None, 4, (2, 4, True)),
            (0, 4, (0, 0, False)),
            (12, 4, (6, 12, True)),
            (12, 0, (2, 0, False)),
            (None, 0, (2, 0, False)),
        ],
    )
    def test_score_is_multiplied_by_the_weight(self, weight, possible, expected):
        """SG50, SG61: a score is graded only if its weighted possible points exceed 0."""
        found = problem_score(block("p1", 9, weight=weight), block_score(2, possible))
        assert (found.earned, found.possible, found.graded) == expected
        assert found.first_attempted == NOW

    def test_learner_without_score_gets_the_blocks_current_maximum(self):
        """SG51, SG52: without a score, use the maximum and weight of the published course."""
        found = problem_score(block("p1", 4, weight=8), None)
        assert (found.earned, found.possible, found.first_attempted) == (0, 8, None)

    def test_block_without_score_and_maximum_is_left_out(self):
        assert problem_score(block("p1", None), None) is None
        assert problem_score(block("p1", None), block_score(1, 2)).possible == 2

    def test_score_without_points_counts_zero_and_has_no_attempt(self):
        found = problem_score(block("p1", 4), block_score(None, 4))
        assert (found.earned, found.possible, found.first_attempted) == (0, 4, None)

    def test_score_of_an_ungraded_block_is_not_graded(self):
        assert problem_score(block("p1", 4, graded=False), block_score(1, 4)).graded is False


class TestSubsections:
    def test_totals_of_all_and_of_graded_blocks(self):
        graded, practice = block("p1", 2), block("p2", 3, graded=False)
        found = compute_subsection(subsection("s", graded, practice), {P1: block_score(1, 2)})
        assert (found.all_total.earned, found.all_total.possible) == (1, 5)
        assert (found.graded_total.earned, found.graded_total.possible) == (1, 2)
        assert found.attempted
        assert found.percent_graded == 0.5

    def test_scores_of_other_subsections_are_ignored(self):
        found = compute_subsection(subsection("s", block("p2", 3)), {P1: block_score(1, 2)})
        assert (found.all_total.earned, found.attempted) == (0, False)

    def test_override_replaces_the_points_that_it_names(self):
        """SG76: keep the computed points beside the override."""
        found = replace(grade_of(1, 4), override=SubsectionOverride(earned_graded=3))
        assert (found.graded_total.earned, found.graded_total.possible) == (3, 4)
        assert found.all_total.earned == found.computed_graded.earned == 1

    def test_visible_blocks_are_equal_if_the_blocks_are_equal(self):
        one = compute_subsection(subsection("s", block("p1", 2)), {})
        two = compute_subsection(subsection("s", block("p1", 2)), {P1: block_score(2, 2)})
        other = compute_subsection(subsection("s", block("p1", 3)), {})
        assert one.visible_blocks == two.visible_blocks != other.visible_blocks


class TestCourses:
    @pytest.mark.parametrize(
        ("earned", "percent", "letter", "passed"),
        [(5945, 0.6, "Pass", True), (5944, 0.59, None, False)],
    )
    def test_percent_is_rounded_up_from_45_hundredths(self, earned, percent, letter, passed):
        """SG59: 0.5945 is 60 % and passed, 0.5944 is 59 % and failed; the exact value is kept."""
        course = courses.course(subsection("homework", block("p1", 10_000)))
        grades = {key("sequential", "homework"): grade_of(earned, 10_000)}
        found = compute_course(7, course, grades)
        assert (found.percent, found.letter_grade, found.passed) == (percent, letter, passed)
        assert found.exact_percent == earned / 10_000

    def test_subsection_in_two_chapters_counts_once(self):
        """SG62: list and count a subsection once, if two chapters contain it."""
        shared = subsection("homework", block("p1"))
        course = courses.course(
            chapters=[courses.chapter("a", shared), courses.chapter("b", shared)]
        )
        found = compute_course(7, course, {shared.usage_key: grade_of(1, 1)})
        assert found.percent == 1.0
        assert len(found.summary["section_breakdown"]) == 1


class TestHiddenResults:
    """SG77: grades as a learner sees them, for each value of show_correctness."""

    @pytest.mark.parametrize(
        ("show", "due", "counts", "shown"),
        [
            ("always", None, True, True),
            ("never", None, False, False),
            ("past_due", NOW + timedelta(days=1), False, False),
            ("past_due", NOW - timedelta(days=1), True, True),
            ("never_but_include_grade", None, True, False),
        ],
    )
    def test_hidden_results_are_left_out_of_the_learners_view(self, show, due, counts, shown):
        """SG77: leave hidden results out of the learner's view, but not out of the grade."""
        open_one = subsection("open", block("p1", 4))
        other = subsection(
            "homework", block("p2", 4), show_correctness=ShowCorrectness(show), due=due
        )
        course = courses.course(open_one, other)
        grades = {
            open_one.usage_key: grade_of(4, 4, "open"),
            other.usage_key: grade_of(2, 4),
        }
        found = compute_course(7, course, grades)
        assert found.percent == 0.75
        seen = found.as_seen_by_learner(course, NOW)
        assert seen.percent == (0.75 if counts else 1.0)
        assert (other.usage_key in seen.subsection_grades) is shown
        assert ("Homework 2" in str(seen.summary)) is shown
        assert seen.summary["percent"] == (0.75 if shown else 1.0)
        assert open_one.usage_key in seen.subsection_grades

    @pytest.mark.parametrize(("show", "percent"), [("always", 0.9), ("never", 1.0)])
    def test_percent_of_a_stored_grade_is_shown_as_stored_if_all_counts(self, show, percent):
        """SG77: it may be of an earlier publication; without a subsection it is computed again."""
        first = subsection("first", block("p1", 4))
        other = subsection("other", block("p2", 4), show_correctness=ShowCorrectness(show))
        course = courses.course(first, other)
        grades = {first.usage_key: grade_of(4, 4, "first"), other.usage_key: grade_of(2, 4)}
        stored = replace(compute_course(7, course, grades), percent=0.9, last_updated=NOW)
        seen = stored.as_seen_by_learner(course, NOW)
        assert (seen.percent, seen.last_updated) == (percent, NOW)

    @pytest.mark.parametrize("earned", [0, 4])
    def test_time_of_the_first_pass_is_shown_with_a_pass_only(self, earned):
        """SG77: a hidden result may have passed the learner."""
        first = subsection("first", block("p1", 4))
        hidden = subsection("hidden", block("p2", 4), show_correctness=ShowCorrectness("never"))
        course = courses.course(first, hidden)
        grades = {
            first.usage_key: grade_of(earned, 4, "first"),
            hidden.usage_key: grade_of(4, 4, "hidden"),
        }
        times = {"last_updated": NOW, "passed_timestamp": NOW}
        seen = replace(compute_course(7, course, grades), **times).as_seen_by_learner(course, NOW)
        assert (seen.passed, seen.passed_timestamp) == ((True, NOW) if earned else (False, None))

    def test_grade_that_is_not_stored_is_computed_from_its_subsections(self):
        first = subsection("first", block("p1", 4))
        course = courses.course(first)
        grade = ZeroCourseGrade(
            7, courses.COURSE_KEY, subsection_grades={first.usage_key: grade_of(3, 4, "first")}
        )
        assert grade.as_seen_by_learner(course, NOW).percent == 0.75
        with pytest.raises(ValueError, match="not stored"):
            _ = grade.stored_version
