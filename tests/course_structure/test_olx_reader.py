"""Reading a course that Studio has exported."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey

from demo.course import OLX
from demo.course import course as demo_course
from tests import odd_json
from tests.course_structure import olx_factories
from xqueue_bridge.course_grades.grading_rules import zero_totals
from xqueue_bridge.course_structure.course import ShowCorrectness
from xqueue_bridge.course_structure.json_format import read_document, write_document
from xqueue_bridge.course_structure.olx.author_values import date_from
from xqueue_bridge.course_structure.olx.reader import read_olx
from xqueue_bridge.course_structure.validation import EARLIEST, LATEST, json_from
from xqueue_bridge.exceptions import CourseTooLarge, InvalidCourse

VERTICAL = "<vertical>{}</vertical>"
PROBLEM = '<problem url_name="{}"><stringresponse><textline/></stringresponse></problem>'
TWO = PROBLEM.format("a") + PROBLEM.format("b")


@pytest.fixture
def read(tmp_path: Path):
    def read(**changed):
        return read_olx(olx_factories.folder(tmp_path / "course", olx_factories.files(**changed)))

    return read


def names(blocks) -> list[str]:
    return [each.usage_key.block_id for each in blocks]


def test_exported_course_gives_a_course_structure(read):
    found = read()
    assert found.course_key == CourseKey.from_string("course-v1:O+C+R")
    assert found.display_name == "Small"
    assert found.policy.cutoffs == (("Pass", 0.6),)
    assert [each.display_name for each in found.chapters] == ["One"]
    (made,) = found.subsections
    assert (made.display_name, made.format, made.graded) == ("First", "Homework", True)
    (block,) = made.blocks
    assert str(block.usage_key) == "block-v1:O+C+R+type@problem+block@p"
    assert (block.max_score, block.weight, block.graded) == (2.0, 4.0, None)
    assert read_document(write_document(found)) == found


def test_demo_course_has_the_points_of_its_pages():
    """Maximum scores and order are those that the demo's pages show."""
    found = read_olx(OLX)
    shown = {problem.usage_key: float(sum(problem.points)) for problem in demo_course().problems}
    assert {key: block.max_score for key, block in found.blocks.items()} == shown
    assert list(found.blocks) == list(shown)
    assert found.course_key == demo_course().key


def test_archive_gives_the_same_course_as_its_folder(tmp_path):
    folder = read_olx(olx_factories.folder(tmp_path / "folder", olx_factories.FILES))
    assert (
        read_olx(olx_factories.archive(tmp_path / "course.tar.gz", olx_factories.FILES)) == folder
    )
    assert (
        read_olx(olx_factories.archive(tmp_path / "flat.tar.gz", olx_factories.FILES, prefix="./"))
        == folder
    )
    assert (
        read_olx(olx_factories.folder(tmp_path / "outer" / "course", olx_factories.FILES).parent)
        == folder
    )


def test_version_changes_with_the_content_only(read, tmp_path):
    before = read()
    assert read().version == before.version
    assert read(problem__p='<problem weight="5"/>').version != before.version


def test_course_is_read_with_another_course_key(tmp_path):
    other = CourseKey.from_string("course-v1:O+C+Again")
    found = read_olx(olx_factories.folder(tmp_path, olx_factories.FILES), other)
    assert found.course_key == other
    assert {key.course_key for key in found.blocks} == {other}


def test_element_inside_its_parent_is_read(read):
    found = read(
        course='<course url_name="R" org="O" course="C"><chapter url_name="c">'
        '<sequential url_name="s" graded="true" format="Homework"><vertical>'
        + PROBLEM.format("p")
        + "</vertical></sequential></chapter></course>"
    )
    assert names(found.blocks.values()) == ["p"]


