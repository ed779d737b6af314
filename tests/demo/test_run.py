"""``make demo`` with ``--exit``: from answers to the table of grades."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from demo import load_test, run
from demo.course import Problem, course
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue.accounts import authenticate

ROOT = Path(__file__).resolve().parent.parent.parent


def headless(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Any free port: another worker may be running the demo, too.
        [sys.executable, "-m", "demo.run", "--exit", "--port", "0", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_learners_get_the_expected_grades() -> None:
    """C113, SG32, SG34: with real blocks, a real grader and real programs, each grade is expected.

    The history is in another database; ``.ci/run`` has lanes without it.
    """
    done = headless("--learners", "3", "--two-databases")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "submitted 7   graded 7   wait p50 " in done.stdout
    assert "\ncourse grades  3 learners: 0 A, 0 B, 1 C, 2 none; 1 passed" in done.stdout
    for problem in course().problems:
        assert f"\n{problem.url_name} " in done.stdout


def start(folder: Path, number: int) -> subprocess.Popen[str]:
    """Start the demo; it handles the signal, also where a shell has let it be ignored."""
    return subprocess.Popen(
        [sys.executable, "-m", "demo.run", "--port", "0", "--learners", "1"],
        cwd=ROOT,
        env={**os.environ, "XQUEUE_BRIDGE_DEMO_VAR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell may start background processes with SIGINT ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )


def test_signal_ends_all_processes(tmp_path: Path) -> None:
    """After Ctrl-C the grader and the sweeper end with the demo."""
    demo = start(tmp_path, signal.SIGINT)
    assert demo.stdout is not None
    assert any("Ctrl-C stops it all." in line for line in demo.stdout)
    demo.send_signal(signal.SIGINT)
    # All processes write to the same pipe, which is closed when the last one ends.
    output, _ = demo.communicate(timeout=300)
    assert "Stopping." in output
    assert demo.returncode == 0


def test_thirty_learners_submit_every_kind_of_answer_to_every_problem() -> None:
    learners = [User(pk=number, username=f"learner-{number:02}") for number in range(1, 31)]
    planned = {(answer.problem.url_name, answer.kind) for answer in load_test.plan(learners)}
    kinds = {"right", "wrong", "partial", "broken"}
    everything = {(problem.url_name, kind) for problem in course().problems for kind in kinds}
    assert everything - planned == {("fizzbuzz", "partial")}, "which has no partial credit"


# -- the check of an answer's result


@pytest.fixture
def learner(db: None) -> User:
    return User.objects.create(username="learner-01")


def answer(learner: User) -> load_test.Answer:
    """The learner's right answer to the problem with the most points."""
    planned = load_test.plan([learner])
    return next(answer for answer in planned if answer.problem.url_name == "triangle")


def graded(learner: User, problem: Problem, **changes: object) -> None:
    """Write the state and the score of a graded answer."""
    entry = {"correctness": "correct", "npoints": 4, "msg": "<p>Well</p>", "queuestate": None}
    key = (learner.pk, problem.usage_key.context_key, problem.usage_key)
    fields = {"correct_map": {"triangle_2_1": {**entry, **changes}}, "attempts": 1}
    learner_state.save_fields(*key, fields)
    learner_state.set_score(*key, 4, 4)


def found_wrong(learner: User) -> str:
    return "; ".join(load_test.check(answer(learner)))


def test_missing_answer_is_found(learner: User) -> None:
    assert "grade (4, 4) expected, None found" in found_wrong(learner)


def test_waiting_answer_is_found(learner: User) -> None:
    waiting = {"key": "k", "time": "20261120053556"}
    graded(learner, answer(learner).problem, queuestate=waiting)
    assert found_wrong(learner) == "still waits for its grade"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"npoints": 3}, "scores [4] expected, [3] found"),
        ({"correctness": "incorrect"}, "correct [True] expected, [False] found"),
        ({"msg": " "}, "a grade without feedback"),
    ],
)
def test_wrong_grade_is_found(learner: User, changes: dict, problem: str) -> None:
    graded(learner, answer(learner).problem, **changes)
    assert problem in found_wrong(learner)


def test_grade_without_a_submission_is_found(learner: User) -> None:
    graded(learner, answer(learner).problem)
    assert found_wrong(learner) == "submissions and replies have the states []"


def test_unexpected_result_is_printed(learner: User, capsys: pytest.CaptureFixture[str]) -> None:
    closed_port = "http://127.0.0.1:9"
    assert load_test.Cohort(closed_port, [learner], wait=5).run() == 1
    output = capsys.readouterr().err
    assert "UNEXPECTED: learner-01: ConnectionError" in output
    assert "UNEXPECTED: learner-01, fizzbuzz, right: grade (1, 1) expected, None" in output
    assert "UNEXPECTED: learner-01: course grade Expected(percent=30, " in output


# -- small parts


def test_secret_of_a_running_demo_stays_valid(db: None) -> None:
    first, second = run._grader_secret(), run._grader_secret()
    for secret in (first, second):
        assert authenticate(run.GRADER, secret) is not None


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.5, 2), (0.51, 3), (0.95, 4), (1, 4)])
def test_quantile(share: float, value: int) -> None:
    assert load_test.quantile([1, 2, 3, 4], share) == value


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind((run.HOST, 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_port_in_use_is_not_chosen(taken_port: int) -> None:
    port = run.free_port(taken_port)
    assert port not in (0, taken_port)


@pytest.mark.parametrize(
    ("seconds", "number"),
    [(0.3, signal.SIGTERM), (1.2, signal.SIGHUP), (2.4, signal.SIGTERM)],
)
def test_signal_during_the_start_ends_all_processes(
    tmp_path: Path, seconds: float, number: int
) -> None:
    """A demo that is stopped at any time of its start leaves no process."""
    demo = start(tmp_path, number)
    time.sleep(seconds)
    demo.send_signal(number)
    started = time.monotonic()
    # The children inherit the pipe, so it is closed when the last of them has ended.
    demo.communicate(timeout=300)
    assert time.monotonic() - started < 5
    # Python drops an exception that is raised in a weak reference's callback: SystemExit follows.
    assert demo.returncode in (0, -number, 128 + number)
