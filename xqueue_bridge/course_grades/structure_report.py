"""Text report about a course structure, for the operator who imports it; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xqueue_bridge.course_grades.grading_rules import zero_totals
from xqueue_bridge.course_structure.course import Course, Subsection


def summary(course: Course) -> Iterator[str]:
    """Yield lines that describe what is graded, and how."""
    yield f"{course.course_key}  {course.display_name}".rstrip()
    for subsection in course.subsections:
        yield f"  {_subsection_line(subsection)}"
    graded = sum(subsection.graded for subsection in course.subsections)
    yield (
        f"{_many(len(course.chapters), 'chapter')}, "
        f"{_many(len(course.subsections), 'subsection')} ({graded} graded), "
        f"{_many(len(course.blocks), 'block')}"
    )
    for each in course.policy.assignments:
        yield (
            f"{each.type}: {each.weight:.0%} of the grade, {each.min_count} expected, "
            f"the {each.drop_count} lowest dropped"
        )
    cutoffs = ", ".join(f"{letter} from {percent:.0%}" for letter, percent in course.policy.cutoffs)
    yield f"cutoffs: {cutoffs or 'none'}"


def warnings(course: Course) -> Iterator[str]:
    """Yield warnings about valid settings that are probably mistakes."""
    assignments = {each.type: each for each in course.policy.assignments}
    counts: Counter[str] = Counter()
    for subsection in course.subsections:
        if not subsection.graded:
            continue
        named = f"{subsection.display_name!r} is graded, but"
        if subsection.format not in assignments:
            yield f"{named} {subsection.format!r} is no assignment type of the policy"
        elif zero_totals(subsection)[1].possible == 0:
            yield f"{named} nothing in it is known to have points"
        else:
            counts[subsection.format] += 1
    for each in course.policy.assignments:
        if counts[each.type] < each.min_count:
            missing = each.min_count - counts[each.type]
            yield f"{missing} of {each.min_count} {each.type} are not there, and count as 0"
        if each.drop_count and each.drop_count >= max(each.min_count, counts[each.type]):
            yield f"every {each.type} is dropped, so all of them count as 0"
    total = sum(each.weight for each in course.policy.assignments)
    if abs(total - 1) > 1e-9:
        yield f"the weights add up to {total:.0%}"


def _subsection_line(subsection: Subsection) -> str:
    points = zero_totals(subsection)[1].possible
    kind = (subsection.format or "no format") if subsection.graded else "not graded"
    unknown = sum(block.max_score is None for block in subsection.blocks)
    own = f", {unknown} with points that only the block knows" if unknown else ""
    blocks = _many(len(subsection.blocks), "block")
    return f"{subsection.display_name} ({kind}): {points:g} points in {blocks}{own}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