def test_colon_in_a_url_name_is_a_folder(tmp_path):
    made = olx_factories.files(vertical__v='<vertical><problem url_name="week1:p"/></vertical>')
    made["problem/week1/p.xml"] = made.pop("problem/p.xml")
    assert names(read_olx(olx_factories.folder(tmp_path, made)).blocks.values()) == ["week1:p"]


def test_quoted_attribute_is_read_as_json(read):
    """Studio has written dates and texts with their quotation marks."""
    found = read(
        course__R='<course end="&quot;2026-07-01T00:00:00Z&quot;" display_name="&quot;A&quot;">'
        '<chapter url_name="one"/></course>',
        problem__p='<problem weight="&quot;3&quot;" display_name="P"/>',
    )
    assert found.end == datetime(2026, 7, 1, tzinfo=UTC)
    assert found.display_name == "A"
    assert [(each.weight, each.display_name) for each in found.blocks.values()] == [(3.0, "P")]


def test_subsection_inherits_settings_of_its_chapter(read):
    found = read(
        chapter__one='<chapter due="2026-05-01T12:00:00Z" show_correctness="past_due">'
        '<sequential url_name="s"/></chapter>',
        sequential__s='<sequential format="Exam" graded="true" due=""/>',
    )
    (made,) = found.subsections
    assert made.show_correctness is ShowCorrectness.PAST_DUE
    assert made.due is None
    assert made.format == "Exam"


def test_policy_json_overrides_attributes(tmp_path):
    made = olx_factories.files()
    made["policies/R/policy.json"] = json.dumps(
        {
            "course/R": {"end": "2026-07-01T00:00:00Z", "display_name": "Large"},
            "sequential/s": {"format": "Exam", "graded": False, "due": None},
            "problem/p": {"weight": 7},
            "video/v": ["not", "settings"],
        }
    )
    found = read_olx(olx_factories.folder(tmp_path, made))
    assert found.display_name == "Large"
    assert found.end == datetime(2026, 7, 1, tzinfo=UTC)
    assert [(each.format, each.graded) for each in found.subsections] == [("Exam", False)]
    assert [each.weight for each in found.blocks.values()] == [7.0]


@pytest.mark.parametrize(
    ("unit", "problem", "graded"),
    [
        ("", "", None),
        ("", 'graded="false"', False),
        ('graded="false"', "", False),
        ('graded="false"', 'graded="true"', True),
        ('graded="true"', "", True),
    ],
)
def test_graded_of_a_problem_is_its_own_or_that_of_its_unit(read, unit, problem, graded):
    """The subsection's value says whether the subsection counts, and not the problem."""
    found = read(
        sequential__s='<sequential graded="false"><vertical url_name="v"/></sequential>',
        vertical__v=f'<vertical {unit}><problem url_name="p"/></vertical>',
        problem__p=f"<problem {problem}/>",
    )
    assert [each.graded for each in found.blocks.values()] == [graded]


def test_block_visible_to_staff_only_is_left_out(read):
    hidden = PROBLEM.format("b").replace("<problem", '<problem visible_to_staff_only="true"')
    assert names(
        read(vertical__v=VERTICAL.format(PROBLEM.format("a") + hidden)).blocks.values()
    ) == ["a"]


def test_block_in_two_subsections_is_in_both(read):
    """SG62: a block belongs to each subsection that contains it."""
    unit = '<vertical url_name="v"/>'
    found = read(
        chapter__one=f'<chapter><sequential url_name="s">{unit}</sequential>'
        f'<sequential url_name="t">{unit}</sequential></chapter>'
    )
    (key,) = found.blocks
    assert [[each.usage_key for each in one.blocks] for one in found.subsections] == [[key], [key]]


def test_subsection_in_two_chapters_is_read_once(read):
    """SG62: it is graded once."""
    found = read(
        course__R='<course><chapter url_name="one"/><chapter url_name="two"/></course>',
        chapter__two='<chapter format="Exam"><sequential url_name="s"/></chapter>',
    )
    assert [names(each.subsections) for each in found.chapters] == [["s"], ["s"]]
    assert len(found.subsections) == 1
    assert read_document(write_document(found)) == found


