"""The command that imports a course, called with an operator's arguments."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from opaque_keys.edx.keys import CourseKey

from demo.course import OLX
from tests.course_grades.courses import HOMEWORK
from tests.course_structure import olx_factories
from xqueue_bridge.course_structure import load as load_module
from xqueue_bridge.course_structure.json_format import write_document
from xqueue_bridge.course_structure.olx.reader import read_olx
from xqueue_bridge.course_structure.store import StoredStructures

pytestmark = pytest.mark.django_db

KEY = CourseKey.from_string("course-v1:O+C+R")


def load(path: Path, *options: str) -> tuple[str, str]:
    output, notes = io.StringIO(), io.StringIO()
    arguments = ("xqueue_bridge_import_course", str(path), *options)
    call_command(*arguments, stdout=output, stderr=notes, no_color=True)
    return output.getvalue(), notes.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return olx_factories.folder(tmp_path / "course", olx_factories.FILES)


def test_imported_course_is_published_and_summarised(folder):
    output, notes = load(folder, "--course-version", "7")
    assert output.splitlines() == [
        "course-v1:O+C+R  Small",
        "  First (Homework): 4 points in 1 block",
        "1 chapter, 1 subsection (1 graded), 1 block",
        "Homework: 100% of the grade, 1 expected, the 0 lowest dropped",
        "cutoffs: Pass from 60%",
        "version 7 published; first version of this course",
    ]
    assert notes == ""
    assert StoredStructures().get(KEY).version == "7"


def test_course_of_the_demo_is_imported_without_a_warning():
    output, notes = load(OLX)
    assert "Small programs, carefully graded" in output
    assert notes == ""


def test_archive_and_json_document_give_the_version_of_the_folder(folder, tmp_path):
    load(folder)
    archive = olx_factories.archive(tmp_path / "course.tar.gz", olx_factories.FILES)
    document = tmp_path / "course.json"
    document.write_text(write_document(read_olx(folder)), encoding="utf-8-sig")
    for path in (archive, document):
        assert load(path)[0].splitlines()[-1].endswith("is already published")


def test_dry_run_writes_nothing(folder):
    output, _ = load(folder, "--dry-run", "--course-version", "7")
    assert output.splitlines()[-1] == "version 7 would be published; first version of this course"
    assert StoredStructures().get(KEY) is None


def test_new_version_replaces_the_former_one(folder):
    load(folder, "--course-version", "7")
    (folder / "problem" / "p.xml").write_text("<problem/>")
    output, notes = load(folder, "--course-version", "8")
    assert output.splitlines()[-1] == "version 8 published; replaces 7"
    assert "nothing in it is known to have points" in notes


def test_course_key_option_replaces_the_key(folder):
    load(folder, "--course-key", "course-v1:O+C+Again")
    assert StoredStructures().get(KEY) is None
    assert StoredStructures().get(CourseKey.from_string("course-v1:O+C+Again"))


def test_unusual_policy_prints_warnings(tmp_path):
    lab = {"type": "Lab", "min_count": 2, "drop_count": 2, "weight": 0.5}
    made = olx_factories.files(
        sequential__s='<sequential display_name="First" graded="true" format="Exam">'
        '<vertical url_name="v"/></sequential>',
        vertical__v='<vertical><done url_name="d"/></vertical>',
    )
    policy = {"GRADER": [HOMEWORK, lab], "GRADE_CUTOFFS": {}}
    made["policies/R/grading_policy.json"] = json.dumps(policy)
    output, notes = load(olx_factories.folder(tmp_path, made))
    assert "First (Exam): 0 points in 1 block, 1 with points that only the block knows" in output
    assert "cutoffs: none" in output
    assert notes.splitlines() == [
        "Warning: 'First' is graded, but 'Exam' is no assignment type of the policy.",
        "Warning: 1 of 1 Homework are not there, and count as 0.",
        "Warning: 2 of 2 Lab are not there, and count as 0.",
        "Warning: every Lab is dropped, so all of them count as 0.",
        "Warning: the weights add up to 150%.",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--course-key", "O C R"), "'O C R' is not a course key"),
        (("--course-version", "v" * 256), "version: must be at most 255 printable characters"),
    ],
)
def test_invalid_option_is_an_error(folder, options, message):
    with pytest.raises(CommandError, match=message):
        load(folder, *options)


def test_error_names_file_and_element_and_keeps_the_current_version(folder):
    """SG63: name the file and the element when the course is imported, and publish nothing."""
    load(folder, "--course-version", "7")
    (folder / "policies" / "R" / "grading_policy.json").write_text(
        json.dumps({"GRADER": [{"type": "Lab", "min_count": 1}], "GRADE_CUTOFFS": {}})
    )
    with pytest.raises(CommandError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"{folder}: policies/R/grading_policy.json.GRADER[0] ('Lab').drop_count: is missing"
    )
    assert StoredStructures().get(KEY).version == "7"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "document: No such file"),
        ("bytes.json", b"\xff", "document: is not UTF-8"),
        ("text.json", b"{", "line 1: is not JSON"),
        ("course.tar.gz", None, "is not there"),
        ("course.tar.gz", b"text", "neither a folder nor an intact tar.gz"),
    ],
)
def test_unreadable_file_is_an_error(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        load(tmp_path / name)


def test_document_above_the_limit_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "large.json").write_text("{}")
    monkeypatch.setattr(load_module, "MAX_BYTES", 1)
    with pytest.raises(CommandError, match="document: is larger than 1 bytes"):
        load(tmp_path / "large.json")


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16"])
def test_document_with_a_byte_order_mark_is_read(folder, tmp_path, charset):
    document = tmp_path / "course.json"
    document.write_text(write_document(read_olx(folder)), encoding=charset)
    load(folder)
    assert load(document)[0].splitlines()[-1].endswith("is already published")


def test_course_key_option_that_differs_from_the_document_is_an_error(tmp_path, folder):
    document = tmp_path / "course.json"
    document.write_text(write_document(read_olx(folder)), encoding="utf-8")
    load(document, "--course-key", str(KEY))
    with pytest.raises(
        CommandError, match=r"course_key: is course-v1:O\+C\+R, not course-v1:a\+b\+c"
    ):
        load(document, "--course-key", "course-v1:a+b+c")
