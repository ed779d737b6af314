"""Recalculations that meet, in real processes."""

from __future__ import annotations

import time

import pytest

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from tests.course_grades.factories import (
    P1,
    P2,
    make_learner,
    publish,
    request_of,
    score,
    settle,
    stored,
    sweep_later,
)
from tests.grader_replies.factories import heard
from tests.processes import in_processes
from xqueue_bridge import signals
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.models import (
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    VisibleBlocks,
)
from xqueue_bridge.learner_state import api as learner_state

PROCESSES = 6


@pytest.fixture
def ada(committed_ada, by_workers):
    return committed_ada


def update(user) -> dict[str, int]:
    """Compute a learner's grade from scores; return how often which signal was heard."""
    with (
        heard(signals.COURSE_GRADE_PASSED_FIRST_TIME) as first,
        heard(signals.COURSE_GRADE_CHANGED) as changed,
    ):
        api.CourseGradeFactory().update(user, course_key=COURSE_KEY, force_update_subsections=True)
    return {"first": len(first), "changed": sum(received["changed"] for received in changed)}


@pytest.mark.parametrize("round_", range(3))
def test_the_first_pass_is_told_once(ada, round_):
    """SG69: six processes update at once to a first pass; one of them tells of it."""
    score(ada, P1)
    score(ada, P2)
    heard_by = in_processes([lambda: update(ada)] * PROCESSES)
    assert sum(each["first"] for each in heard_by) == 1
    assert sum(each["changed"] for each in heard_by) == 1
    assert PersistentCourseGrade.objects.get().version == 1


def test_an_older_recalculation_that_ends_last(ada):
    """SG70: a recalculation that was overtaken while it was slow does not store what it knew."""
    score(ada, P1, 0)

    def slow() -> float:
        read = learner_state.read_course_scores

        def read_and_dawdle(user_id, course_key):
            scores = read(user_id, course_key)
            time.sleep(1)
            return scores

        learner_state.read_course_scores = read_and_dawdle  # this process is ours alone
        settle(ada)
        return stored(ada).percent_grade

    def quick() -> float:
        time.sleep(0.3)
        score(ada, P1, 2)
        settle(ada)
        return stored(ada).percent_grade

    _, seen = in_processes([slow, quick])
    assert seen == stored(ada).percent_grade == 0.5
    request = request_of(ada)
    assert request.done == request.wanted == 2


def test_scores_and_recalculations_mixed(ada):
    """SG70, SG73: whatever meets whatever, in the end the grade is that of the last scores."""
    names = [f"b{n}" for n in range(PROCESSES)]
    publish(courses.course(subsection("homework", *(block(name, 10) for name in names))))

    def work(number: int) -> None:
        for points in range(1, 6):
            score(ada, key("problem", names[number]), points * 2, 10)
            if (number + points) % 2:
                settle(ada)
            else:
                api.recalculate_due()

    in_processes([lambda n=n: work(n) for n in range(PROCESSES)])
    sweep_later()
    request = request_of(ada)
    assert request.done == request.wanted == PROCESSES * 5
    assert stored(ada).percent_grade == 1.0
    (row,) = PersistentSubsectionGrade.objects.all()
    assert (row.earned_graded, row.possible_graded) == (60, 60)


def test_learners_of_one_course_at_once(committed_course, by_workers):
    """Many learners' first grades insert the same list of blocks without an error."""
    learners = [make_learner(f"l{n}") for n in range(PROCESSES)]
    for learner in learners:
        score(learner, P1)
    assert in_processes([lambda each=each: settle(each) for each in learners]) == [True] * PROCESSES
    assert [stored(learner).percent_grade for learner in learners] == [0.5] * PROCESSES
    assert VisibleBlocks.objects.count() == 1, "no learner has a score"
    assert PersistentSubsectionGrade.objects.count() == PROCESSES


def test_first_notes_at_once(ada):
    """SG73: notes that meet before there is a row for them are all counted."""
    in_processes([lambda n=n: score(ada, key("problem", f"b{n}"), 1, 1) for n in range(PROCESSES)])
    assert request_of(ada).wanted == PROCESSES