@pytest.mark.parametrize(
    ("pool", "possible"),
    [
        ('<library_content url_name="l" max_count="1">{}</library_content>', 1),
        ('<library_content url_name="l">{}</library_content>', 1),
        ('<itembank url_name="l" max_count="1">{}</itembank>', 1),
        ('<library_content url_name="l" max_count="-1">{}</library_content>', 2),
        ('<library_content url_name="l" max_count="9">{}</library_content>', 2),
        ('<library_content url_name="l" max_count="9999999">{}</library_content>', 2),
        ('<randomize url_name="l">{}</randomize>', 1),
        ('<conditional url_name="l">{}</conditional>', 2),
    ],
)
def test_pool_counts_the_number_of_blocks_that_it_draws(read, pool, possible):
    """SG52: the maximum is the same for each learner before the first attempt."""
    found = read(vertical__v=VERTICAL.format(pool.format(TWO)))
    assert names(found.blocks.values()) == ["a", "b"]
    assert read_document(write_document(found)) == found
    assert zero_totals(found.subsections[0])[1].possible == possible


def test_block_whose_points_are_not_in_the_olx_has_no_maximum(read):
    """It counts for learners who have a score there."""
    found = read(vertical__v='<vertical><done url_name="d"/><poll url_name="q"/></vertical>')
    assert [(each.block_type, each.max_score) for each in found.blocks.values()] == [("done", None)]


@pytest.mark.parametrize(
    ("changed", "where", "reason"),
    [
        ({"course": "<course"}, "course.xml, line 1", "is not XML"),
        ({"course": '<library url_name="R"/>'}, "course.xml", "must hold a course"),
        (
            {"course": '<course org="O" course="C"/>'},
            "course.xml, line 1, course, attribute 'url_name'",
            "must be letters",
        ),
        (
            {"course": '<course url_name="R" org="O"/>'},
            "course.xml, line 1, course 'R'",
            "needs org",
        ),
        (
            {"course": '<course url_name="../R" org="O" course="C"/>'},
            "course.xml, line 1, course '../R', attribute 'url_name'",
            "must be letters",
        ),
        (
            {"course": '<course url_name="Q" org="O" course="C"/>'},
            "course.xml, line 1, course 'Q'",
            "points to course/Q.xml, which is missing",
        ),
        (
            {"vertical__v": VERTICAL.format('<vertical url_name="v"/>')},
            "vertical/v.xml, line 1, vertical 'v'",
            "stands too deep",
        ),
        (
            {"vertical__v": VERTICAL.format('<vertical url_name="v"/>' * 2)},
            "vertical/v.xml, line 1, vertical 'v'",
            "stands too deep",
        ),
    ],
)
def test_invalid_course_is_refused_with_file_line_and_element(read, changed, where, reason):
    """No part of the course is read."""
    with pytest.raises(InvalidCourse) as caught:
        read(**changed)
    assert caught.value.field == where
    assert caught.value.reason.startswith(reason)


OTHER = '<sequential url_name="other" graded="true"><problem url_name="q" weight="1"/></sequential>'


