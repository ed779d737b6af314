"""Grades of assignment types and courses from the totals of subsections."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.course_grades import documented_grading_cases
from tests.course_grades.courses import HOMEWORK, block, chapter, course, policy, subsection
from xqueue_bridge.course_grades.grading_rules import (
    ProblemScore,
    SectionEntry,
    Summary,
    compute_percent,
    course_percent,
    grade_assignments,
    grade_course,
    zero_totals,
)
from xqueue_bridge.course_structure.policy import AssignmentFormat

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def entry(kind: str = "Homework", **fields) -> dict:
    return {**HOMEWORK, "type": kind, "short_label": kind[:2].upper(), **fields}


def average_of(
    percents: Iterable[float], *numbers: int, kind: str = "Homework", **options: Any
) -> tuple[float, list[SectionEntry]]:
    """Grade assignments of one type, each worth one point; ``numbers``: expected, dropped."""
    given = [(f"{kind} {n}", ProblemScore(earned, 1)) for n, earned in enumerate(percents)]
    return grade_assignments(AssignmentFormat(kind, *numbers, **options), given)


def summary_of(conf: list[dict], **percents: list[float]) -> Summary:
    """Grade a course with these assignment types, whose subsections are worth one point each."""
    subsections, totals = [], {}
    for kind, values in percents.items():
        for n, earned in enumerate(values):
            made = subsection(f"{kind}_{n}", block(f"{kind}_{n}"), format=kind)
            subsections.append(made)
            totals[made.usage_key] = ProblemScore(earned, 1)
    return grade_course(course(*subsections, grading=policy(*conf)), totals)


def labels(entries) -> list[str]:
    return [each["label"] for each in entries]


def dropped(entries) -> list[str]:
    return [each["label"] for each in entries if "mark" in each]


class TestPublishedTables:
    """SG54's tables; documented_grading_cases.py gives their origin."""

    @pytest.mark.parametrize(
        ("percents", "min_count", "drop_count", "average"), documented_grading_cases.ASSIGNMENTS
    )
    def test_assignment_type_has_the_documented_average(
        self, percents, min_count, drop_count, average
    ):
        """SG54: compute the average of one assignment type."""
        assert average_of(percents, min_count, drop_count)[0] == pytest.approx(average, abs=1e-15)

    @pytest.mark.parametrize(("types", "exact"), documented_grading_cases.COURSE)
    def test_course_has_the_documented_percent(self, types, exact):
        """SG54, SG58: add assignment types by their weights, without normalising."""
        conf = [entry(f"type_{n}", weight=weight) for n, (weight, _) in enumerate(types)]
        averages = {f"type_{n}": [average] for n, (_, average) in enumerate(types)}
        assert summary_of(conf, **averages)["percent"] == pytest.approx(exact, abs=1e-15)

    def test_tables_have_83_cases(self):
        """SG54: count the cases in this file and in test_grading_rules.py."""
        tables = (
            documented_grading_cases.PERCENT,
            documented_grading_cases.WEIGHTED,
            documented_grading_cases.ASSIGNMENTS,
            documented_grading_cases.COURSE,
            documented_grading_cases.RESULTS,
        )
        assert sum(map(len, tables)) == 83


