"""The command xqueue-grader: try and check; and what importing the library loads."""

from __future__ import annotations

import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from tests.doubles import legacy_grader_server
from tests.doubles.serving import serving
from tests.submission_queue.factories import new_submission
from xqueue_bridge.grader import QueueClient, QueueUnavailable, cli
from xqueue_bridge.submission_queue import api as submission_queue

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GRADER = """
from xqueue_bridge.grader import Result, Test

def grade(submission):
    text = submission.response or next(iter(submission.files().values())).decode()
    loop = Test(name="has a loop", score=float("for" in text), message="looked for a loop")
    hidden = Test(name="secret", score=1, visible=False)
    return Result.of_tests([loop, hidden], message=f"task {submission.payload}")
"""
STYLED = """
def grade(submission):
    msg = '<p style="color: red">x</p><script>1</script>'
    return {"correct": True, "score": 1, "msg": msg}
"""
BROKEN = """
def grade(submission):
    return {"correct": True, "score": "all"}
"""


@pytest.fixture
def written(tmp_path):
    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_try_shows_what_learner_and_staff_see(written, tmp_path, capsys):
    page = str(tmp_path / "page.html")
    arguments = ["try", written("grader.py", GRADER), written("answer.py", "for x in y: pass")]
    assert cli.main([*arguments, "--payload", "3", "--html", page]) == 0
    shown = capsys.readouterr().out
    assert "score      2.0 of 2.0" in shown
    assert "has a loop: 1 of 1" in shown
    assert "secret: 1 of 1   (hidden from the learner)" in shown
    assert "task 3" in shown
    assert "<table" in Path(page).read_text()


def test_try_with_an_upload(written, capsys):
    arguments = ["try", written("grader.py", GRADER), written("answer.py", "x = 1"), "--upload"]
    assert cli.main(arguments) == 0
    assert "score      1.0 of 2.0" in capsys.readouterr().out


def test_try_names_what_the_server_removes(written, capsys):
    assert cli.main(["try", written("grader.py", STYLED), written("a", "")]) == 0
    shown = capsys.readouterr().out
    assert "warning    markup_removed: " in shown
    assert '{"script": 1}' in shown
    assert "warning    styles_removed: " in shown
    assert "  change   Use class, or elements such as strong and pre." in shown


@pytest.mark.parametrize(
    ("grader", "message"),
    [(BROKEN, "would refuse this reply: score"), ("x = 1", "defines no function grade")],
)
def test_try_names_what_is_wrong(written, grader, message, capsys):
    assert cli.main(["try", written("grader.py", grader), written("a", "")]) == 1
    shown = capsys.readouterr()
    assert message in shown.out + shown.err


@pytest.mark.django_db(transaction=True)
def test_check_has_a_sentence_for_each_finding(live_server, monkeypatch, capsys):
    monkeypatch.setenv("XQUEUE_GRADER_NAME", "watcher")
    secret = submission_queue.create_grader("watcher", ["python"])
    monkeypatch.setenv("XQUEUE_GRADER_SECRET", secret)
    assert cli.main(["check", live_server.url, "--queue", "python", "--queue", "java"]) == 1
    shown = capsys.readouterr().out
    assert "accepts the login" in shown
    assert f"ok      File links lead to {live_server.url}/xqueue/files/, where XQueue" in shown
    assert "Queue python: 0 submissions can be pulled" in shown
    assert "FAILED  Queue java" in shown
    monkeypatch.setenv("XQUEUE_GRADER_SECRET", "wrong")
    assert cli.main(["check", live_server.url]) == 1
    assert "check the name and the secret" in capsys.readouterr().out


