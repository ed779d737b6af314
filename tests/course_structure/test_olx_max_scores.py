"""The maximum score of a block, from its OLX."""

from __future__ import annotations

import pytest
from xblocks_contrib.problem.capa import inputtypes

from demo import runtime
from demo.course import course as demo_course
from xqueue_bridge.course_structure.olx.max_scores import INPUTS, may_be_scored, points_of
from xqueue_bridge.course_structure.olx.xml import parse_xml
from xqueue_bridge.exceptions import InvalidCourse


def element(text: str):
    return parse_xml(text.encode(), "f.xml")


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("<problem/>", 0.0),
        ("<problem><p>Read this.</p></problem>", 0.0),
        ("<problem><textline/></problem>", 0.0),
        ("<problem><coderesponse><textbox/></coderesponse></problem>", 1.0),
        ('<problem><coderesponse><textbox points="3"/></coderesponse></problem>', 3.0),
        ('<problem><coderesponse><filesubmission points="0"/></coderesponse></problem>', 0.0),
        (
            '<problem><div><coderesponse><label/><p><textbox points="2"/></p></coderesponse></div>'
            "<stringresponse><textline/></stringresponse></problem>",
            3.0,
        ),
        ("<problem><customresponse><textline/><textline/></customresponse></problem>", 2.0),
        (
            "<problem><multiplechoiceresponse><choicegroup><choice/><choice/></choicegroup>"
            "</multiplechoiceresponse></problem>",
            1.0,
        ),
        (
            '<problem><annotationresponse><annotationinput points="9"/></annotationresponse>'
            "</problem>",
            2.0,
        ),
        ('<problem max_score="7.5"><stringresponse><textline/></stringresponse></problem>', 7.5),
        ("<openassessment><criterion><option/></criterion></openassessment>", 0.0),
        (
            '<openassessment><rubric><criterion><option points="1"/><option points="3"/>'
            '</criterion><criterion><option points="2"/></criterion><criterion/></rubric>'
            "</openassessment>",
            5.0,
        ),
        ("<drag-and-drop-v2/>", 1.0),
        ("<lti_consumer has_score='True' weight='5'/>", 5.0),
        ("<lti has_score='true'/>", 1.0),
        ("<edx_sga/>", 100.0),
        ("<edx_sga points='10'/>", 10.0),
        ("<done/>", None),
        ("<done max_score='1'/>", 1.0),
    ],
)
def test_element_gives_the_maximum_score_of_the_block(text, points):
    """It is what the block's max_score() returns."""
    assert points_of(element(text)) == points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '<problem>\n<coderesponse><textbox points="two"/></coderesponse></problem>',
            "f.xml, line 2, textbox, attribute 'points': must be a number",
        ),
        (
            '<problem><coderesponse><textbox points="1.5"/></coderesponse></problem>',
            "f.xml, line 1, textbox, attribute 'points': must be a whole number",
        ),
        (
            '<problem><coderesponse><textbox points="-1"/></coderesponse></problem>',
            "f.xml, line 1, textbox, attribute 'points': must be a number from 0",
        ),
        ('<problem max_score="nan"/>', "f.xml, line 1, problem, attribute 'max_score': must be"),
        ('<problem max_score="1e400"/>', "f.xml, line 1, problem, attribute 'max_score': must be"),
    ],
)
def test_invalid_points_are_refused_with_file_and_line(text, message):
    with pytest.raises(InvalidCourse) as caught:
        points_of(element(text))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<problem/>", True),
        ("<done/>", True),
        ("<video/>", False),
        ("<html/>", False),
        ("<lti/>", False),
        ("<lti_consumer has_score='false'/>", False),
        ("<lti_consumer has_score='true'/>", True),
    ],
)
def test_element_may_be_scored_by_its_type_and_has_score(text, expected):
    assert may_be_scored(element(text)) is expected


def test_each_input_type_of_capa_is_known():
    assert set(inputtypes.registry.registered_tags()) <= INPUTS


@pytest.mark.parametrize("problem", demo_course().problems, ids=lambda problem: problem.url_name)
@pytest.mark.django_db
def test_maximum_score_equals_that_of_the_real_problem_block(problem, django_user_model):
    """Compared with capa, for each problem of the demo's course."""
    learner = django_user_model.objects.create_user("learner")
    block = runtime.load_block(learner.pk, demo_course().key, problem.usage_key)
    assert points_of(element(problem.olx)) == block.lcp.get_max_score()