@pytest.mark.parametrize(
    ("changed", "where", "reason"),
    [
        (
            {"chapter__one": None},
            "course/R.xml, line 1, chapter 'one'",
            "points to chapter/one.xml, which is missing",
        ),
        (
            {"chapter__one": "<sequential/>"},
            "chapter/one.xml, line 1, sequential",
            "must be a chapter",
        ),
        (
            {"chapter__one": '<chapter><problem url_name="p"/></chapter>'},
            "problem/p.xml, line 1, problem 'p'",
            "must stand in a subsection",
        ),
        (
            {"course__R": '<course><problem url_name="p"/></course>'},
            "problem/p.xml, line 1, problem 'p'",
            "must stand in a chapter",
        ),
        (
            {"course__R": '<course><sequential url_name="s"/></course>'},
            "sequential/s.xml, line 1, sequential 's'",
            "must stand in a chapter",
        ),
        (
            {"chapter__one": '<chapter><sequential graded="true"/></chapter>'},
            "chapter/one.xml, line 1, sequential",
            "has no url_name",
        ),
        (
            {"sequential__s": '\n<sequential graded="perhaps"/>'},
            "sequential/s.xml, line 2, sequential 's', attribute 'graded'",
            "must be true or false",
        ),
        (
            {"sequential__s": '<sequential due="in May"/>'},
            "sequential/s.xml, line 1, sequential 's', attribute 'due'",
            "must be a date",
        ),
        (
            {"sequential__s": '<sequential show_correctness="later"/>'},
            "sequential/s.xml, line 1, sequential 's'.show_correctness",
            "is not one of",
        ),
        (
            {"vertical__v": VERTICAL.format("<problem/>")},
            "vertical/v.xml, line 1, problem",
            "has no url_name",
        ),
        (
            {"vertical__v": VERTICAL.format(f'<problem url_name="{"p" * 250}" weight="1"/>')},
            f"vertical/v.xml, line 1, problem '{'p' * 250}', attribute 'url_name'",
            "makes a key of more than 255",
        ),
        (
            {"vertical__v": VERTICAL.format('<problem url_name="a b" weight="1"/>')},
            "vertical/v.xml, line 1, problem 'a b', attribute 'url_name'",
            "makes no usage key",
        ),
        (
            {"problem__p": '<problem weight="heavy"/>'},
            "problem/p.xml, line 1, problem 'p', attribute 'weight'",
            "must be a number",
        ),
        (
            {"vertical__v": VERTICAL.format(f'<split_test url_name="x">{TWO}</split_test>')},
            "vertical/v.xml, line 1, split_test 'x'",
            "has blocks that are scored",
        ),
        (
            {
                "vertical__v": VERTICAL.format(
                    f'<library_content url_name="l" max_count="few">{TWO}</library_content>'
                )
            },
            "vertical/v.xml, line 1, library_content 'l', attribute 'max_count'",
            "must be a whole number",
        ),
        (
            {
                "problem__p": "<problem><coderesponse>"
                + '<textbox points="999999"/>' * 2
                + "</coderesponse></problem>"
            },
            "problem/p.xml, line 1, problem 'p'",
            "must be a number from 0 to 1,000,000",
        ),
        (
            {"sequential__s": f'<sequential url_name="s" format="{"f" * 256}"/>'},
            "sequential/s.xml, line 1, sequential 's', attribute 'format'",
            "is longer than 255",
        ),
        (
            {"problem__p": "<problem>"},
            "problem/p.xml, line 1",
            "is not XML",
        ),
        (
            {"problem__p": None},
            "vertical/v.xml, line 1, problem 'p'",
            "points to problem/p.xml, which is missing",
        ),
    ],
)
def test_invalid_element_is_reported_and_the_others_are_read(tmp_path, changed, where, reason):
    """The error names file, line and element; the other chapter is read."""
    made = olx_factories.files(**changed)
    made["course/R.xml"] = made["course/R.xml"].replace(
        "</course>", f'<chapter url_name="two" display_name="Two">{OTHER}</chapter></course>'
    )
    reported = []
    course = read_olx(olx_factories.folder(tmp_path, made), report=reported.append)
    assert [error.field for error in reported] == [where]
    assert reported[0].reason.startswith(reason)
    last = course.chapters[-1].subsections[0]
    assert (last.usage_key.block_id, len(last.blocks), last.graded) == ("other", 1, True)