class Proxy(BaseHTTPRequestHandler):
    """Stands before the files: a login page, a redirect to it or to the files, an error, a cut."""

    double: ClassVar[dict[str, str]]

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        status, body = {"error": (502, b"Bad gateway"), "other": (404, b"Not found\n")}.get(
            kind, (200, b"<html>Sign in</html>")
        )
        targets = {"login": "/signin?secret=1", "moved": self.double["files"], "loop": self.path}
        self.send_response(302 if kind in targets else status)
        if kind in targets:
            self.send_header("Location", targets[kind])
        self.send_header("Content-Length", str(len(body) + (5 if kind == "cut" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("page", "another server or a proxy responds, with status 200"),
        ("error", "another server or a proxy responds, with status 502"),
        ("other", "another server or a proxy responds, with status 404"),
        ("login", "/signin, which responds with status 200"),
        ("loop", "there is no response (TooManyRedirects)"),
        ("cut", "there is no response (ChunkedEncodingError)"),
        ("unreachable", "there is no response (ConnectionError)"),
        ("moved", ""),
    ],
)
def test_check_says_what_responds_to_file_links(
    live_server, monkeypatch, settings, capsys, kind, sentence
):
    """C98: a file link must be readable by a plain GET; a redirect that ends there is none less."""
    monkeypatch.setenv("XQUEUE_GRADER_NAME", "watcher")
    monkeypatch.setenv(
        "XQUEUE_GRADER_SECRET", submission_queue.create_grader("watcher", ["python"])
    )
    submission_queue.enqueue(new_submission())
    with serving(Proxy, {"files": f"{live_server.url}/xqueue/files/-/"}) as proxy:
        base = "http://127.0.0.1:9" if kind == "unreachable" else f"{proxy}/{kind}"
        settings.XQUEUE_BRIDGE = {"PUBLIC_URL": base}
        status = cli.main(["check", live_server.url, "--queue", "python"])
    shown = capsys.readouterr().out
    assert status == int(bool(sentence))
    begin = "FAILED" if sentence else "ok    "
    assert f"{begin}  File links lead to {base}/xqueue/files/" in shown
    assert sentence in shown
    assert ("check PUBLIC_URL and the proxy" in shown) is bool(sentence)
    assert "secret=1" not in shown
    assert "Queue python: 1 submissions can be pulled" in shown, "none was pulled"


def test_file_whose_download_breaks_off_is_not_graded():
    """C98: the content equals the upload, or there is none."""
    with serving(Proxy, {"files": ""}) as proxy:
        client = QueueClient(proxy, "watcher", "s")
        assert client.download(f"{proxy}/page/") == b"<html>Sign in</html>"
        with pytest.raises(QueueUnavailable, match="cannot be fetched: ChunkedEncodingError"):
            client.download(f"{proxy}/cut/")


def test_check_of_a_legacy_server_leaves_file_links_out(monkeypatch, capsys):
    with legacy_grader_server.running() as server:
        monkeypatch.setenv("XQUEUE_GRADER_NAME", "watcher")
        monkeypatch.setenv("XQUEUE_GRADER_SECRET", server.secret)
        assert cli.main(["check", server.url, "--queue", "python"]) == 0
    assert "File links were not checked: the server does not say" in capsys.readouterr().out


AUTOGRADER = """
import json, pathlib, sys
root = pathlib.Path(sys.argv[1])
text = (root / "submission" / "answer.py").read_text()
tests = [{"name": "length", "score": len(text), "max_score": 10, "output": "counted"}]
(root / "results" / "results.json").write_text(json.dumps({"tests": tests}))
"""


def test_autograder_of_the_how_to_runs(written, monkeypatch, capsys):
    """The page's grader, with a command instead of a container."""
    run = f"{sys.executable} {written('run_autograder.py', AUTOGRADER)} {{root}}"
    monkeypatch.setenv("AUTOGRADER", run)
    arguments = [str(HERE / "gradescope_grader.py"), written("answer.py", "x = 1"), "--upload"]
    assert cli.main(["try", *arguments]) == 0
    assert "length: 5 of 10" in capsys.readouterr().out


@pytest.mark.parametrize("grader", ["gradescope_grader.py", "prairielearn_grader.py"])
def test_autograder_gets_a_typed_answer_as_a_file(written, monkeypatch, capsys, grader):
    """Most problems have an editor: the answer is in the body, and there are no files."""
    program = AUTOGRADER if grader.startswith("gradescope") else PRAIRIELEARN
    run = f"{sys.executable} {written('run.py', program)} {{root}}"
    monkeypatch.setenv("AUTOGRADER", run)
    assert cli.main(["try", str(HERE / grader), written("typed.txt", "x = 1")]) == 0
    assert "length: 5 of 10" in capsys.readouterr().out


@pytest.mark.parametrize("grader", ["gradescope_grader.py", "prairielearn_grader.py"])
def test_autograder_that_writes_no_results_is_reported(written, monkeypatch, capsys, grader):
    """The author sees the status and the output of the autograder."""
    run = written("run.py", "import sys; sys.exit('no compiler')")
    monkeypatch.setenv("AUTOGRADER", f"{sys.executable} {run} {{root}}")
    assert cli.main(["try", str(HERE / grader), written("answer.py", "x = 1")]) == 1
    assert "no results.json; status 1: no compiler" in capsys.readouterr().err


PRAIRIELEARN = """
import json, pathlib, sys
root = pathlib.Path(sys.argv[1])
length = len((root / "student" / "answer.py").read_text())
tests = [{"name": "length", "points": length, "max_points": 10, "message": "counted"}]
result = {"gradable": True, "score": length / 10, "message": "Ran.", "tests": tests}
(root / "results" / "results.json").write_text(json.dumps(result))
"""


def test_prairielearn_autograder_of_the_how_to_runs(written, monkeypatch, capsys):
    run = f"{sys.executable} {written('run.py', PRAIRIELEARN)} {{root}}"
    monkeypatch.setenv("AUTOGRADER", run)
    grader = str(HERE / "prairielearn_grader.py")
    assert cli.main(["try", grader, written("answer.py", "x = 1"), "--upload"]) == 0
    shown = capsys.readouterr().out
    assert "score      5.0 of 10" in shown
    assert "length: 5 of 10" in shown


def test_grader_of_the_how_to_runs(written, capsys):
    arguments = [str(HERE / "my_grader.py"), written("answer.py", "for x in y: pass")]
    assert cli.main(["try", *arguments]) == 0
    shown = capsys.readouterr().out.splitlines()
    page = (ROOT / "docs/how-tos/write_a_grader.rst").read_text()
    assert shown[:3] == [
        "correct    True",
        "score      1.0 of 1.0",
        "test       has a loop: 1 of 1",
    ]
    assert all(f"    {line}\n" in page for line in shown)


WITHOUT_DJANGO = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "rest_framework", "celery", "opaque_keys", "nh3"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocked())
import xqueue_bridge.grader as library
import xqueue_bridge.grader.cli
from xqueue_bridge.grader import adapters
print(library.Result(score=1).to_reply()["correct"])
from xqueue_bridge.grader.preview import as_text, preview
print(as_text(preview({"correct": True, "score": -1, "msg": "<b>x</b>"})))
"""


def test_library_needs_requests_only():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DJANGO],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True\n")
    assert "score_below_zero" in done.stdout
    assert "pip install 'xqueue-bridge[grader-preview]'" in done.stdout


FIZZBUZZ = 'def fizzbuzz(n):\n    return ["1", "2", "Fizz"]\n'


def test_grader_of_the_quickstart_runs(written, tmp_path, capsys):
    page = str(tmp_path / "result.html")
    arguments = [str(HERE / "fizzbuzz_grader.py"), written("answer.py", FIZZBUZZ), "--html", page]
    assert cli.main(["try", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "score      1.0 of 3.0" in shown
    assert "fizzbuzz(0): 0 of 1   (hidden from the learner)" in shown
    assert "for staff  random seed 1" in shown
    assert "For staff only" in Path(page).read_text()
