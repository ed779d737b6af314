"""A learner's page: the course grade and its breakdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from xqueue_bridge.course_grades.course_grade import CourseGrade
from xqueue_bridge.course_grades.grading_rules import SectionEntry
from xqueue_bridge.course_grades.queries import read_progress
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.submission_queue.api import queue_positions_in_course
from xqueue_bridge.views.decorators import current_user_id, is_staff, login_required
from xqueue_bridge.views.grade_chart import grade_chart, is_average
from xqueue_bridge.views.learner.texts import position_text, warning_text
from xqueue_bridge.views.learners import course_or_404, learner_or_404


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a problem or a subsection; ``percent`` is 0..1, None if nothing can be earned."""

    earned: float
    possible: float

    @property
    def percent(self) -> float | None:
        return self.earned / self.possible if self.possible > 0 else None


@dataclass(frozen=True, slots=True)
class AssignmentEntry:
    """One assignment of a type, or the average of the type; ``percent`` is 0..1.

    ``dropped`` is the reason why the entry does not count, or "".
    """

    label: str
    detail: str
    percent: float
    is_average: bool
    dropped: str


@dataclass(frozen=True, slots=True)
class SubsectionRow:
    """One subsection as the page shows it; ``points`` is None if they are hidden or missing."""

    subsection: Subsection
    is_hidden: bool
    points: Points | None = None
    problems: tuple[Points, ...] = ()
    is_overridden: bool = False


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer without a grade, with the texts of its position; ``warning`` may be ""."""

    subsection: str
    sent_at: datetime
    position: str
    warning: str


@dataclass(frozen=True, slots=True)
class FormatRows:
    """The assignments of one type, and what the type adds to the grade."""

    name: str
    detail: str
    entries: tuple[AssignmentEntry, ...]


@login_required
@require_GET
def progress(request: HttpRequest, course_id: str, user_id: str | None = None) -> HttpResponse:
    """Show a learner the own visible progress; show staff all progress of any learner."""
    current = current_user_id(request)
    wanted = current if user_id is None else int(user_id)
    own = wanted == current
    if not own and not is_staff(request):
        raise PermissionDenied
    course = course_or_404(course_id)
    learner = learner_or_404(wanted)
    now = timezone.now()
    grade = read_progress(learner.user_id, course)
    if own:
        grade = grade.as_seen_by_learner(course, now)
    return render(
        request,
        "xqueue_bridge/progress.html",
        {
            "course": course,
            "learner": learner,
            "own": own,
            "staff": is_staff(request),
            "grade": grade,
            "cutoffs": course.policy.cutoffs,
            "chapters": list(_chapters(course, grade, now)),
            "open_answers": list(_open_answers(course, learner.user_id)),
            "formats": list(_formats(course, grade)),
            "chart": grade_chart(
                _sections(grade), grade.percent, grade.letter_grade, course.policy.cutoffs
            ),
        },
    )


def _sections(grade: CourseGrade) -> list[SectionEntry]:
    return grade.summary["section_breakdown"] if grade.summary else []


def _open_answers(course: Course, user_id: int) -> Iterator[OpenAnswer]:
    names = {
        block.usage_key: each.display_name for each in course.subsections for block in each.blocks
    }
    for found in queue_positions_in_course(user_id, course.course_key):
        # A block that is not in the published course has no subsection.
        name = names.get(found.usage_key, "")
        warning = warning_text(found.has_grader, found.is_paused)
        yield OpenAnswer(name, found.sent_at, position_text(found.position), warning)


def _chapters(
    course: Course, grade: CourseGrade, now: datetime
) -> Iterator[tuple[str, list[SubsectionRow]]]:
    for chapter in course.chapters:
        rows = [_row(each, grade, now) for each in chapter.subsections if each.blocks]
        if rows:
            yield chapter.display_name, rows


def _row(subsection: Subsection, grade: CourseGrade, now: datetime) -> SubsectionRow:
    is_hidden = not subsection.shows_scores(now)
    found = grade.subsection_grade(subsection.usage_key)
    if found is None:
        return SubsectionRow(subsection, is_hidden)
    total = found.graded_total if subsection.graded else found.all_total
    return SubsectionRow(
        subsection,
        is_hidden,
        points=Points(total.earned, total.possible),
        problems=tuple(
            Points(each.earned, each.possible) for each in found.problem_scores.values()
        ),
        is_overridden=found.override is not None,
    )


def _formats(course: Course, grade: CourseGrade) -> Iterator[FormatRows]:
    sections = _sections(grade)
    details = grade.summary["grade_breakdown"] if grade.summary else {}
    for assignment in course.policy.assignments:
        entries = tuple(
            AssignmentEntry(
                label=entry["label"],
                detail=entry["detail"],
                percent=entry["percent"],
                is_average=is_average(entry, sections),
                dropped=entry["mark"]["detail"] if "mark" in entry else "",
            )
            for entry in sections
            if entry["category"] == assignment.category
        )
        detail = details[assignment.category]["detail"] if details else ""
        yield FormatRows(assignment.category, detail, entries)