class TestAssignmentFormat:
    def test_missing_assignments_count_as_zero(self):
        """SG55: one perfect homework of ten expected ones gives 0.1."""
        average, entries = average_of([1], 10, 0)
        assert average == 0.1
        assert [each["percent"] for each in entries] == [1.0, *[0.0] * 9, 0.1]
        assert entries[1]["detail"] == "Homework 2 Unreleased - 0% (?/?)"

    def test_assignments_beyond_min_count_all_count(self):
        """SG56: ``min_count`` is no maximum."""
        average, entries = average_of([1, 1, 0.5, 0.5], 1, 0)
        assert average == 0.75
        assert len(entries) == 5

    @pytest.mark.parametrize("drop_count", [2, 3, 100])
    def test_average_is_zero_if_every_assignment_is_dropped(self, drop_count):
        """SG56: ``drop_count`` equals or exceeds the number of assignments."""
        average, entries = average_of([1, 1], 2, drop_count)
        assert average == 0.0
        assert len(dropped(entries)) == 2

    def test_later_of_equal_assignments_is_dropped(self):
        """SG57: drop the later of equal assignments; placeholders come last."""
        for percents in ([0, 1, 0, 0], [0, 0]):
            _, entries = average_of(percents, 4, 2, short_label="HW")
            assert dropped(entries) == ["HW 03", "HW 04"]

    def test_mark_of_a_dropped_assignment_gives_the_reason(self):
        (low,) = (each for each in average_of([1, 0], 2, 1)[1] if "mark" in each)
        assert low["mark"] == {"detail": "The lowest 1 Homework scores are dropped."}

    def test_assignments_count_equally_whatever_their_points(self):
        given = [("a", ProblemScore(0, 100)), ("b", ProblemScore(1, 1))]
        assert grade_assignments(AssignmentFormat("Homework", 0, 0), given)[0] == 0.5

    def test_percents_are_rounded_before_the_average(self):
        given = [("a", ProblemScore(1, 3))]
        assert grade_assignments(AssignmentFormat("Homework", 0, 0), given)[0] == 0.3333

    def test_single_assignment_is_listed_as_the_total(self):
        _, entries = average_of([1], 1, 0, kind="Exam", short_label="Ex")
        assert entries == [
            {
                "percent": 1.0,
                "label": "Ex",
                "detail": "Exam = 100%",
                "category": "Exam",
                "prominent": True,
            }
        ]

    def test_labels_have_number_name_percent_and_points(self):
        kind = AssignmentFormat("Homework", 2, 0, short_label="HW", starting_index=0)
        _, entries = grade_assignments(kind, [("Loops", ProblemScore(1.5, 3))])
        assert labels(entries) == ["HW 00", "HW 01", "HW Avg"]
        assert entries[0]["detail"] == "Homework 0 - Loops - 50% (1.5/3)"
        assert entries[2]["detail"] == "Homework Average = 25%"

    def test_averages_and_assignments_can_be_hidden(self):
        only = average_of([1, 0], 2, 0, show_only_average=True)
        without = average_of([1, 0], 2, 0, hide_average=True)
        assert only[0] == without[0] == 0.5
        assert labels(only[1]) == ["Homework Avg"]
        assert labels(without[1]) == ["Homework 01", "Homework 02"]


class TestWeightedSubsections:
    def test_weight_zero_is_listed_and_adds_nothing(self):
        """SG58: list an assignment type of weight 0, and add nothing for it."""
        conf = [entry("Homework"), entry("Practice", weight=0)]
        found = summary_of(conf, Homework=[0.5], Practice=[1])
        assert found["percent"] == 0.5
        assert found["grade_breakdown"]["Practice"]["percent"] == 0.0
        assert labels(found["section_breakdown"]) == ["HO", "PR"]

    def test_weights_above_one_give_percent_above_one(self):
        """SG58: round the percent above 1 as below."""
        conf = [entry("Homework"), entry("Extra", weight=0.125)]
        found = summary_of(conf, Homework=[1], Extra=[1])
        assert found["percent"] == 1.125
        assert course_percent(found["percent"]) == 1.13

    def test_breakdown_by_category(self):
        found = summary_of([entry(category="All homework", weight=0.5)])
        assert found["grade_breakdown"] == {
            "All homework": {
                "percent": 0.0,
                "detail": "All homework = 0.00% of a possible 50.00%",
                "category": "All homework",
            }
        }

    def test_entry_without_min_count_is_an_error(self):
        """SG63: validate a grader that code creates, too."""
        with pytest.raises(ValueError, match="min_count"):
            policy({"type": "Homework", "drop_count": 0})