def test_settings_that_cannot_be_read_have_their_defaults(read):
    """Kind 11: correctness is shown, the subsection is not graded, and a pool gives one block."""
    pool = f'<library_content url_name="l" max_count="few">{TWO}</library_content>'
    (found,) = read(
        sequential__s='<sequential show_correctness="later" graded="$x" due="$x">'
        f"{VERTICAL.format(pool)}</sequential>"
    ).subsections
    assert (found.show_correctness, found.graded, found.due) == (
        ShowCorrectness.ALWAYS,
        False,
        None,
    )
    assert list(found.selection_counts.values()) == [1]


def test_link_to_itself_is_reported_and_the_other_files_are_read(tmp_path):
    root = olx_factories.folder(tmp_path, olx_factories.FILES)
    (root / "problem/p.xml").unlink()
    (root / "problem/p.xml").symlink_to("p.xml")
    reported = []
    (found,) = read_olx(root, report=reported.append).subsections
    assert found.blocks == ()
    assert len(reported) == 1


def test_subsection_in_two_chapters_has_the_settings_of_the_first(read):
    found = read(
        course__R="<course>"
        '<chapter url_name="c" format="Exam"><sequential url_name="s"/></chapter>'
        '<chapter url_name="d" format="Lab"><sequential url_name="s"/></chapter></course>',
        sequential__s=f"<sequential>{VERTICAL.format(TWO)}</sequential>",
    )
    assert [each.format for each in found.subsections] == ["Exam"]
    assert [chapter.subsections for chapter in found.chapters] == [found.subsections] * 2


def test_other_element_of_the_course_is_not_reported(tmp_path):
    made = olx_factories.files(
        course__R='<course><textbook title="T"/><chapter url_name="one"/></course>',
        vertical__v='<vertical><problem url_name="p"/><split_test><html/></split_test></vertical>',
    )
    reported = []
    assert read_olx(olx_factories.folder(tmp_path, made), report=reported.append).blocks
    assert reported == []


def test_error_without_a_report_function_is_logged(read, caplog):
    read(problem__p='<problem weight="heavy"/>')
    assert "attribute 'weight'" in caplog.text


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"problem__p": '<problem weight="heavy"><coderesponse><textbox/></coderesponse>'
                        "</problem>"}, (None, 1.0)),
        ({"problem__p": '<problem weight="3"><coderesponse><textbox points="$pts"/></coderesponse>'
                        "</problem>"}, (3.0, None)),
        ({"problem__p": '<problem weight="3"><coderesponse><textbox points="1.5"/></coderesponse>'
                        "</problem>"}, (3.0, None)),
    ],
)  # fmt: skip
def test_number_that_cannot_be_read_is_none(read, changed, expected):
    """Such a maximum or weight is unknown, and the problem is in the course."""
    (block,) = read(**changed).blocks.values()
    assert (block.weight, block.max_score) == expected


YEAR = datetime.now(UTC).year


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        ("May 20 2013 23:30 UTC", datetime(2013, 5, 20, 23, 30, tzinfo=UTC)),
        ("2013-05-20", datetime(2013, 5, 20, tzinfo=UTC)),
        ("March 20 17:00", datetime(YEAR, 3, 20, 17, tzinfo=UTC)),
        ("12 Oct 2012 23:00 +0200", datetime(2012, 10, 12, 21, tzinfo=UTC)),
        ('"2012-10-12T23:00:00Z"', datetime(2012, 10, 12, 23, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", LATEST),
        ("31 Dec 9999 23:59 UTC", LATEST),
        ("0001-01-01T00:00:00Z", EARLIEST),
        ("1350082800000", datetime(2012, 10, 12, 23, tzinfo=UTC)),
        ("20121012", datetime(2012, 10, 12, tzinfo=UTC)),
        ("9" * 90, None),
        ("in May", None),
        ("17:00", None),
        ("1" * 5000, None),
        ("9999-99-99", None),
        ("99999999999999999999 May", None),
        ("March", None),
        ("20th", None),
    ],
)
def test_date_is_read_as_by_the_platform(read, due, expected):
    """It is read as by the platform's Date field; without month and day there is no date."""
    made = f"<sequential due='{due}'><vertical url_name=\"v\"/></sequential>"
    (subsection,) = read(sequential__s=made).subsections
    assert subsection.due == expected


