"""The demo's grader: sandbox, grading, feedback and command line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.grader import sandbox
from demo.grader.feedback import Finding, render
from demo.grader.grading import GradingError, grade, same

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = json.loads((ROOT / "demo/course/samples.json").read_text(encoding="utf-8"))
PAYLOADS: dict[str, list[dict[str, Any]]] = {
    "fizzbuzz": [{"grader": "fizzbuzz/grade.py"}],
    "triangle": [{"grader": "triangle/grade.py", "points": 4}],
    "wordcount": [{"grader": "wordcount/grade.py", "file": "wordcount.py", "points": 2}],
    "caesar": [{"grader": "caesar/grade.py", "points": 2}],
    "temperature": [
        {"grader": "temperature/grade.py", "part": "to_fahrenheit"},
        {"grader": "temperature/grade.py", "part": "to_celsius"},
    ],
    "primes": [{"grader": "primes/grade.py", "points": 3, "seconds": 2}],
}
SEED = 77
SHIFT = 3 + int(random.Random(SEED).random() * 20)

#: Whether programs are isolated: both, if this machine has bubblewrap.
WAYS = sorted({False, sandbox.is_isolated()})


def body(payload: Any, answer: str) -> str:
    """Return a submission's body in capa's form."""
    return json.dumps(
        {
            "grader_payload": f"\n  {json.dumps(payload)}\n",
            "student_info": json.dumps({"anonymous_student_id": "a", "random_seed": SEED}),
            "student_response": answer,
        }
    )


def fizzbuzz(program: str) -> dict[str, Any]:
    return grade(body(PAYLOADS["fizzbuzz"][0], program), {})


def run(program: str, *calls: list[Any], isolated: bool, seconds: float = 1) -> sandbox.Run:
    task = sandbox.Task("answer.py", program, "f", calls or ([],), seconds)
    return sandbox.run(task, isolated)


# -- the grading programs


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        (name, kind, part)
        for name, kinds in SAMPLES.items()
        for kind in kinds
        for part in range(len(PAYLOADS[name]))
    ],
)
def test_sample_gets_the_points_it_is_worth(name: str, kind: str, part: int) -> None:
    sample = SAMPLES[name][kind]
    text = sample["answers"][part].replace("{shift}", str(SHIFT)) if "answers" in sample else ""
    files = {file: content.encode() for file, content in sample.get("files", {}).items()}
    reply = grade(body(PAYLOADS[name][part], text), files)
    assert (reply["score"], reply["correct"]) == (sample["scores"][part], sample["correct"][part])
    assert ElementTree.fromstring(reply["msg"]).get("class") == "test"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("def fizzbuzz(n)\n  return []", "cannot be read as Python: SyntaxError"),
        ("def fizzbuzz(n):\nreturn []", "cannot be read as Python: IndentationError"),
        ("print('\0')", "null bytes"),
        ("def bizzfuzz(n): ...", "defines no function fizzbuzz"),
        ("fizzbuzz = 3", "defines no function fizzbuzz"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero (line 1)"),
        ("exit()", "NameError"),
        ("import sys\nsys.exit(0)", "leave out exit()"),
        ("import os\nos._exit(0)", "ended before it had answered every test"),
        ("while True: pass", "a loop that never ends"),
        ("while True: print('x' * 999)", "printed more than"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "ended before"),
        ("def fizzbuzz(n): return f'{n' ", "cannot be read as Python"),
        ("def fizzbuzz(n): return [1] * 10**10", "MemoryError"),
        ("def fizzbuzz(n): return fizzbuzz(n)", "RecursionError"),
        ("def fizzbuzz(n): return {1}", "of type set"),
        ("def fizzbuzz(): return []", "TypeError"),
        ("\ud800", "cannot be read as Python"),
        ("", "defines no function fizzbuzz"),
    ],
)
def test_broken_answer_gets_a_helpful_message(program: str, message: str) -> None:
    reply = fizzbuzz(program)
    assert (reply["score"], reply["correct"]) == (0, False)
    text = "".join(ElementTree.fromstring(reply["msg"]).itertext())
    assert message in text


def test_time_used_up_in_the_last_test_keeps_the_points_before() -> None:
    program = "def primes_below(n):\n  while n > 100: pass\n" + (
        "  return [p for p in range(2, n) if all(p % d for d in range(2, p))]"
    )
    reply = grade(body({**PAYLOADS["primes"][0], "seconds": 1}, program), {})
    assert reply["score"] == 2
    assert "within 1 s: failed" in reply["msg"]


def test_hidden_case_is_not_shown() -> None:
    program = (
        "def fizzbuzz(n):\n    if n == 30: return 'seen'\n"
        + (SAMPLES["fizzbuzz"]["right"]["answers"][0].split("\n", 1)[1])
    )
    reply = fizzbuzz(program)
    assert reply["score"] == 0
    assert "a hidden one" in reply["msg"]
    assert "30" not in reply["msg"]
    assert "seen" not in reply["msg"]


def test_missing_file_is_named() -> None:
    reply = grade(body(PAYLOADS["wordcount"][0], ""), {"other.py": b""})
    assert reply["score"] == 0
    assert "wordcount.py" in reply["msg"]


def test_file_that_is_not_text_is_named() -> None:
    reply = grade(body(PAYLOADS["wordcount"][0], ""), {"wordcount.py": b"\xff\xfe\x00"})
    assert "wordcount.py is not a text file" in reply["msg"]


@pytest.mark.parametrize(
    "path",
    ["../settings.py", "/etc/passwd", "grade.py", "harness.py", "fizzbuzz", "", "../../x/grade.py"],
)
def test_payload_cannot_name_a_file_outside_the_folder(path: str) -> None:
    with pytest.raises(GradingError):
        grade(body({"grader": path}, ""), {})


@pytest.mark.parametrize("payload", [None, 3, [], "fizzbuzz/grade.py", {"grader": None}, {}])
def test_invalid_payload_is_a_grading_error(payload: Any) -> None:
    with pytest.raises(GradingError):
        grade(body(payload, "def fizzbuzz(n): ..."), {})


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_invalid_body_is_a_grading_error_without_its_text(text: str) -> None:
    with pytest.raises(GradingError) as raised:
        grade(text, {})
    assert str(raised.value).startswith("the submission's body is not usable: ")


@pytest.mark.parametrize(
    ("value", "expected", "tolerance", "verdict"),
    [
        (98.6000000001, 98.6, 1e-6, True),
        (98.61, 98.6, 1e-6, False),
        ("98.6", 98.6, 1e-6, False),
        (float("nan"), 98.6, 1e-6, False),
        (float("inf"), 98.6, 1e-6, False),
        ([1, 2], [1, 2], 0, True),
        (None, [], 0, False),
    ],
)
def test_results_are_compared(value: Any, expected: Any, tolerance: float, verdict: bool) -> None:
    assert same(value, expected, tolerance) is verdict


# -- the sandbox


@pytest.mark.parametrize("isolated", WAYS)
class TestSandbox:
    def test_program_returns_results(self, isolated: bool) -> None:
        ran = run("print('hi')\ndef f(a, b): return [a, b]", [1, "ä"], isolated=isolated)
        assert ran.results == ({"value": [1, "ä"], "shown": "[1, 'ä']"},)
        assert (ran.printed, ran.ended) == ("hi\n", "finished")

    def test_endless_loop_ends(self, isolated: bool) -> None:
        ran = run("def f():\n  while True: pass", isolated=isolated)
        assert (ran.results, ran.ended) == ((), "time")

    def test_sleep_ends(self, isolated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sandbox, "WALL_FACTOR", 1)
        ran = run("import time\ntime.sleep(60)", isolated=isolated)
        assert (ran.loading, ran.ended) == (None, "time")

    def test_huge_output_ends(self, isolated: bool) -> None:
        ran = run("while True: print('x' * 1000)", isolated=isolated)
        assert ran.ended == "output"
        assert len(ran.printed) <= sandbox.MAX_OUTPUT_BYTES

    def test_program_cannot_start_processes(self, isolated: bool) -> None:
        ran = run("import os\ndef f(): return os.fork()", isolated=isolated)
        assert ran.results[0]["error"] in ("BlockingIOError", "PermissionError")

    def test_program_cannot_read_the_grader(
        self, isolated: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XQUEUE_GRADER_SECRET", "s3cret")
        program = (
            "import os, sys\n"
            "def f():\n"
            "  names = '\\n'.join([*os.environ, *os.environ.values(), *sys.path])\n"
            "  return ['s3cret' in names, 'site-packages' in names, sys.stdin.read()]"
        )
        assert run(program, isolated=isolated).results[0]["value"] == [False, False, ""]

    def test_forged_results_count_as_values(self, isolated: bool) -> None:
        program = (
            "import os\n"
            "for fd in range(3, 20):\n"
            '  try: os.write(fd, b\'{"loaded": true}\\n[]\\n{"value": 1}\\n\')\n'
            "  except OSError: pass\n"
            "def f(): return 2"
        )
        ran = run(program, isolated=isolated)
        assert all(isinstance(result, dict) for result in ran.results)


def test_description_says_whether_programs_are_isolated() -> None:
    if not sandbox.is_isolated():
        assert sandbox.describe().startswith("NOT ISOLATED")
        return
    program = (
        "import os, socket\n"
        "def attempt(action, *arguments):\n"
        "  try: action(*arguments)\n"
        "  except OSError: return 'refused'\n"
        "  return 'done'\n"
        "def f(home):\n"
        "  return [attempt(open, path, 'w') for path in ('/tmp/x', '/x', '/dev/shm/x')] + [\n"
        "    attempt(os.listdir, home),\n"
        "    attempt(socket.create_connection, ('127.0.0.1', 22), 1)]"
    )
    ran = run(program, [str(ROOT)], isolated=True)
    assert ran.results[0]["value"] == ["refused"] * 5


@given(st.binary(), st.binary())
def test_any_output_of_the_sandbox_is_accepted(results: bytes, output: bytes) -> None:
    ran = sandbox.run_from(results, output, "finished")
    assert all(isinstance(result, dict) for result in ran.results)


def test_missing_bubblewrap_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_isolated", lambda: False)
    assert sandbox.describe().startswith("NOT ISOLATED: ")


# -- the feedback


@given(st.text(), st.text(), st.text())
def test_feedback_is_well_formed_for_any_text(name: str, detail: str, printed: str) -> None:
    finding = Finding(name, False, ((name, detail),))
    msg = render(name, [finding], printed)
    assert ElementTree.fromstring(msg).tag == "div"


def test_feedback_is_bounded() -> None:
    assert len(render("x" * 10**6, (), "&" * 10**6)) < 20_000


# -- the command line


def command(**environment: str) -> subprocess.Popen[str]:
    arguments = ["--url", "http://127.0.0.1:9", "--queue", "demo"]
    return subprocess.Popen(
        [sys.executable, "-m", "demo.grader", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_command_without_a_secret_names_the_variable() -> None:
    with command(XQUEUE_GRADER_NAME="grader") as process:
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "XQUEUE_GRADER_SECRET" in errors


def test_command_ends_after_sigterm(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    secret = str(tmp_path / "secret")
    with command(XQUEUE_GRADER_NAME="grader", XQUEUE_GRADER_SECRET_FILE=secret) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "cannot be reached" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
    assert process.returncode == 0
    assert "stopped" in rest
