"""One learner's grade in one subsection; pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.course_grades.scores import (
    ProblemScore,
    aggregate_scores,
    compute_percent,
    weighted_score,
)
from xqueue_bridge.course_structure.course import Block, Subsection
from xqueue_bridge.data import BlockScore


@dataclass(frozen=True, slots=True)
class SubsectionOverride:
    """Points that count instead of the computed ones, unless None."""

    earned_all: float | None = None
    possible_all: float | None = None
    earned_graded: float | None = None
    possible_graded: float | None = None
    reason: str = ""
    system: str = ""
    author_id: int | None = None


@dataclass(frozen=True, slots=True)
class SubsectionGrade:
    """The totals of a subsection, all and graded, computed and with the override.

    ``problem_scores`` are the weighted scores of its blocks, empty if only the totals were read.
    ``visible_blocks`` is the list of graded blocks as JSON, "" if it was not read.
    """

    usage_key: UsageKey
    computed_all: ProblemScore
    computed_graded: ProblemScore
    override: SubsectionOverride | None = None
    visible_blocks: str = ""
    problem_scores: Mapping[UsageKey, ProblemScore] = field(default_factory=dict)

    @property
    def first_attempted(self) -> datetime | None:
        return self.computed_all.first_attempted

    @property
    def attempted(self) -> bool:
        return self.first_attempted is not None

    @property
    def all_total(self) -> ProblemScore:
        """The total of all problems, with the override if there is one."""
        if self.override is None:
            return self.computed_all
        return _overridden(self.computed_all, self.override.earned_all, self.override.possible_all)

    @property
    def graded_total(self) -> ProblemScore:
        """The total that the course grade is computed from, with the override if there is one."""
        if self.override is None:
            return self.computed_graded
        return _overridden(
            self.computed_graded, self.override.earned_graded, self.override.possible_graded
        )

    @property
    def percent_graded(self) -> float:
        return compute_percent(self.graded_total.earned, self.graded_total.possible)


def compute_subsection(
    subsection: Subsection,
    scores: Mapping[UsageKey, BlockScore],
    override: SubsectionOverride | None = None,
) -> SubsectionGrade:
    """Add up a learner's scores in a subsection; ignore scores of other blocks."""
    blocks = subsection.blocks_for_learner(scores.keys())
    found: dict[UsageKey, ProblemScore] = {}
    records = []
    for block in blocks:
        score = problem_score(block, scores.get(block.usage_key))
        if score is not None:
            found[block.usage_key] = score
        records.append([str(block.usage_key), block.weight, block.max_score, block.graded])
    everything, graded = aggregate_scores(found.values())
    return SubsectionGrade(
        usage_key=subsection.usage_key,
        computed_all=everything,
        computed_graded=graded,
        override=override,
        visible_blocks=json.dumps(records, separators=(",", ":"), sort_keys=True),
        problem_scores=found,
    )


def problem_score(block: Block, stored: BlockScore | None) -> ProblemScore | None:
    """Return a learner's weighted score at a block; None if its maximum is unknown.

    Uses the stored maximum if the learner has a score, else the block's current one.
    """
    if stored is None:
        if block.max_score is None:
            return None
        earned, possible = weighted_score(0.0, block.max_score, block.weight)
        first_attempted = None
    else:
        earned, possible = weighted_score(stored.earned or 0.0, stored.possible, block.weight)
        first_attempted = None if stored.earned is None else stored.first_attempted
    is_graded = block.graded is not False and possible > 0
    return ProblemScore(earned, possible, is_graded, first_attempted)


def fingerprint(text: str) -> str:
    """Return the hash under which a list of visible blocks is stored."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _overridden(
    computed: ProblemScore, earned: float | None, possible: float | None
) -> ProblemScore:
    return ProblemScore(
        computed.earned if earned is None else earned,
        computed.possible if possible is None else possible,
        computed.graded,
        computed.first_attempted,
    )