@given(st.text(max_size=120))
def test_any_text_is_a_date_or_invalid_course(text):
    """No other exception is raised."""
    try:
        assert date_from(text, "due").tzinfo is UTC
    except InvalidCourse as exc:
        assert exc.field == "due"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('graded="1"', ("Homework", True, "always")),
        ('graded="0"', ("Homework", False, "always")),
        ('graded="TRUE" format="&quot;Exam&quot;"', ("Exam", True, "always")),
        ('graded="null" format="null"', (None, False, "always")),
        ('show_correctness="&quot;never&quot;"', ("Homework", True, "never")),
        ('show_correctness="null"', ("Homework", True, "always")),
    ],
)
def test_attribute_is_read_as_by_the_platform(read, attributes, expected):
    """Kind 11: as JSON, else as text; a null ends what is inherited."""
    (found,) = read(
        chapter__one='<chapter graded="true" format="Homework">'
        '<sequential url_name="s"/></chapter>',
        sequential__s=f"<sequential {attributes}/>",
    ).subsections
    assert (found.format, found.graded, found.show_correctness) == expected


def test_null_in_policy_json_ends_what_is_inherited(tmp_path):
    """Kind 11: also what the element itself says; a number is a date in milliseconds."""
    made = olx_factories.files(
        chapter__one='<chapter due="2026-05-01"><sequential url_name="s"/></chapter>'
    )
    made["policies/R/policy.json"] = json.dumps(
        {"sequential/s": {"due": None, "format": None}, "course/R": {"end": 1350082800000}}
    )
    found = read_olx(olx_factories.folder(tmp_path, made))
    (subsection,) = found.subsections
    assert (subsection.due, subsection.format) == (None, None)
    assert found.end == datetime(2012, 10, 12, 23, tzinfo=UTC)


@pytest.mark.parametrize("value", ["1", "True", "&quot;true&quot;"])
def test_true_is_read_as_by_the_platform(read, value):
    """Kind 11: for blocks that only staff see, and for LTI components with scores."""
    made = f'<problem url_name="p" visible_to_staff_only="{value}"><p/></problem>'
    made += f'<lti_consumer url_name="l" has_score="{value}"/>'
    assert names(read(vertical__v=VERTICAL.format(made)).blocks.values()) == ["l"]


@pytest.mark.parametrize(
    ("problem", "name", "points"),
    [
        ('<problem slug="a"/>', "a", 2),
        ('<problem name="Why: now?"><p/></problem>', "Why_now_", 0),
        ('<problem display_name="Why now?"><p/></problem>', "Why_now_", 0),
        ('<problem url_name="b" filename="a"/>', "b", 2),
        ('<problem url_name="b" filename="old/a" weight="7"/>', "b", 3),
    ],
)
def test_names_of_courses_from_2012_are_read(read, problem, name, points):
    """Kind 11: an element may have another attribute for its name, and for its file's name."""
    two = '<problem weight="5"><coderesponse><textbox points="{}"/></coderesponse></problem>'
    made = {"problem__a": two.format(2), "problem__old__a": two.format(3)}
    (block,) = read(vertical__v=VERTICAL.format(problem), **made).blocks.values()
    assert (block.usage_key.block_id, block.max_score) == (name, points)
    assert block.weight == (7 if "weight" in problem else 5 if "slug" in problem else None)


def test_second_element_of_a_name_without_url_name_is_reported(tmp_path):
    """Kind 11: the platform makes a name of its content."""
    made = '<problem display_name="Quiz"><p/></problem>' * 2 + '<problem url_name="p"/>'
    reported = []
    course = olx_factories.folder(tmp_path, olx_factories.files(vertical__v=VERTICAL.format(made)))
    found = read_olx(course, report=reported.append)
    assert names(found.blocks.values()) == ["Quiz", "p"]
    assert [error.reason for error in reported] == ["has no url_name, by which scores find it"]


