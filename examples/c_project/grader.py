"""Compile several uploaded C files and compare the program's output with what is expected."""

import os
import sys

from xqueue_bridge.grader import Limits, Result, Submission, Test, run_program

CASES = [("1 2", "3"), ("20 -5", "15"), ("0 0", "0")]
MAX_FILES = 10
COMPILE = Limits(seconds=20, memory_bytes=None, output_bytes=20 * 2**20)
RUN = Limits(seconds=2, memory_bytes=256 * 2**20)
#: Reads a compiled program from the folder: each run begins in a new one.
READ = "import sys; sys.stdout.buffer.write(open('a.out', 'rb').read().hex().encode())"


def grade(submission: Submission) -> Result:
    """Return one point for each input on which the program prints the expected number."""
    files = {os.path.basename(name): data for name, data in submission.files().items()}
    sources = sorted(name for name in files if name.endswith(".c"))[:MAX_FILES]
    if not sources:
        return Result(score=0, max_score=len(CASES), message="Upload at least one .c file.")
    program, errors = _compile(files, sources)
    if program is None:
        return Result(
            score=0, max_score=len(CASES), message="The compiler says:\n" + errors[-2000:]
        )
    return Result.of_tests([_check(program, given, wanted) for given, wanted in CASES])


def _compile(files: dict[str, bytes], sources: list[str]) -> tuple[bytes | None, str]:
    compiler = os.environ.get("CC", "cc")
    # One shell command in one folder: compile, then print the program as hexadecimal text.
    script = 'cc="$1"; py="$2"; shift 2; "$cc" -std=c11 -O1 -o a.out "$@" && "$py" -c "$READ"'
    outcome = run_program(
        ["sh", "-c", script, "sh", compiler, sys.executable, *sources],
        files=files,
        environment={"READ": READ},
        limits=COMPILE,
    )
    return (bytes.fromhex(outcome.stdout) if outcome.ok else None), outcome.stderr


def _check(program: bytes, given: str, wanted: str) -> Test:
    script = "chmod +x ./program && exec ./program"
    outcome = run_program(["sh", "-c", script], files={"program": program}, stdin=given, limits=RUN)
    printed = outcome.stdout.strip()
    if outcome.ended == "time":
        return Test(name=f"Input {given}", score=0, message=f"Stopped after {RUN.seconds:g} s.")
    passed = outcome.ok and printed == wanted
    message = "" if passed else f"Expected {wanted}, got {printed[:200]!r}."
    return Test(name=f"Input {given}", score=float(passed), message=message)
