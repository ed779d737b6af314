"""Value types of a course structure: course, chapters, subsections and blocks; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Protocol, runtime_checkable

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_structure.policy import GradingPolicy


class ShowCorrectness(StrEnum):
    """When learners may see their results in a subsection."""

    ALWAYS = "always"
    PAST_DUE = "past_due"
    NEVER = "never"
    NEVER_BUT_INCLUDE_GRADE = "never_but_include_grade"
    """Never, but the course grade that learners see counts it."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block that can be scored.

    ``max_score`` is in points before ``weight``, or None where only the block itself can tell.
    ``graded`` is None unless the block or its unit sets it. ``pool`` is the usage key of the
    library content block that selects this block for some learners only. ``display_name`` is "" if
    it is not known.
    """

    usage_key: UsageKey
    block_type: str
    weight: float | None = None
    max_score: float | None = None
    graded: bool | None = None
    pool: UsageKey | None = None
    display_name: str = ""


@dataclass(frozen=True)
class Subsection:
    """A subsection, which is graded as one assignment, with each of its blocks once.

    ``selection_counts`` maps each pool to the number of its blocks that a learner gets.
    """

    usage_key: UsageKey
    display_name: str
    format: str | None = None
    graded: bool = False
    due: datetime | None = None
    show_correctness: ShowCorrectness = ShowCorrectness.ALWAYS
    blocks: tuple[Block, ...] = ()
    selection_counts: Mapping[UsageKey, int] = field(default_factory=dict)

    def blocks_for_learner(self, scored: Collection[UsageKey]) -> tuple[Block, ...]:
        """Return one learner's blocks; ``scored`` are the usage keys where the learner has a score.

        Of a pool, these are the scored blocks, then further ones up to the pool's number. So all
        learners without an attempt have the same maximum, and no learner state is read.
        """
        left = dict(self.selection_counts)
        for block in self.blocks:
            if block.pool is not None and block.usage_key in scored:
                left[block.pool] -= 1
        found = []
        for block in self.blocks:
            if block.pool is not None and block.usage_key not in scored:
                if left[block.pool] <= 0:
                    continue
                left[block.pool] -= 1
            found.append(block)
        return tuple(found)

    def shows_scores(self, now: datetime) -> bool:
        """Return whether learners may see their scores in the subsection."""
        if self.show_correctness == ShowCorrectness.PAST_DUE:
            return self.due is None or self.due < now
        return self.show_correctness == ShowCorrectness.ALWAYS

    def counts_in_view(self, now: datetime) -> bool:
        """Return whether the course grade that a learner sees may count the subsection."""
        included = self.show_correctness == ShowCorrectness.NEVER_BUT_INCLUDE_GRADE
        return included or self.shows_scores(now)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of the outline; it does not affect the grade."""

    usage_key: UsageKey
    display_name: str
    subsections: tuple[Subsection, ...] = ()


@dataclass(frozen=True)
class Course:
    """One published version of a course, identified by ``version``.

    A block may be in several subsections, and a subsection in several chapters.
    """

    course_key: CourseKey
    version: str
    edited_on: datetime | None
    end: datetime | None
    policy: GradingPolicy
    chapters: tuple[Chapter, ...] = ()
    display_name: str = ""

    @cached_property
    def subsections(self) -> tuple[Subsection, ...]:
        """Each subsection once, in the order of the outline."""
        found: dict[UsageKey, Subsection] = {}
        for chapter in self.chapters:
            for subsection in chapter.subsections:
                found.setdefault(subsection.usage_key, subsection)
        return tuple(found.values())

    @cached_property
    def blocks(self) -> Mapping[UsageKey, Block]:
        """Each block once, by its key, in the order of the outline."""
        found: dict[UsageKey, Block] = {}
        for subsection in self.subsections:
            for block in subsection.blocks:
                found.setdefault(block.usage_key, block)
        return found


@runtime_checkable
class CourseStructures(Protocol):
    """Source of course structures: ``XQUEUE_BRIDGE["COURSE_STRUCTURE_BACKEND"]``."""

    def get(self, course_key: CourseKey) -> Course | None:
        """Return the currently published course; None if it is not known."""
        ...