@pytest.mark.parametrize(("written", "number"), [("2.0", 2), ("", 1), ("null", 1), (" 2 ", 2)])
def test_number_of_a_pool_is_read_as_by_the_platform(read, written, number):
    pool = f'<library_content url_name="l" max_count="{written}">{TWO}</library_content>'
    (subsection,) = read(vertical__v=VERTICAL.format(pool)).subsections
    assert list(subsection.selection_counts.values()) == [number]


def test_split_test_is_left_out_with_its_blocks(read):
    """The blocks beside it are read."""
    made = f'<split_test url_name="x">{TWO}</split_test><problem url_name="p"/>'
    assert [key.block_id for key in read(vertical__v=VERTICAL.format(made)).blocks] == ["p"]


@pytest.mark.parametrize(
    ("changed", "types", "letters", "missing"),
    [
        ({"grading_policy.json": json.dumps(olx_factories.POLICY)}, 1, ["Pass"], []),
        ({}, 4, ["Pass"], ["grading_policy.json.GRADER", "grading_policy.json.GRADE_CUTOFFS"]),
        (
            {"policies/R/grading_policy.json": '{"GRADE_CUTOFFS": {"A": 0.9}}'},
            *(4, ["A"], ["policies/R/grading_policy.json.GRADER"]),
        ),
    ],
    ids=["in the course's folder", "no file", "no assignment types"],
)
def test_missing_part_of_a_grading_policy_is_the_platforms(
    tmp_path, changed, types, letters, missing
):
    """Kind 11: it is reported."""
    made = olx_factories.files()
    del made["policies/R/grading_policy.json"]
    reported = []
    found = read_olx(olx_factories.folder(tmp_path, {**made, **changed}), report=reported.append)
    assert len(found.policy.assignments) == types
    assert [letter for letter, _ in found.policy.cutoffs] == letters
    assert sorted(error.field for error in reported) == missing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "policies/R/grading_policy.json, line 1: is not JSON: .+"),
        ('{"GRADER": ["\\ud800"]}', "policies/R/grading_policy.json: holds half of a character"),
        (
            '{"GRADER": {}}',
            "policies/R/grading_policy.json.GRADER: must be a list of assignment types",
        ),
        (
            json.dumps({"GRADER": [{"type": "Lab", "drop_count": 0}], "GRADE_CUTOFFS": {}}),
            r"policies/R/grading_policy.json.GRADER\[0\] \('Lab'\).min_count: is missing",
        ),
    ],
)
def test_invalid_grading_policy_is_refused(tmp_path, text, message):
    """SG63: the error names the entry and its file."""
    made = {**olx_factories.FILES, "policies/R/grading_policy.json": text}
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_olx(olx_factories.folder(tmp_path, made))


@pytest.mark.parametrize(
    ("text", "reason"), [("[1]", "must be an object"), ('{"a": {},}', "is not JSON")]
)
def test_policy_json_that_cannot_be_read_is_reported(tmp_path, text, reason):
    """Kind 11: the platform reads the course without it, too."""
    made = {**olx_factories.FILES, "policies/R/policy.json": text}
    reported = []
    found = read_olx(olx_factories.folder(tmp_path, made), report=reported.append)
    assert [error.field.split(",")[0] for error in reported] == ["policies/R/policy.json"]
    assert reported[0].reason.startswith(reason)
    assert names(found.blocks.values()) == ["p"]


def test_policy_json_beside_the_folders_of_policies_is_read(tmp_path):
    """Kind 11: where courses from 2012 have it."""
    made = olx_factories.files()
    del made["policies/R/policy.json"]
    made["policies/R.json"] = json.dumps({"sequential/s": {"format": "Exam"}})
    (subsection,) = read_olx(olx_factories.folder(tmp_path, made)).subsections
    assert subsection.format == "Exam"