class TestCourse:
    def test_percent_is_the_average_of_the_subsections(self):
        loops, files = subsection("loops", block("a", 2)), subsection("files", block("b", 1))
        totals = {loops.usage_key: ProblemScore(1, 2), files.usage_key: ProblemScore(1, 1)}
        assert grade_course(course(loops, files), totals)["percent"] == 0.75

    def test_subsection_without_total_counts_as_zero(self):
        loops, files = subsection("loops", block("a", 2)), subsection("files", block("b", 1))
        assert (
            grade_course(course(loops, files), {loops.usage_key: ProblemScore(2, 2)})["percent"]
            == 0.5
        )
        assert grade_course(course(loops, files), {})["percent"] == 0.0

    def test_subsections_without_points_or_ungraded_are_left_out(self):
        """SG61: count them neither as an assignment nor as zero."""
        one = subsection("one", block("a"))
        others = [
            subsection("empty"),
            subsection("pointless", block("b", 0)),
            subsection("practice", block("c"), graded=False),
            subsection("ungraded", block("d", graded=False)),
            subsection("weightless", block("e", weight=0.0)),
            subsection("unknown", block("f", None)),
            subsection("other", block("g"), format="Exam"),
            subsection("formless", block("h"), format=None),
        ]
        totals = {one.usage_key: ProblemScore(1, 1), others[2].usage_key: ProblemScore(1, 1)}
        assert grade_course(course(one, *others), totals)["percent"] == 1.0

    def test_subsection_in_two_chapters_counts_once(self):
        """SG62: count a subsection once, if two chapters contain it."""
        shared, other = subsection("shared", block("a")), subsection("other", block("b"))
        made = course(chapters=[chapter("one", shared, other), chapter("two", shared)])
        assert grade_course(made, {shared.usage_key: ProblemScore(1, 1)})["percent"] == 0.5

    def test_given_subsections_are_graded_and_the_rest_left_out(self):
        """SG77: leave out the subsections that the learner may not see."""
        shown = subsection("shown", block("a"))
        hidden = subsection("hidden", block("b"), show_correctness="never")
        totals = {shown.usage_key: ProblemScore(1, 1), hidden.usage_key: ProblemScore(0, 1)}
        made = course(shown, hidden)
        assert grade_course(made, totals)["percent"] == 0.5
        assert grade_course(made, totals, subsections=[shown])["percent"] == 1.0

    @pytest.mark.parametrize(
        ("show_correctness", "due", "shows", "counts"),
        [
            ("always", None, True, True),
            ("always", NOW + timedelta(days=1), True, True),
            ("past_due", None, True, True),
            ("past_due", NOW - timedelta(seconds=1), True, True),
            ("past_due", NOW, False, False),
            ("past_due", NOW + timedelta(days=1), False, False),
            ("never", None, False, False),
            ("never", NOW - timedelta(days=1), False, False),
            ("never_but_include_grade", None, False, True),
            ("never_but_include_grade", NOW - timedelta(days=1), False, True),
        ],
    )
    def test_show_correctness_and_due_date_decide_what_is_shown(
        self, show_correctness, due, shows, counts
    ):
        """SG77: try each value of show_correctness, before and after the due date."""
        made = subsection("s", block("a"), show_correctness=show_correctness, due=due)
        assert made.shows_scores(NOW) is shows
        assert made.counts_in_view(NOW) is counts

    def test_zero_totals_have_the_weighted_maxima(self):
        """SG52: give each learner without an attempt the same maximum."""
        made = subsection(
            "s", block("a", 4, weight=2.0), block("b", 3, graded=False), block("c", 0)
        )
        everything, graded = zero_totals(made)
        assert (everything.possible, graded.possible) == (5.0, 2.0)
        assert everything.first_attempted is None


# -- against an independent sum, in fractions

percents = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=6)
types = st.lists(
    st.tuples(percents, st.integers(0, 7), st.integers(0, 4), st.integers(0, 150)),
    min_size=1,
    max_size=4,
)


def expected_average(values: list[Fraction], min_count: int, drop_count: int) -> Fraction:
    """Return the best average that remains when ``drop_count`` values are dropped."""
    values = values + [Fraction(0)] * (min_count - len(values))
    kept = len(values) - drop_count
    if kept <= 0:
        return Fraction(0)
    return max(sum(each, Fraction(0)) for each in combinations(values, kept)) / kept


@given(types)
def test_course_grade_equals_independent_sum_of_fractions(given):
    """SG54, SG56: compare random policies and scores, down to the last whole percent."""
    subsections, totals, conf, expected = [], {}, [], Fraction(0)
    for number, (scores, min_count, drop_count, weight) in enumerate(given):
        kind = f"type {number}"
        conf.append(entry(kind, min_count=min_count, drop_count=drop_count, weight=weight / 100))
        values = []
        for index, (earned, possible) in enumerate(scores):
            made = subsection(f"s{number}_{index}", block(f"p{number}_{index}", 1), format=kind)
            subsections.append(made)
            totals[made.usage_key] = ProblemScore(earned, possible)
            values.append(Fraction(compute_percent(earned, possible)).limit_denominator(10_000))
        average = expected_average(values, min_count, drop_count)
        expected += average * Fraction(weight, 100)
    found = grade_course(course(*subsections, grading=policy(*conf)), totals)
    assert found["percent"] == pytest.approx(float(expected), abs=1e-12)
    tenth = expected * 100 + Fraction(55, 100)
    if abs(tenth - round(tenth)) > Fraction(1, 10**9):  # on the step itself floats decide
        whole = tenth.numerator // tenth.denominator
        assert course_percent(found["percent"]) == whole / 100
    parts = sum(each["percent"] for each in found["grade_breakdown"].values())
    assert parts == pytest.approx(found["percent"], abs=1e-12)


@given(percents, st.integers(0, 7), st.integers(0, 4))
def test_drop_count_assignments_are_dropped_and_none_better_than_a_kept_one(
    scores, min_count, drop_count
):
    """SG57: drop at most as many as exist, and only the lowest."""
    kind = AssignmentFormat("Homework", min_count, drop_count, hide_average=True)
    given = [("s", ProblemScore(earned, possible)) for earned, possible in scores]
    _, entries = grade_assignments(kind, given)
    if len(entries) < 2:
        return
    lost = [each["percent"] for each in entries if "mark" in each]
    kept = [each["percent"] for each in entries if "mark" not in each]
    assert len(lost) == min(drop_count, len(entries))
    assert not lost or not kept or max(lost) <= min(kept)
