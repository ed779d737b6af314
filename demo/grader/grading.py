"""Grade a submission: find the grading program, run the answer, compare, build the reply."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.grader import sandbox
from demo.grader.feedback import Finding, render
from demo.grader.suite import Case, Suite, Test
from xqueue_bridge.grader import Submission

PROGRAMS = Path(__file__).resolve().parent
ANSWER_FILE = "answer.py"


class GradingError(Exception):
    """The submission cannot be graded because of an error that the learner did not cause."""


def grade(body: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Grade one submission; return its reply: ``correct``, ``score`` in points, ``msg``."""
    suite, answer = _read(body)
    source = files.get(suite.file) if suite.file else answer
    if source is None:
        return _reply(suite, 0, f"Please upload a file with the name {suite.file}.")
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8-sig")
        except UnicodeDecodeError:
            return _reply(suite, 0, f"{suite.file} is not a text file in UTF-8.")
    # A lone surrogate cannot be encoded for the sandbox.
    source = source.encode("utf-8", "replace").decode("utf-8")
    calls = [case.arguments for test in suite.tests for case in test.cases]
    file = suite.file or ANSWER_FILE
    run = sandbox.run(sandbox.Task(file, source, suite.function, calls, suite.seconds))
    return _judge(suite, run)


def grade_submission(submission: Submission) -> dict[str, Any]:
    """Grade one submission of the queue, with its uploaded files."""
    return grade(submission.body, submission.files())


def _read(body: str) -> tuple[Suite, str]:
    """Return the suite that a submission's body names, and the text of the answer."""
    try:
        content = json.loads(body)
        payload = json.loads(content["grader_payload"])
        student = json.loads(content["student_info"])
        program = _program(payload["grader"])
        return program(payload, student), str(content["student_response"])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        # The error contains no value, because the body is a learner's work.
        raise GradingError(f"the submission's body is not usable: {type(exc).__name__}") from None


@functools.cache
def _program(path: str) -> Callable[[Any, Any], Suite]:
    """Load the grading program at a path below this directory."""
    file = (PROGRAMS / path).resolve()
    if file.name != "grade.py" or PROGRAMS not in file.parent.parents or not file.is_file():
        raise GradingError("grader_payload names no grading program")
    spec = importlib.util.spec_from_file_location(f"demo.grader.programs.{file.parent.name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.suite


def _judge(suite: Suite, run: sandbox.Run) -> dict[str, Any]:
    if run.loading is None or "loaded" not in run.loading:
        return _reply(suite, 0, _not_loaded(run, suite), printed=run.printed)
    results = iter(run.results)
    earned, findings = 0.0, []
    for test in suite.tests:
        finding = _finding(suite, test, [next(results, None) for _ in test.cases], run.ended)
        findings.append(finding)
        earned += test.points * finding.passed
    passed = sum(finding.passed for finding in findings)
    summary = f"{passed} of {len(findings)} tests passed"
    return _reply(suite, earned, summary, findings, run.printed)


def _reply(
    suite: Suite,
    earned: float,
    summary: str,
    findings: Sequence[Finding] = (),
    printed: str = "",
) -> dict[str, Any]:
    score = int(earned) if earned == int(earned) else earned
    return {
        "correct": earned == suite.points,
        "score": score,
        "msg": render(summary, findings, printed),
    }


def _finding(
    suite: Suite, test: Test, results: list[Mapping[str, Any] | None], ended: str
) -> Finding:
    """Compare a test's results with the expected ones; describe the first that differs."""
    for case, result in zip(test.cases, results, strict=True):
        if result is None:
            return Finding(test.name, False, (("What happened", _ended(ended, suite)),))
        if "value" not in result or not same(result["value"], case.expected, suite.tolerance):
            return Finding(test.name, False, _details(suite, case, result))
    return Finding(test.name, True)


def same(value: Any, expected: Any, tolerance: float) -> bool:
    """Return whether a result is the expected one; numbers may differ by ``tolerance``."""
    if tolerance and isinstance(value, int | float):
        return math.isclose(value, expected, rel_tol=0, abs_tol=tolerance)
    return bool(value == expected)


def _details(suite: Suite, case: Case, result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if "error" in result:
        outcome = ("Your program raised", _error_text(result))
    elif "unusable" in result:
        outcome = ("Your result", f"{result['shown']} (of type {result['unusable']})")
    else:
        outcome = ("Your result", str(result.get("shown")))
    if case.hidden:
        return (("Call", "a hidden one: think of other inputs than those you were shown"),)
    call = f"{suite.function}({', '.join(map(repr, case.arguments))})"
    expected = repr(case.expected)
    return (("Call", call), outcome, ("Expected", expected))


def _error_text(result: Mapping[str, Any]) -> str:
    line = f" (line {result['line']})" if result.get("line") else ""
    return f"{result['error']}: {result.get('message', '')}{line}"


def _not_loaded(run: sandbox.Run, suite: Suite) -> str:
    outcome = run.loading or {}
    if "missing" in outcome:
        return f"Your program defines no function {suite.function}, which the tests call"
    if outcome.get("error") in ("SyntaxError", "IndentationError", "TabError"):
        return f"Your program cannot be read as Python: {_error_text(outcome)}"
    if outcome.get("error") == "SystemExit":
        return "Your program ended itself before the tests could call it: leave out exit()"
    if "error" in outcome:
        return f"Your program stopped before the tests could call it: {_error_text(outcome)}"
    return _ended(run.ended, suite)


def _ended(ended: str, suite: Suite) -> str:
    seconds = f"{suite.seconds:g} s"
    return {
        "time": f"Your program was stopped: it was not ready after {seconds}. "
        "Is there a loop that never ends?",
        "output": f"Your program was stopped: it printed more than {sandbox.MAX_OUTPUT_BYTES} "
        "characters",
    }.get(ended, "Your program ended before it had answered every test")
