"""Concurrent recalculations in real processes."""

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
    recalculate_pending,
    request_of,
    score,
    stored,
    sweep_later,
)
from tests.grader_replies.factories import received_signals
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
    """Compute a learner's grade from scores; return how often each signal was received."""
    with (
        received_signals(signals.COURSE_GRADE_PASSED_FIRST_TIME) as first,
        received_signals(signals.COURSE_GRADE_CHANGED) as changed,
    ):
        api.CourseGradeFactory().update(user, course_key=COURSE_KEY, force_update_subsections=True)
    return {"first": len(first), "changed": sum(received["changed"] for received in changed)}


@pytest.mark.parametrize("round_", range(3))
def test_first_pass_computed_by_six_processes_sends_one_signal(ada, round_):
    """SG69: six processes compute the first pass at once; one sends the signal."""
    score(ada, P1)
    score(ada, P2)
    updates = in_processes([lambda: update(ada)] * PROCESSES)
    assert sum(each["first"] for each in updates) == 1
    assert sum(each["changed"] for each in updates) == 1
    assert PersistentCourseGrade.objects.get().version == 1


def test_slow_recalculation_does_not_overwrite_a_newer_grade(ada):
    """SG70: a recalculation that read older scores and ends last does not store their grade."""
    score(ada, P1, 0)

    def slow() -> float:
        read = learner_state.read_course_scores

        def read_slowly(user_id, course_key):
            scores = read(user_id, course_key)
            time.sleep(1)
            return scores

        learner_state.read_course_scores = read_slowly  # this process is ours alone
        recalculate_pending(ada)
        return stored(ada).percent_grade

    def quick() -> float:
        time.sleep(0.3)
        score(ada, P1, 2)
        recalculate_pending(ada)
        return stored(ada).percent_grade

    _, seen = in_processes([slow, quick])
    assert seen == stored(ada).percent_grade == 0.5
    request = request_of(ada)
    assert request.done == request.wanted == 2


def test_grade_after_concurrent_scores_and_recalculations_has_the_last_scores(ada):
    """SG70, SG73: six processes store scores and compute; the grade has every last score."""
    names = [f"b{n}" for n in range(PROCESSES)]
    publish(courses.course(subsection("homework", *(block(name, 10) for name in names))))

    def work(number: int) -> None:
        for points in range(1, 6):
            score(ada, key("problem", names[number]), points * 2, 10)
            if (number + points) % 2:
                recalculate_pending(ada)
            else:
                api.recalculate_due()

    in_processes([lambda n=n: work(n) for n in range(PROCESSES)])
    sweep_later()
    request = request_of(ada)
    assert request.done == request.wanted == PROCESSES * 5
    assert stored(ada).percent_grade == 1.0
    (row,) = PersistentSubsectionGrade.objects.all()
    assert (row.earned_graded, row.possible_graded) == (60, 60)


def test_first_grades_of_six_learners_at_once_share_visible_blocks(committed_course, by_workers):
    """Insert the same list of blocks in six processes without an error."""
    learners = [make_learner(f"l{n}") for n in range(PROCESSES)]
    for learner in learners:
        score(learner, P1)
    assert (
        in_processes([lambda each=each: recalculate_pending(each) for each in learners])
        == [True] * PROCESSES
    )
    assert [stored(learner).percent_grade for learner in learners] == [0.5] * PROCESSES
    assert VisibleBlocks.objects.count() == 1, "no learner has a score"
    assert PersistentSubsectionGrade.objects.count() == PROCESSES


def test_concurrent_first_requests_are_all_counted(ada):
    """SG73: count each request of six processes, although the row does not exist yet."""
    in_processes([lambda n=n: score(ada, key("problem", f"b{n}"), 1, 1) for n in range(PROCESSES)])
    assert request_of(ada).wanted == PROCESSES
