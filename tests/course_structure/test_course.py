"""Course structures: subsections of a block, and the blocks that a pool draws for a learner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.course_grades.courses import block, chapter, course, key, subsection
from xqueue_bridge.course_grades.grading_rules import zero_totals
from xqueue_bridge.course_structure.course import CourseStructures
from xqueue_bridge.course_structure.store import StoredStructures

POOL = key("library_content", "pool")


def names(blocks) -> list[str]:
    return [each.usage_key.block_id for each in blocks]


def test_block_in_two_subsections_is_listed_once():
    """SG62: the course lists each block once, in the order of the outline."""
    shared = block("shared")
    one, two = subsection("one", shared, block("a")), subsection("two", shared)
    made = course(one, two, subsection("three", block("b")))
    assert names(made.blocks.values()) == ["shared", "a", "b"]


def test_subsection_in_two_chapters_is_listed_once():
    """SG62: the first of its positions counts."""
    shared, other = subsection("shared", block("a")), subsection("other", block("b"))
    made = course(chapters=[chapter("one", other, shared), chapter("two", shared)])
    assert made.subsections == (other, shared)


def drawing(count: int, *blocks, **fields):
    return subsection("exam", *blocks, selection_counts={POOL: count}, **fields)


def pooled(name: str, points: float = 1.0):
    return block(name, points, pool=POOL)


def test_pool_of_three_that_draws_two_counts_two_blocks():
    """SG52: the maximum is the same for each learner without an attempt, whatever was drawn."""
    made = drawing(2, block("first", 3), pooled("a"), pooled("b"), pooled("c"))
    assert names(made.blocks_for_learner(())) == ["first", "a", "b"]
    assert zero_totals(made)[1].possible == 5.0


def test_blocks_with_a_score_replace_others_of_the_pool():
    made = drawing(2, block("first"), pooled("a"), pooled("b"), pooled("c"))
    assert names(made.blocks_for_learner({key("problem", "c")})) == ["first", "a", "c"]
    both = {key("problem", "b"), key("problem", "c")}
    assert names(made.blocks_for_learner(both)) == ["first", "b", "c"]


def test_blocks_with_a_score_count_if_the_pool_draws_fewer():
    made = drawing(1, pooled("a"), pooled("b"), pooled("c"))
    done = {key("problem", "a"), key("problem", "c")}
    assert names(made.blocks_for_learner(done)) == ["a", "c"]


def test_subsection_without_pools_has_all_blocks_for_each_learner():
    made = subsection("s", block("a"), block("b"))
    assert made.blocks_for_learner({key("problem", "b")}) == made.blocks


@given(st.integers(0, 6), st.sets(st.integers(0, 5)), st.integers(0, 8))
def test_pool_of_any_size_gives_the_drawn_number_of_blocks(size, done, selection_counts):
    made = drawing(selection_counts, *(pooled(str(n)) for n in range(size)))
    scored = {key("problem", str(n)) for n in done}
    found = made.blocks_for_learner(scored)
    own = {each.usage_key for each in made.blocks} & scored
    assert own <= {each.usage_key for each in found}
    assert len(found) == max(len(own), min(selection_counts, size))


def test_store_implements_course_structures():
    assert isinstance(StoredStructures(), CourseStructures)


def test_assignment_to_a_structure_is_an_error():
    with pytest.raises(AttributeError):
        course().version = "2"
