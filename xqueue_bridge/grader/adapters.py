"""Read the result files of Gradescope and PrairieLearn autograders. Pure.

ResultFileError names the member that is missing or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from xqueue_bridge.grader.results import Result, Test
from xqueue_bridge.protocol.fields import read_json

#: Where the autograder writes its result, inside its container.
GRADESCOPE_PATH = PurePosixPath("/autograder/results/results.json")
PRAIRIELEARN_PATH = PurePosixPath("/grade/results/results.json")

#: Gradescope's ``visibility`` of what a learner may see at once; the other values are for later.
_VISIBLE = ("visible",)


class ResultFileError(ValueError):
    """A result file does not have the form that its system documents."""


def from_gradescope(text: str | bytes, *, max_score: float | None = None) -> Result:
    """Return the result of a Gradescope ``results.json``.

    The score is ``score``, else the sum over ``tests``; the maximum is ``max_score``, else the
    sum of the tests' ``max_score``. Hidden and delayed tests count and are not shown.
    """
    data = _object(text)
    tests = [_gradescope_test(each, n) for n, each in enumerate(_list(data, "tests"))]
    visible = data.get("visibility", "visible") in _VISIBLE
    if not visible:
        tests = [_hidden(test) for test in tests]
    if max_score is None:
        max_score = sum(test.max_score for test in tests)
    score = _number(data, "score", None)
    if score is None:
        if not tests:
            raise ResultFileError("score: is missing, and there are no tests")
        score = sum(test.score for test in tests)
    if not 0 < max_score < math.inf:
        raise ResultFileError("max_score: no number in the tests; pass it to from_gradescope")
    return Result(
        # Gradescope allows extra credit; the LMS does not.
        score=min(max(score, 0.0), max_score),
        max_score=max_score,
        message=_text(data, "output") if visible else "",
        message_is_html=data.get("output_format") == "html",
        tests=tests,
    )


def _gradescope_test(each: object, index: int) -> Test:
    where = f"tests[{index}]"
    if not isinstance(each, Mapping):
        raise ResultFileError(f"{where}: is not an object")
    max_score = _number(each, "max_score", None, where)
    score = _number(each, "score", None, where)
    if score is None:
        # Gradescope: a test may have a status instead of a score.
        score = (max_score or 0.0) if each.get("status") == "passed" else 0.0
    maximum = score if max_score is None else max_score
    name = _text(each, "name") or _text(each, "number") or f"Test {index + 1}"
    return Test(
        name=name,
        score=min(max(score, 0.0), max(maximum, 0.0)),
        max_score=max(maximum, 0.0),
        message=_text(each, "output"),
        visible=each.get("visibility", "visible") in _VISIBLE,
    )


def from_prairielearn(text: str | bytes, *, points: float = 1.0) -> Result:
    """Return the result of a PrairieLearn ``results.json``; its ``score`` is 0 to 1.

    ``points`` is what the problem is worth. A file with ``gradable`` false raises
    ResultFileError: PrairieLearn does not count such an answer.
    """
    data = _object(text)
    if data.get("gradable", True) is False:
        raise ResultFileError(f"gradable: false ({_text(data, 'message') or 'no message'})")
    score = _number(data, "score", None)
    if score is None:
        raise ResultFileError("score: is missing")
    tests = [_prairielearn_test(each, n) for n, each in enumerate(_list(data, "tests"))]
    message = "\n".join(filter(None, (_text(data, "message"), _text(data, "output"))))
    return Result(
        score=min(max(score, 0.0), 1.0) * points, max_score=points, message=message, tests=tests
    )


def _prairielearn_test(each: object, index: int) -> Test:
    where = f"tests[{index}]"
    if not isinstance(each, Mapping):
        raise ResultFileError(f"{where}: is not an object")
    maximum = max(_number(each, "max_points", 1.0, where) or 0.0, 0.0)
    points = _number(each, "points", 0.0, where) or 0.0
    parts = (_text(each, "description"), _text(each, "message"), _text(each, "output"))
    return Test(
        name=_text(each, "name") or f"Test {index + 1}",
        score=min(max(points, 0.0), maximum),
        max_score=maximum,
        message="\n".join(filter(None, parts)),
    )


def _hidden(test: Test) -> Test:
    return Test(
        name=test.name,
        score=test.score,
        max_score=test.max_score,
        message=test.message,
        visible=False,
    )


def _object(text: str | bytes) -> Mapping[str, object]:
    try:
        data = read_json(text)
    except ValueError:
        raise ResultFileError("the file is not JSON") from None
    if not isinstance(data, Mapping):
        raise ResultFileError("the file is not a JSON object")
    return data


def _list(data: Mapping[str, object], name: str) -> list[object]:
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ResultFileError(f"{name}: is not a list")
    return value


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if isinstance(value, list):  # PrairieLearn allows a list of lines
        return "\n".join(map(str, value))
    return str(value)


def _number(
    data: Mapping[str, Any], name: str, default: float | None, where: str = ""
) -> float | None:
    value = data.get(name)
    if value is None:
        return default
    called = f"{where}.{name}" if where else name
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ResultFileError(f"{called}: is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise ResultFileError(f"{called}: is not a finite number")
    return number