def test_units_that_multiply_are_refused(tmp_path):
    """Each unit contains the next one ten times: a million units from seven files."""
    made = olx_factories.files(vertical__v=VERTICAL.format('<vertical url_name="v1"/>' * 10))
    for number in range(1, 8):
        following = f'<vertical url_name="v{number + 1}"/>' * 10 if number < 7 else ""
        made[f"vertical/v{number}.xml"] = VERTICAL.format(following)
    with pytest.raises(InvalidCourse, match="is one too many"):
        read_olx(olx_factories.folder(tmp_path, made))


#: Values of attributes, in the course's XML or in its policy.json.
odd_values = st.sampled_from(
    ["", " ", "true", "null", "NaN", "-1", "0.5", "1e999", "9" * 400, "9" * 5000, "$points", "1_0"]
    + ["½", "٣", "March 20 17:00", "2026-05-20", "Homework", "a b", "../p", "week:1", "é" * 300]
    + ['"2"', '"', '"\\ud800"', '"\\u0000"', '"[" * 600', "s", "v", "p", "one", "R", "always"]
) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10)
attributes = st.dictionaries(
    st.sampled_from(
        ["url_name", "url_name", "display_name", "format", "graded", "due", "show_correctness"]
        + ["weight", "points", "max_score", "max_count", "has_score", "visible_to_staff_only"]
    ),
    odd_values,
    max_size=4,
)
tags = st.sampled_from(
    ["course", "chapter", "sequential", "vertical", "problem", "coderesponse", "textbox", "html"]
    + ["library_content", "itembank", "randomize", "split_test", "conditional", "wrapper", "lti"]
    + ["annotationresponse", "openassessment", "criterion", "option", "edx_sga", "unknown"]
)


LAST = (
    '<chapter url_name="two"><sequential url_name="last"><problem url_name="q"/>'
    "</sequential></chapter>"
)


def element(tag: str, given: dict[str, str], inner: str) -> str:
    named = "".join(f" {name}={quoteattr(value)}" for name, value in given.items())
    return f"<{tag}{named}>{inner}</{tag}>"


elements = st.recursive(
    st.builds(element, tags, attributes, st.just("")),
    lambda inner: st.builds(element, tags, attributes, st.lists(inner, max_size=4).map("".join)),
    max_leaves=8,
)
content = st.one_of(
    st.lists(elements, max_size=3).map("".join),
    st.sampled_from(["<", "&amp;", "&nbsp;", "<!-- -->", "\ufeff"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {
            f"{tag}__{name}": st.none() | st.builds(element, st.just(tag), attributes, content)
            for tag, name in (
                ("chapter", "one"), ("sequential", "s"), ("vertical", "v"), ("problem", "p")
            )
        }
    ),
    odd_json.texts({f"{tag}/{name}": {"weight": 2, "due": "2026-05-20", "format": "Homework"}
                    for tag, name in (("chapter", "one"), ("sequential", "s"), ("problem", "p"))}),
)  # fmt: skip
def test_course_with_any_content_is_read_and_can_be_published(tmp_path, changed, policy):
    """Kind 11: an element that cannot be read is reported, and the other ones are read."""
    for path in tmp_path.rglob("*.xml"):
        path.unlink()
    made = olx_factories.files(
        course__R=f'<course><chapter url_name="one"/>{LAST}</course>',
        problem__q="<problem/>",
        **changed,
    )
    with suppress(InvalidCourse):
        if isinstance(json_from(policy, "policy.json"), dict):
            made["policies/R/policy.json"] = policy
    try:
        found = read_olx(olx_factories.folder(tmp_path, made))
    except CourseTooLarge:
        return  # its files point at each other
    assert names(found.subsections)[-1:] == ["last"]
    assert read_document(write_document(found)) == found
    assert all(zero_totals(each)[0].possible >= 0 for each in found.subsections)
