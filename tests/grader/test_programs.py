"""run_program: limits of time, output and memory, and what the child inherits."""

from __future__ import annotations

import sys
import time

import pytest

from xqueue_bridge.grader import Limits, run_program

PYTHON = [sys.executable, "-I", "-S"]


def test_output_status_and_files():
    code = "import sys; print(open('a.txt').read(), input()); print('e', file=sys.stderr)"
    outcome = run_program([*PYTHON, "-c", code], files={"a.txt": "hello"}, stdin="world\n")
    assert (outcome.stdout, outcome.stderr, outcome.ok) == ("hello world\n", "e\n", True)
    failed = run_program([*PYTHON, "-c", "raise SystemExit(3)"])
    assert (failed.status, failed.ended, failed.ok) == (3, "finished", False)


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        # A child that outlives its parent keeps the pipes open.
        "import os, time\nif os.fork() == 0: time.sleep(60)",
        "import os, time\nos.close(1); os.close(2); time.sleep(60)",
    ],
)
def test_program_that_does_not_end_is_stopped(code):
    started = time.monotonic()
    outcome = run_program([*PYTHON, "-c", code], limits=Limits(seconds=1))
    assert outcome.ended == "time"
    assert not outcome.ok
    assert time.monotonic() - started < 30


def test_output_is_limited():
    code = "while True: print('x' * 1000)"
    outcome = run_program([*PYTHON, "-c", code], limits=Limits(output_bytes=5000))
    assert outcome.ended == "output"
    assert len(outcome.stdout) <= 5000


def test_memory_is_limited():
    limits = Limits(memory_bytes=256 * 2**20)
    outcome = run_program([*PYTHON, "-c", "x = bytearray(2**30)"], limits=limits)
    assert not outcome.ok
    assert "MemoryError" in outcome.stderr


def test_secret_is_not_inherited(monkeypatch):
    monkeypatch.setenv("XQUEUE_GRADER_SECRET", "s3cret")
    outcome = run_program([*PYTHON, "-c", "import os; print(dict(os.environ))"])
    assert outcome.ok
    assert "s3cret" not in outcome.stdout


def test_wrapper_stands_before_the_command():
    outcome = run_program(["b"], limits=Limits(wrapper=["echo", "a"]))
    assert outcome.stdout == "a b\n"


@pytest.mark.parametrize("name", ["../a", "/tmp/a", "a/../../b"])
def test_file_name_that_leaves_the_folder_is_refused(name):
    with pytest.raises(ValueError, match="leaves the folder"):
        run_program(["true"], files={name: b""})


def test_file_in_a_folder_is_written():
    outcome = run_program([*PYTHON, "-c", "print(open('src/a').read())"], files={"src/a": b"x"})
    assert outcome.stdout == "x\n"
