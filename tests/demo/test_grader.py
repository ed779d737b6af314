"""The demo's grader: what it runs, how it judges, and how it speaks to a queue."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from demo.grader import sandbox, worker
from demo.grader.client import LoginRefused, Pulled, RequestRefused, XQueueClient, XQueueError
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

#: Both ways of running a program, as far as this machine has them.
WAYS = sorted({False, sandbox.is_isolated()})


def body(payload: Any, answer: str) -> str:
    """A submission's body in the form that capa gives it."""
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


def test_hidden_case_is_not_told() -> None:
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


def test_file_that_is_no_text_is_named() -> None:
    reply = grade(body(PAYLOADS["wordcount"][0], ""), {"wordcount.py": b"\xff\xfe\x00"})
    assert "wordcount.py is not a text file" in reply["msg"]


@pytest.mark.parametrize(
    "path",
    ["../settings.py", "/etc/passwd", "grade.py", "harness.py", "fizzbuzz", "", "../../x/grade.py"],
)
def test_payload_cannot_name_a_file_elsewhere(path: str) -> None:
    with pytest.raises(GradingError):
        grade(body({"grader": path}, ""), {})


@pytest.mark.parametrize("payload", [None, 3, [], "fizzbuzz/grade.py", {"grader": None}, {}])
def test_unusable_payload_is_no_fault_of_the_learner(payload: Any) -> None:
    with pytest.raises(GradingError):
        grade(body(payload, "def fizzbuzz(n): ..."), {})


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_any_other_body_is_a_grading_error_that_tells_nothing(text: str) -> None:
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
    def test_it_works(self, isolated: bool) -> None:
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

    def test_no_more_processes(self, isolated: bool) -> None:
        ran = run("import os\ndef f(): return os.fork()", isolated=isolated)
        assert ran.results[0]["error"] in ("BlockingIOError", "PermissionError")

    def test_nothing_of_the_grader_in_reach(
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

    def test_forged_results_are_only_values(self, isolated: bool) -> None:
        program = (
            "import os\n"
            "for fd in range(3, 20):\n"
            '  try: os.write(fd, b\'{"loaded": true}\\n[]\\n{"value": 1}\\n\')\n'
            "  except OSError: pass\n"
            "def f(): return 2"
        )
        ran = run(program, isolated=isolated)
        assert all(isinstance(result, dict) for result in ran.results)


def test_isolated_or_says_so() -> None:
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
def test_anything_may_come_from_the_sandbox(results: bytes, output: bytes) -> None:
    ran = sandbox.run_from(results, output, "finished")
    assert all(isinstance(result, dict) for result in ran.results)


def test_missing_bubblewrap_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_isolated", lambda: False)
    assert sandbox.describe().startswith("NOT ISOLATED: ")


# -- the feedback


@given(st.text(), st.text(), st.text())
def test_feedback_is_well_formed_whatever_it_tells(name: str, detail: str, printed: str) -> None:
    finding = Finding(name, False, ((name, detail),))
    msg = render(name, [finding], printed)
    assert ElementTree.fromstring(msg).tag == "div"


def test_feedback_is_bounded() -> None:
    assert len(render("x" * 10**6, (), "&" * 10**6)) < 20_000


# -- the protocol

URL = "http://lms.example.com"
QUEUE = f"{URL}/xqueue"


def envelope(code: int, content: Any) -> dict[str, Any]:
    return {"return_code": code, "content": content}


@pytest.fixture
def queue() -> Iterator[responses.RequestsMock]:
    """A queue that takes our login, and any number of them."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        token = {"Set-Cookie": "csrftoken=t0ken; Path=/"}
        mock.get(f"{QUEUE}/login/", json=envelope(1, "login_required"), headers=token)
        mock.post(f"{QUEUE}/login/", json=envelope(0, "Logged in"))
        yield mock


@pytest.fixture
def client() -> XQueueClient:
    return XQueueClient(URL, "grader", "s3cret")


def logins(queue: responses.RequestsMock) -> int:
    return sum(c.request.method == "POST" and "login" in c.request.url for c in queue.calls)


def test_login_shows_the_token_and_where_it_came_from(
    queue: responses.RequestsMock, client: XQueueClient
) -> None:
    client.login()
    post = queue.calls[1].request
    assert post.body == "username=grader&password=s3cret"
    assert post.headers["X-CSRFToken"] == "t0ken"
    assert post.headers["Referer"] == f"{QUEUE}/login/"


def test_refused_login_does_not_tell_the_secret(client: XQueueClient) -> None:
    with responses.RequestsMock() as queue:
        queue.get(f"{QUEUE}/login/", json=envelope(1, "login_required"))
        queue.post(f"{QUEUE}/login/", json=envelope(1, "Incorrect login credentials"))
        with pytest.raises(LoginRefused) as raised:
            client.login()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 401, 403])
def test_lost_session_is_a_login_and_one_more_try(
    queue: responses.RequestsMock, client: XQueueClient, status: int
) -> None:
    queue.get(f"{QUEUE}/get_submission/", status=status)
    queue.get(f"{QUEUE}/get_submission/", json=envelope(1, "Queue 'demo' is empty"))
    assert client.get_submission("demo") is None
    assert logins(queue) == 1


def test_session_lost_twice_is_an_error(
    queue: responses.RequestsMock, client: XQueueClient
) -> None:
    queue.get(f"{QUEUE}/get_submission/", status=302)
    with pytest.raises(XQueueError, match="302"):
        client.get_submission("demo")
    assert logins(queue) == 1


def test_submission_is_taken_apart(queue: responses.RequestsMock, client: XQueueClient) -> None:
    header = '{"submission_id": 7, "submission_key": "k"}'
    content = {"xqueue_header": header, "xqueue_body": "{}", "xqueue_files": '{"a.py": "http://x"}'}
    queue.get(f"{QUEUE}/get_submission/", json=envelope(0, json.dumps(content)))
    pulled = client.get_submission("demo")
    assert pulled == Pulled(header, "{}", {"a.py": "http://x"})
    assert pulled.submission_id == 7
    assert "k" not in repr(pulled).removeprefix("Pulled")


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "<html>"},
        {"body": "[]"},
        {"body": "null"},
        {"json": {"content": ""}},
        {"json": envelope(0, "no json")},
        {"json": envelope(0, "[]")},
        {"json": envelope(0, "{}")},
        {"json": envelope(0, 3)},
        {"json": envelope(1, "Queue 'demo' not found")},
        {"status": 500},
        {"body": requests.ConnectTimeout()},
        {"body": requests.exceptions.ChunkedEncodingError()},
    ],
)
def test_odd_answer_is_an_error(
    queue: responses.RequestsMock, client: XQueueClient, answer: dict[str, Any]
) -> None:
    queue.get(f"{QUEUE}/get_submission/", **answer)
    with pytest.raises(XQueueError):
        client.get_submission("demo")


def test_result_is_handed_in_as_a_form(queue: responses.RequestsMock, client: XQueueClient) -> None:
    form = {"xqueue_header": '{"h": 1}', "xqueue_body": '{"correct": true}'}
    match = [responses.matchers.urlencoded_params_matcher(form)]
    queue.post(f"{QUEUE}/put_result/", json=envelope(0, ""), match=match)
    client.put_result('{"h": 1}', {"correct": True})
    assert len(queue.calls) == 1


def test_refused_result_says_why(queue: responses.RequestsMock, client: XQueueClient) -> None:
    queue.post(f"{QUEUE}/put_result/", json=envelope(1, "Submission does not exist"))
    with pytest.raises(RequestRefused, match="Submission does not exist"):
        client.put_result("{}", {})


def test_file_is_fetched_without_our_session(
    queue: responses.RequestsMock, client: XQueueClient
) -> None:
    queue.get("http://files.example.com/a", body=b"x = 1")
    client.login()
    assert client.download("http://files.example.com/a") == b"x = 1"
    assert "Cookie" not in queue.calls[-1].request.headers


def test_file_that_is_too_large_is_left(
    queue: responses.RequestsMock, client: XQueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.grader.client.MAX_FILE_BYTES", 10)
    queue.get("http://files.example.com/a", body=b"x" * 11)
    with pytest.raises(XQueueError, match="larger"):
        client.download("http://files.example.com/a")


def test_address_of_a_missing_file_is_not_told(
    queue: responses.RequestsMock, client: XQueueClient
) -> None:
    queue.get("http://files.example.com/signed-address", status=403)
    with pytest.raises(XQueueError) as raised:
        client.download("http://files.example.com/signed-address")
    assert "signed-address" not in str(raised.value)


# -- the loop


class Queue:
    """Stands in for the client: hands out what it holds, and collects replies."""

    def __init__(self, *items: Pulled | Exception, faults: list[Exception] | None = None) -> None:
        self.items = list(items)
        self.faults = faults or []
        self.replies: list[dict[str, Any]] = []
        self.worker = worker.Worker(self, ["demo"], poll=0)  # type: ignore[arg-type]

    def get_submission(self, queue_name: str) -> Pulled | None:
        if not self.items:
            self.worker.stop()
            return None
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def put_result(self, header: str, reply: dict[str, Any]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.replies.append(reply)

    def download(self, url: str) -> bytes:
        return SAMPLES["wordcount"]["right"]["files"]["wordcount.py"].encode()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PUT_AGAIN_AFTER", (0,) * len(worker.PUT_AGAIN_AFTER))


HEADER = '{"submission_id": 7, "submission_key": "k3y"}'
UPLOAD = Pulled(HEADER, body(PAYLOADS["wordcount"][0], ""), {"wordcount.py": "http://x"})


def test_worker_grades_until_stopped() -> None:
    queue = Queue(UPLOAD, UPLOAD)
    assert queue.worker.run() == 0
    assert [reply["score"] for reply in queue.replies] == [2, 2]


def test_worker_tries_again_to_hand_in() -> None:
    queue = Queue(UPLOAD, faults=[XQueueError("away")] * len(worker.PUT_AGAIN_AFTER))
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1


def test_worker_gives_a_reply_up_in_the_end() -> None:
    queue = Queue(UPLOAD, faults=[XQueueError("away")] * 100)
    assert queue.worker.run() == 0
    assert len(queue.faults) == 100 - len(worker.PUT_AGAIN_AFTER) - 1


def test_worker_does_not_repeat_what_was_refused() -> None:
    queue = Queue(UPLOAD, faults=[RequestRefused("Incorrect key for submission")])
    assert queue.worker.run() == 0
    assert (queue.faults, queue.replies) == ([], [])


def test_worker_leaves_what_it_cannot_grade(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(Pulled(HEADER, "no json: the learner's work", {}), UPLOAD)
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1
    assert "submission 7 is left ungraded" in caplog.text
    assert "k3y" not in caplog.text
    assert "learner's work" not in caplog.text


def test_worker_outlives_a_queue_that_is_away() -> None:
    queue = Queue(*[XQueueError("away")] * (worker.MAX_FAILURES - 1), UPLOAD)
    assert queue.worker.run() == 0
    assert len(queue.replies) == 1


def test_worker_does_not_try_for_ever() -> None:
    queue = Queue(*[XQueueError("away")] * 1000)
    assert queue.worker.run() == 1
    assert len(queue.items) == 1000 - worker.MAX_FAILURES


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


def test_command_needs_a_secret_and_says_where() -> None:
    with command(XQUEUE_GRADER_NAME="grader") as process:
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 1
    assert "XQUEUE_GRADER_SECRET" in told


def test_command_stops_when_asked(tmp_path: Path) -> None:
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
