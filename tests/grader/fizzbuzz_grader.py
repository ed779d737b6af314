import json
import sys

from xqueue_bridge.grader import Limits, Result, Submission, Test, run_program

CASES = {3: ["1", "2", "Fizz"], 5: ["1", "2", "Fizz", "4", "Buzz"], 0: []}
HIDDEN = (0,)
#: Runs in a process of its own; prints the function's result as its last line.
PROGRAM = """
import json, sys
from answer import fizzbuzz
print(json.dumps(fizzbuzz(int(sys.argv[1]))))
"""


def grade(submission: Submission) -> Result:
    """Return one point for each number for which the learner's fizzbuzz is right."""
    tests = [check(submission.response, number, wanted) for number, wanted in CASES.items()]
    return Result.of_tests(tests, staff_note=f"random seed {submission.student.get('random_seed')}")


def check(answer: str, number: int, wanted: list[str]) -> Test:
    outcome = run_program(
        [sys.executable, "program.py", str(number)],
        files={"answer.py": answer, "program.py": PROGRAM},
        limits=Limits(seconds=5),
    )
    lines = outcome.stdout.strip().splitlines() or [""]
    passed = outcome.ok and lines[-1] == json.dumps(wanted)
    message = "" if passed else f"wanted {wanted}\n{outcome.stdout[-300:]}{outcome.stderr[-300:]}"
    return Test(
        name=f"fizzbuzz({number})",
        score=float(passed),
        message=message,
        visible=number not in HIDDEN,
    )
