"""Compute a block's maximum score, before its weight, from its OLX; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xqueue_bridge.course_structure.olx.xml import Element, is_true, unquoted
from xqueue_bridge.course_structure.validation import number_from

#: Input elements below a response of a problem: one point each, or their ``points``.
INPUTS = frozenset(
    {
        "annotationinput",
        "checkboxgroup",
        "checkboxtextgroup",
        "chemicalequationinput",
        "choicegroup",
        "codeinput",
        "crystallography",
        "designprotein2dinput",
        "drag_and_drop_input",
        "editageneinput",
        "filesubmission",
        "formulaequationinput",
        "imageinput",
        "jsinput",
        "matlabinput",
        "optioninput",
        "radiogroup",
        "radiotextgroup",
        "schematic",
        "textbox",
        "textline",
        "vsepr_input",
    }
)

#: An annotation is graded 0, 1 or 2, whatever its ``points`` say.
ANNOTATION_POINTS = 2.0

#: Block types that are never scored. Other types may be, even if only the block knows its maximum.
UNSCORED = frozenset(
    {
        "about",
        "annotatable",
        "course_info",
        "discussion",
        "google-calendar",
        "google-document",
        "html",
        "iframe",
        "pdf",
        "poll",
        "poll_question",
        "static_tab",
        "survey",
        "video",
        "videoalpha",
        "wiki",
        "word_cloud",
    }
)


def may_be_scored(block: Element) -> bool:
    """Return whether learners can have a score at the block."""
    if block.tag in ("lti", "lti_consumer"):
        return is_true(block.attributes.get("has_score", ""))
    return block.tag not in UNSCORED


def points_of(block: Element) -> float | None:
    """Return a block's points, or None where only the block itself can tell.

    Raises InvalidCourse, which names file and element.
    """
    if "max_score" in block.attributes:
        return number_of(block, "max_score")
    count = COUNTED_BY.get(block.tag)
    return number_from(count(block), block.location()) if count else None


def number_of(element: Element, attribute: str) -> float | None:
    """Return a numeric attribute; None if it is absent or empty."""
    text = unquoted(element.attributes.get(attribute, "")).strip()
    if text in ("", "None"):
        return None
    try:
        value = float(text)
    except ValueError:
        raise element.error("must be a number", attribute) from None
    return number_from(value, element.location(attribute))


def _problem(problem: Element) -> float:
    return sum(_answer(field, response) for response, field in _answers(problem))


def _answers(problem: Element) -> Iterator[tuple[Element, Element]]:
    for response in problem.descendants():
        if response.tag.endswith("response"):
            for field in response.descendants():
                if field.tag in INPUTS:
                    yield response, field


def _answer(field: Element, response: Element) -> float:
    if response.tag == "annotationresponse":
        return ANNOTATION_POINTS
    points = number_of(field, "points")
    if points is None:
        return 1.0
    if points != int(points):
        raise field.error("must be a whole number", "points")
    return points


def _open_assessment(block: Element) -> float:
    """Return the sum, over the rubric's criteria, of the highest option."""
    criteria = (each for each in block.descendants() if each.tag == "criterion")
    return sum(
        max((number_of(each, "points") or 0.0 for each in criterion.children), default=0.0)
        for criterion in criteria
    )


def _weight(block: Element) -> float:
    weight = number_of(block, "weight")
    return 1.0 if weight is None else weight


def _staff_graded(block: Element) -> float:
    points = number_of(block, "points")
    return 100.0 if points is None else points


COUNTED_BY: dict[str, Callable[[Element], float]] = {
    "problem": _problem,
    "openassessment": _open_assessment,
    "drag-and-drop-v2": lambda _: 1.0,
    "lti": _weight,
    "lti_consumer": _weight,
    "edx_sga": _staff_graded,
}
