"""The published JSON format of a course structure: reading, writing and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey, UsageKey

from tests.course_grades.courses import HOMEWORK, block, chapter, course, key, subsection
from xqueue_bridge.course_structure.course import Block, ShowCorrectness
from xqueue_bridge.course_structure.json_format import (
    BLOCK,
    CHAPTER,
    COURSE,
    SUBSECTION,
    content_version,
    course_from,
    read_document,
    write_document,
)
from xqueue_bridge.exceptions import InvalidCourse

SCHEMA = Path(__file__).parents[2] / "docs" / "references" / "course_structure.schema.json"

LIBRARY_BLOCK = Block(UsageKey.from_string("lb:DemoX:sums:problem:p"), "problem", max_score=2.0)


def document(**fields):
    blocks = [{"key": "block-v1:O+C+R+type@problem+block@p", "type": "problem", "max_score": 2}]
    subsections = [
        {"key": "block-v1:O+C+R+type@sequential+block@s", "format": "Homework", "graded": True,
         "blocks": blocks}
    ]  # fmt: skip
    return {
        "course_key": "course-v1:O+C+R",
        "version": "7",
        "grading_policy": {"GRADER": [HOMEWORK], "GRADE_CUTOFFS": {"Pass": 0.5}},
        "chapters": [{"key": "block-v1:O+C+R+type@chapter+block@c", "subsections": subsections}],
        **fields,
    }


def change(path: str, value):
    """Return a document with the value set at a path such as chapters.0.key."""
    made = document()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node = made
    for part in way:
        node = node[part]
    node[last] = value
    return made


BLOCKS = "chapters.0.subsections.0.blocks"


def test_document_gives_a_course_structure():
    found = read_document(json.dumps(document()))
    assert found.course_key == CourseKey.from_string("course-v1:O+C+R")
    assert found.version == "7"
    (made,) = found.subsections
    assert (made.format, made.graded, made.due) == ("Homework", True, None)
    named = [found, *found.chapters, made, *made.blocks]
    assert [each.display_name for each in named] == [""] * 4
    assert [(each.block_type, each.max_score, each.weight) for each in made.blocks] == [
        ("problem", 2.0, None)
    ]


def test_absent_members_have_their_defaults():
    """A subsection is not graded, and a block has the type of its key."""
    (found,) = course_from(
        change(
            "chapters.0.subsections.0",
            {
                "key": "block-v1:O+C+R+type@sequential+block@s",
                "format": "",
                "blocks": [{"key": "block-v1:O+C+R+type@problem+block@p", "type": None}],
            },
        )
    ).subsections
    assert (found.format, found.graded) == (None, False)
    assert found.show_correctness is ShowCorrectness.ALWAYS
    assert [block.block_type for block in found.blocks] == ["problem"]


def test_written_course_is_read_as_equal():
    pool = key("library_content", "pool")
    made = course(
        chapters=[
            chapter(
                "one",
                subsection(
                    "s",
                    block("a", 2.5, weight=4.0, graded=False, pool=pool),
                    LIBRARY_BLOCK,
                    block("b", None),
                    due=datetime(2026, 5, 1, 12, tzinfo=UTC),
                    show_correctness=ShowCorrectness.PAST_DUE,
                    selection_counts={pool: 1},
                ),
            ),
            chapter("empty"),
        ],
        end=datetime(2026, 6, 1, tzinfo=UTC),
    )
    assert read_document(write_document(made)) == made


def test_document_without_a_version_gets_that_of_its_content():
    """The same content has the same version, whatever the order of the members."""
    one = course_from(document(version=None))
    other = course_from(dict(reversed(document(version="").items())))
    assert one.version == other.version == content_version(one)
    assert course_from(document(version=None, display_name="New")).version != one.version
    edited = course_from(document(version=None, edited_on="2026-12-31T23:59:00Z"))
    assert edited.version == one.version


def test_version_does_not_depend_on_the_order_of_pools():
    pools = {key("library_content", name): 1 for name in ("one", "two")}
    turned = dict(reversed(pools.items()))
    one, other = (
        course(subsection("s", block("a"), selection_counts=counts)) for counts in (pools, turned)
    )
    assert one == other
    assert content_version(one) == content_version(other)


def test_deprecated_usage_key_gets_the_run_of_the_course():
    """An i4x key has no run; the key that is read has the run of its course."""
    made = change("course_key", "O/C/R")
    made["chapters"][0]["key"] = "i4x://O/C/chapter/c"
    made["chapters"][0]["subsections"][0]["key"] = "i4x://O/C/sequential/s"
    made["chapters"][0]["subsections"][0]["blocks"][0]["key"] = "i4x://O/C/problem/p"
    (found,) = course_from(made).blocks
    assert found.course_key == CourseKey.from_string("O/C/R")


def test_time_without_a_zone_is_utc():
    found = course_from(document(end="2026-12-31T23:59:00", edited_on="2026-12-31T23:59:00+02:00"))
    assert found.end == datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert found.edited_on == datetime(2026, 12, 31, 21, 59, tzinfo=UTC)


def _twice(path: str, **changed):
    made = document()
    node = made
    for part in path.split("."):
        node = node[int(part) if part.isdigit() else part]
    node.append({**node[0], **changed})
    return made


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (None, "document"),
        ([], "document"),
        (document(course_key=None), "course_key"),
        (document(course_key="O C R"), "course_key"),
        (document(course_key="library-v1:O+L"), "course_key"),
        (document(version=7), "version"),
        (document(version="v" * 256), "version"),
        (document(version="v\0"), "version"),
        (document(version="\ud800"), "version"),
        (document(end="tomorrow"), "end"),
        (document(end="0001-01-01T00:00:00+12:00"), "end"),
        (document(grading_policy=None), "grading_policy"),
        (document(grading_policy={"GRADER": []}), "grading_policy.GRADE_CUTOFFS"),
        (document(chapters={}), "chapters"),
        (document(chapters=[7]), "chapters[0]"),
        (document(chapter=[]), "chapter"),
        (change("chapters.0.key", 7), "chapters[0].key"),
        (change("chapters.0.subsection", []), "chapters[0].subsection"),
        (change("chapters.0.subsections.0.graded", "yes"), "chapters[0].subsections[0].graded"),
        (change("chapters.0.subsections.0.name", "x"), "chapters[0].subsections[0].name"),
        (change(f"{BLOCKS}.0.points", 2), "chapters[0].subsections[0].blocks[0].points"),
        (
            change("chapters.0.subsections.0.show_correctness", "later"),
            "chapters[0].subsections[0].show_correctness",
        ),
        (
            change("chapters.0.subsections.0.selection_counts", {"p": 1}),
            "chapters[0].subsections[0].selection_counts",
        ),
        (
            change(
                "chapters.0.subsections.0.selection_counts",
                {"block-v1:O+C+R+type@library_content+block@l": 1.5},
            ),
            "chapters[0].subsections[0].selection_counts['block-v1:O+C+R+type@library_content+block@l']",
        ),
        (change(f"{BLOCKS}.0.max_score", "2"), "chapters[0].subsections[0].blocks[0].max_score"),
        (change(f"{BLOCKS}.0.max_score", True), "chapters[0].subsections[0].blocks[0].max_score"),
        (change(f"{BLOCKS}.0.weight", 10**400), "chapters[0].subsections[0].blocks[0].weight"),
        (change(f"{BLOCKS}.0.weight", -1), "chapters[0].subsections[0].blocks[0].weight"),
        (
            change(f"{BLOCKS}.0.weight", float("inf")),
            "chapters[0].subsections[0].blocks[0].weight",
        ),
        (
            change(f"{BLOCKS}.0.key", "block-v1:O+C+R2+type@problem+block@p"),
            "chapters[0].subsections[0].blocks[0].key",
        ),
        (
            change(f"{BLOCKS}.0.pool", "block-v1:O+C+R+type@library_content+block@l"),
            "chapters[0].subsections[0].blocks[0].pool",
        ),
        (_twice(BLOCKS), "chapters[0].subsections[0].blocks[1].key"),
        (_twice("chapters.0.subsections", format="Exam"), "chapters[0].subsections[1]"),
    ],
)
def test_invalid_member_is_named_in_the_error(made, named):
    """An invalid document is refused when it is loaded; the error has the path of the member."""
    with pytest.raises(InvalidCourse) as caught:
        course_from(made)
    assert caught.value.field == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"course_key":\n,}', "document, line 2"),
        ("[" * 100_000, "document"),
        ("1" * 10_000, "document"),
        ("", "document, line 1"),
        ('{"display_name": "\\ud800"}', "document"),
    ],
)
def test_text_that_is_not_json_is_refused(text, named):
    with pytest.raises(InvalidCourse) as caught:
        read_document(text)
    assert caught.value.field == named


LONG_KEY = "block-v1:O+C+R+type@chapter+block@" + "c" * 221


def test_values_at_their_limits_are_read():
    texts = {"version": "v" * 255, "display_name": "n" * 255}
    found = course_from(document(**texts))
    assert (found.version, found.display_name) == ("v" * 255, "n" * 255)
    for points in (0, 1_000_000):
        (read,) = course_from(change(f"{BLOCKS}.0.weight", points)).blocks.values()
        assert read.weight == points
    assert len(LONG_KEY) == 255
    (chapter_read,) = course_from(change("chapters.0.key", LONG_KEY)).chapters
    assert str(chapter_read.usage_key) == LONG_KEY


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (document(display_name="n" * 256), "display_name"),
        (change("chapters.0.key", f"{LONG_KEY}c"), "chapters[0].key"),
        (
            change(f"{BLOCKS}.0.weight", 1_000_001),
            "chapters[0].subsections[0].blocks[0].weight",
        ),
    ],
)
def test_value_beyond_its_limit_is_refused(made, named):
    with pytest.raises(InvalidCourse) as caught:
        course_from(made)
    assert caught.value.field == named


def test_equal_repeated_subsection_is_read_once():
    """SG62: a document may repeat a subsection with the same content."""
    assert len(course_from(_twice("chapters.0.subsections")).subsections) == 1


def test_published_schema_has_the_members_of_the_reader():
    """The schema is for tools and editors; the reader does not use it."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    described = {"course": schema, **schema["$defs"]}
    read = {"course": COURSE, "chapter": CHAPTER, "subsection": SUBSECTION, "block": BLOCK}
    for name, members in read.items():
        assert set(described[name]["properties"]) == set(members), name
        assert described[name]["additionalProperties"] is False
    values = schema["$defs"]["subsection"]["properties"]["show_correctness"]["enum"]
    assert values == [*ShowCorrectness, None]


