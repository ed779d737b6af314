"""Overrides of subsection grades, their history, and the texts of rows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    E1,
    EXERCISE,
    HOMEWORK,
    P1,
    P2,
    percent,
    publish,
    recalculate_pending,
    received_grade_signals,
    score,
    stored,
)
from tests.processes import in_processes
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.course_grade import fingerprint
from xqueue_bridge.course_grades.models import (
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
)
from xqueue_bridge.course_grades.persistence import read_subsections
from xqueue_bridge.exceptions import InvalidField

KEY = HOMEWORK.usage_key


def override(user, earned: float | None = 3, **fields):
    given = api.SubsectionOverride(
        earned_graded=earned, **{"reason": "ill", "author_id": 99, **fields}
    )
    return api.set_override(user.pk, COURSE_KEY, KEY, given)


def remove(user):
    return api.remove_override(user.pk, COURSE_KEY, KEY, author_id=98, reason="appeal")


class TestOverrides:
    def test_override_counts_and_computed_points_are_kept(self, ada):
        """SG76: count the override at once and on reading; keep the computed points."""
        score(ada, P1, 1)
        recalculate_pending(ada)
        grade = override(ada, 3)
        assert grade.percent == percent(ada) == 0.75
        row = PersistentSubsectionGrade.objects.get()
        assert (row.earned_graded, row.possible_graded) == (1, 4)
        ((_, read),) = read_subsections(ada.pk, COURSE_KEY).values()
        assert (read.graded_total.earned, read.graded_total.possible) == (3, 4)
        assert (read.override.reason, read.override.author_id) == ("ill", 99)

    def test_override_counts_after_later_scores(self, ada):
        """SG76: compute later scores, but count the override while it is set."""
        score(ada, P1, 1)
        recalculate_pending(ada)
        override(ada, 3)
        score(ada, P2, 2)
        recalculate_pending(ada)
        api.CourseGradeFactory().update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert percent(ada) == 0.75
        assert PersistentSubsectionGrade.objects.get(usage_key=KEY).earned_graded == 3

    def test_removed_override_gives_the_computed_grade(self, ada):
        """SG76: count the computed grade again after the override is removed."""
        score(ada, P1, 1)
        recalculate_pending(ada)
        override(ada, 4)
        assert remove(ada).percent == percent(ada) == 0.25
        assert not PersistentSubsectionGradeOverride.objects.exists()

    def test_override_before_any_score_counts_until_it_is_removed(self, ada):
        grade = override(ada, 4)
        assert (grade.percent, grade.passed) == (1.0, True)
        score(ada, P1, 1)
        recalculate_pending(ada)
        assert percent(ada) == 1.0
        remove(ada)
        assert percent(ada) == 0.25

    def test_override_after_a_reset_to_an_earlier_publication_counts(self, ada):
        """SG75: the stored grade is of a later publication than the current one."""
        score(ada, P1, 1)
        for year, blocks in ((2027, HOMEWORK.blocks), (2025, HOMEWORK.blocks[:1])):
            part = replace(HOMEWORK, blocks=blocks)
            published = publish(courses.course(part, edited_on=datetime(year, 1, 1, tzinfo=UTC)))
            assert override(ada, 4).percent == 1.0
            assert stored(ada).course_version == published.version

    def test_override_of_possible_points_only_keeps_the_earned_ones(self, ada):
        score(ada, P1, 2)
        recalculate_pending(ada)
        assert override(ada, None, possible_graded=2).percent == 1.0

    def test_override_of_one_subsection_leaves_the_other_one(self, ada):
        """SG76: both have a stored grade; the override belongs to one of them."""
        score(ada, P1, 1)
        score(ada, E1, 1, 5)
        recalculate_pending(ada)
        given = api.SubsectionOverride(earned_all=4, reason="ill", author_id=99)
        api.set_override(ada.pk, COURSE_KEY, EXERCISE.usage_key, given)
        set_at = PersistentSubsectionGradeOverride.objects.get().modified
        override(ada, 3)
        rows = PersistentSubsectionGradeOverride.objects.filter(modified=set_at)
        assert rows.get().grade.usage_key == EXERCISE.usage_key
        grades = {key: grade for key, (_, grade) in read_subsections(ada.pk, COURSE_KEY).items()}
        assert grades[EXERCISE.usage_key].override.earned_all == 4
        assert grades[KEY].override.earned_graded == 3
        remove(ada)
        grades = {key: grade for key, (_, grade) in read_subsections(ada.pk, COURSE_KEY).items()}
        assert grades[EXERCISE.usage_key].override.earned_all == 4
        assert grades[KEY].override is None

    def test_history_has_author_action_reason_newest_first(self, ada):
        """SG76: list who changed what, when and why, newest first."""
        override(ada, 3)
        override(ada, 2, reason="recount", author_id=97, system="GRADEBOOK")
        remove(ada)
        entries = list(api.override_history(ada.pk, COURSE_KEY))
        assert [
            (e.action, e.override.earned_graded, e.override.reason, e.override.author_id)
            for e in entries
        ] == [("removed", None, "appeal", 98), ("set", 2, "recount", 97), ("set", 3, "ill", 99)]
        assert {entry.usage_key for entry in entries} == {KEY}
        assert entries[0].created >= entries[1].created >= entries[2].created
        assert PersistentSubsectionGradeOverride.objects.count() == 0

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"earned": -1}, "earned_graded"),
            ({"earned": math.nan}, "earned_graded"),
            ({"earned": 1e308}, "earned_graded"),
            ({"possible_all": math.inf}, "possible_all"),
            ({"possible_graded": 5e-324}, "possible_graded"),
            ({"possible_graded": 0.009}, "possible_graded"),
            ({"reason": " "}, "reason"),
            ({"reason": "x" * 301}, "reason"),
            ({"author_id": None}, "author_id"),
        ],
    )
    def test_invalid_override_is_an_error_that_names_the_field(self, ada, fields, named):
        with pytest.raises(InvalidField) as refused:
            override(ada, **fields)
        assert refused.value.field == named
        assert not list(api.override_history(ada.pk, COURSE_KEY))

    @pytest.mark.parametrize(
        "fields",
        [
            {"earned": 0},
            {"earned": 1_000_000},
            {"possible_graded": 0},
            {"possible_graded": 0.01},
            {"earned_all": 0.001},
            {"reason": "x" * 300},
        ],
    )
    def test_value_at_a_limit_is_accepted(self, ada, fields):
        override(ada, **fields)
        [entry] = api.override_history(ada.pk, COURSE_KEY)
        for name, value in fields.items():
            assert getattr(entry.override, "earned_graded" if name == "earned" else name) == value

    def test_unknown_subsection_is_an_error_and_ungraded_one_does_not_count(self, ada):
        given = api.SubsectionOverride(earned_graded=1, reason="ill", author_id=1)
        with pytest.raises(LookupError):
            api.set_override(ada.pk, COURSE_KEY, courses.key("sequential", "other"), given)
        api.set_override(ada.pk, COURSE_KEY, EXERCISE.usage_key, given)
        assert percent(ada) == 0.0, "an ungraded subsection does not count"

    def test_override_sends_each_signal_once(self, committed_ada, by_workers):
        with received_grade_signals() as received:
            override(committed_ada, 4)
        assert len(received["changed"]) == len(received["first"]) == len(received["passed"]) == 1

    def test_override_takes_at_most_20_statements(
        self, committed_ada, by_workers, django_assert_max_num_queries
    ):
        score(committed_ada)
        recalculate_pending(committed_ada)
        with django_assert_max_num_queries(20):
            override(committed_ada, 4)

    def test_concurrent_overrides_and_scores_leave_last_override(self, committed_ada, by_workers):
        """SG76: store the last override and the grade with it, if four processes write at once."""

        def work(number: int) -> None:
            score(committed_ada, P1, number % 3, 2)
            recalculate_pending(committed_ada)
            override(committed_ada, 3)

        in_processes([lambda n=n: work(n) for n in range(4)])
        assert percent(committed_ada) == 0.75
        assert len(list(api.override_history(committed_ada.pk, COURSE_KEY))) == 4
        assert PersistentSubsectionGradeOverride.objects.count() == 1


class TestNames:
    def test_texts_of_rows_name_learner_subsection_and_grade(self, ada):
        score(ada)
        recalculate_pending(ada)
        override(ada)
        assert str(ada.pk) in str(stored(ada))
        row = PersistentSubsectionGrade.objects.get()
        assert "homework" in str(row)
        assert row.visible_blocks.hashed == fingerprint(row.visible_blocks.blocks_json)
        assert str(row.visible_blocks) == row.visible_blocks.hashed
        assert str(row.pk) in str(row.override)
