"""The command ``xqueue-grader``: run a grader, try it on one answer, check a server.

xqueue-grader run my_grader.py --url https://lms.example.com --queue python
xqueue-grader try my_grader.py answer.py --payload '{"task": 1}'
xqueue-grader check https://lms.example.com --queue python
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xqueue_bridge.grader.client import (
    LoginRefused,
    QueueClient,
    QueueUnavailable,
    Submission,
    XQueueError,
)
from xqueue_bridge.grader.results import Result
from xqueue_bridge.grader.run import ON_ERROR, Config, run
from xqueue_bridge.grader.worker import Grade


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options))
    except (ValueError, OSError, XQueueError) as exc:
        print(f"xqueue-grader: {exc}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xqueue-grader",
        description="Run and try graders of XQueue submissions.",
        epilog="run and check read the grader's name from XQUEUE_GRADER_NAME and its secret from "
        "XQUEUE_GRADER_SECRET, or from the file that XQUEUE_GRADER_SECRET_FILE names.",
    )
    actions = parser.add_subparsers(required=True, metavar="run | try | check")

    running = actions.add_parser("run", help="grade submissions until SIGTERM")
    running.add_argument("grader", help="a Python file that defines grade(submission)")
    running.add_argument("--url", required=True, help="the site, such as https://lms.example.com")
    running.add_argument("--queue", action="append", required=True, help="can be repeated")
    running.add_argument("--workers", type=int, default=1, help="processes (1)")
    running.add_argument("--poll", type=float, default=1.0, help="seconds between polls (1)")
    running.add_argument(
        "--on-error", choices=ON_ERROR, default="retry", help="after an exception of grade()"
    )
    running.add_argument(
        "--fraction", action="store_true", help="send the score as a part of 1 (SCORE_SCALE)"
    )
    running.set_defaults(action=_run)

    trying = actions.add_parser("try", help="grade one answer on this machine")
    trying.add_argument("grader", help="a Python file that defines grade(submission)")
    trying.add_argument("answer", help="the file with the learner's answer")
    trying.add_argument("--payload", default="", help="the author's grader_payload")
    trying.add_argument("--upload", action="store_true", help="the answer is an uploaded file")
    trying.add_argument("--html", help="write the preview to this HTML file, too")
    trying.set_defaults(action=_try)

    checking = actions.add_parser("check", help="check login, queues and file links of a server")
    checking.add_argument("url")
    checking.add_argument("--queue", action="append", default=[], help="can be repeated")
    checking.set_defaults(action=_check)
    return parser


def load_grade(path: str) -> Grade:
    """Return the function ``grade`` of a Python file; ValueError if there is none."""
    spec = importlib.util.spec_from_file_location("xqueue_grader_program", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(Path(path).resolve().parent))
    spec.loader.exec_module(module)
    grade = getattr(module, "grade", None)
    if not callable(grade):
        raise ValueError(f"{path} defines no function grade(submission)")
    return grade


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = Config.from_environment(
        url=options.url,
        queues=options.queue,
        workers=options.workers,
        poll_seconds=options.poll,
        on_error=options.on_error,
        as_fraction=options.fraction,
    )
    return run(load_grade(options.grader), config)


class _Local:
    """Stands in for the server: the "URL" of an uploaded file is its path."""

    def download(self, url: str) -> bytes:
        return Path(url).read_bytes()


def _try(options: argparse.Namespace) -> int:
    from xqueue_bridge.grader.preview import as_page, as_text, preview  # not needed to run

    path = Path(options.answer)
    text = "" if options.upload else path.read_text(encoding="utf-8")
    body = {
        "student_response": path.name if options.upload else text,
        "grader_payload": options.payload,
        "student_info": json.dumps({"anonymous_student_id": "local", "random_seed": 1}),
    }
    submission = Submission(
        json.dumps({"submission_id": 0, "submission_key": "local"}),
        json.dumps(body),
        {path.name: str(path)} if options.upload else {},
        _Local(),  # type: ignore[arg-type]
    )
    result: Any = load_grade(options.grader)(submission)
    shown = preview(result.to_reply() if isinstance(result, Result) else result)
    print(as_text(shown))
    if options.html:
        Path(options.html).write_text(as_page(shown), encoding="utf-8")
        print(f"page       {options.html}")
    return 1 if shown.problem else 0


def _check(options: argparse.Namespace) -> int:
    config = Config.from_environment(url=options.url, queues=options.queue or ["any"])
    client = QueueClient(config.url, config.name, config.secret)
    status = 0
    for ok, sentence in _findings(client, options.queue):
        print(("ok      " if ok else "FAILED  ") + sentence)
        status = status or int(not ok)
    return status


def _findings(client: QueueClient, queues: Sequence[str]) -> Iterator[tuple[bool, str]]:
    try:
        client.login()
    except LoginRefused as exc:
        yield False, f"{exc}: check the name and the secret, and that the account is active."
        return
    except QueueUnavailable as exc:
        yield False, f"{exc}: check the URL; {client.url} must be an XQueue server."
        return
    yield True, f"The server at {client.url} accepts the login."
    yield _file_links(client)
    if not queues:
        yield True, "No queue was named, so no queue was checked."
    for name in queues:
        try:
            yield True, f"Queue {name}: {client.queue_length(name)} submissions can be pulled."
        except XQueueError as exc:
            yield False, f"Queue {name}: {exc}. Ask the operator to grant it to this grader."


def _file_links(client: QueueClient) -> tuple[bool, str]:
    if not client.files_url:
        return True, "File links were not checked: the server does not say where they lead."
    where = f"File links lead to {client.files_url}"
    if error := client.file_link_error():
        return False, (
            f"{where}, but {error}. XQueue Bridge must respond there, to this machine and without "
            "a login: ask the operator to check PUBLIC_URL and the proxy."
        )
    return True, (
        f"{where}, where XQueue Bridge refuses a false link, without a login. Whether a stored "
        "file can be read was not checked."
    )


if __name__ == "__main__":
    sys.exit(main())