texts = st.text(max_size=12)
numbers = st.none() | st.floats(0, 1000)
blocks = st.builds(
    lambda n, points, weight, graded, **names: replace(
        block(f"b{n}", points, weight=weight, graded=graded), **names
    ),
    st.integers(0, 9),
    numbers,
    numbers,
    st.none() | st.booleans(),
    display_name=texts,
    block_type=st.sampled_from(["problem", "lti"]),
)
subsections = st.builds(
    lambda n, found, name, kind, graded, shown: subsection(
        f"s{n}",
        *{each.usage_key: each for each in found}.values(),
        display_name=name,
        format=kind or None,
        graded=graded,
        show_correctness=shown,
    ),
    st.integers(0, 99),
    st.lists(blocks, max_size=5),
    texts,
    texts,
    st.booleans(),
    st.sampled_from(ShowCorrectness),
)


@given(st.lists(subsections, max_size=4, unique_by=lambda each: each.usage_key))
def test_any_written_course_is_read_as_equal(found):
    made = course(*found)
    assert read_document(write_document(made)) == made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(
        [
            *document(),
            "chapters.0",
            *(f"chapters.0.{name}" for name in CHAPTER),
            *(f"chapters.0.subsections.0.{name}" for name in SUBSECTION),
            *(f"{BLOCKS}.0.{name}" for name in BLOCK),
        ]
    ),
    json_values,
)
def test_any_value_of_a_member_is_read_or_invalid_course(path, value):
    """No JSON value causes another exception."""
    try:
        found = course_from(change(path, value))
    except InvalidCourse:
        return
    assert read_document(write_document(found)) == found
