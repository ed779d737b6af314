"""Reading of the demo's course."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from demo.course import OLX, course, read
from tests.demo.conftest import SAMPLES

PROBLEMS = course().problems


def test_problems_come_in_the_order_of_the_outline() -> None:
    names = ["fizzbuzz", "triangle", "temperature", "wordcount", "caesar", "primes"]
    assert [problem.url_name for problem in PROBLEMS] == names
    assert {problem.chapter for problem in PROBLEMS} == {"First steps", "A little further"}


def test_problems_inherit_from_their_subsection() -> None:
    assert {problem.settings["graded"] for problem in PROBLEMS} == {"true"}
    formats = {entry["type"] for entry in course().grading_policy["GRADER"]}
    assert {problem.settings["format"] for problem in PROBLEMS} == formats


def test_course_has_one_problem_of_each_kind() -> None:
    by_name = {problem.url_name: problem for problem in PROBLEMS}
    assert by_name["fizzbuzz"].points == (1,)
    assert by_name["triangle"].points == (4,)
    assert by_name["temperature"].points == (1, 1)
    assert by_name["wordcount"].kind == "file"
    assert by_name["caesar"].settings["rerandomize"] == "per_student"


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.url_name)
def test_every_part_has_the_demos_queue(problem) -> None:
    responses = etree.fromstring(problem.olx).findall(".//coderesponse")
    assert {response.get("queuename") for response in responses} == {"demo"}
    assert len(responses) == len(problem.points)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.url_name)
def test_samples_have_a_score_for_each_part(problem) -> None:
    samples = SAMPLES[problem.url_name]
    assert {"right", "wrong", "broken"} <= samples.keys()
    for found in samples.values():
        assert len(found["scores"]) == len(found["correct"]) == len(problem.points)
    assert tuple(samples["right"]["scores"]) == problem.points


def test_unknown_problem_raises_key_error() -> None:
    with pytest.raises(KeyError):
        course().by_url_name("no_such_problem")


def test_elements_may_be_written_inline(tmp_path: Path) -> None:
    (tmp_path / "course.xml").write_text(
        '<course url_name="r" org="O" course="C" display_name="In one file"><chapter>'
        '<sequential><vertical><problem url_name="p"><coderesponse><textbox points="2"/>'
        "</coderesponse></problem></vertical></sequential></chapter></course>"
    )
    policy = tmp_path / "policies" / "r" / "grading_policy.json"
    policy.parent.mkdir(parents=True)
    policy.write_text("{}")
    found = read(tmp_path)
    assert [problem.points for problem in found.problems] == [(2,)]
    assert found.problems[0].title == "p"


def test_every_file_of_the_course_is_used() -> None:
    assert {path.stem for path in (OLX / "problem").iterdir()} == {
        problem.url_name for problem in PROBLEMS
    }
