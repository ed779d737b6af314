"""Grade a Python function with unit tests. The tests are in test_answer.py, beside this file."""

import json
import sys
from pathlib import Path

from xqueue_bridge.grader import Limits, Result, Submission, Test, run_program

HERE = Path(__file__).parent
SECONDS = 5.0
#: Runs in the child process: prints one JSON object for each test, after a marker.
RUNNER = """
import json, sys, unittest
class Rows(unittest.TestResult):
    def row(self, test, passed, message=""):
        name = test.shortDescription() or test.id().rsplit(".", 1)[-1]
        row = {"name": name, "passed": passed, "message": message[:500]}
        print(json.dumps(row), file=rows, flush=True)
    def addSuccess(self, test): self.row(test, True)
    def addFailure(self, test, err): self.row(test, False, str(err[1]))
    def addError(self, test, err): self.row(test, False, f"{err[0].__name__}: {err[1]}")
rows, sys.stdout = sys.stdout, sys.stderr
sys.path.insert(0, ".")
unittest.defaultTestLoader.loadTestsFromName("test_answer").run(Rows())
"""


def grade(submission: Submission) -> Result:
    """Return one point for each unit test that the answer passes."""
    tests = (HERE / "test_answer.py").read_text()
    outcome = run_program(
        [sys.executable, "-I", "-c", RUNNER],
        files={"answer.py": submission.response, "test_answer.py": tests},
        limits=Limits(seconds=SECONDS),
    )
    # What a learner prints goes to stderr; a line that is not JSON cannot be a test's.
    rows = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith('{"name"')]
    results = [
        Test(name=row["name"], score=float(row["passed"]), message=row["message"]) for row in rows
    ]
    missing = tests.count("def test_") - len(results)
    if missing > 0:
        why = {"time": f"stopped after {SECONDS:g} s", "output": "printed too much"}
        message = why.get(outcome.ended, outcome.stderr[-500:] or "the program ended early")
        results.append(Test(name="The others", score=0, max_score=missing, message=message))
    return Result.of_tests(results)
