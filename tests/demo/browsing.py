"""What the browser tests use: a window that listens to its console, a grader, axe-core."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = "/usr/bin/chromium"
#: As root there is no sandbox; the rest keeps chromium from looking for the world outside.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Milliseconds; a page that asks every 0.7 s is far quicker, a busy machine may not be.
SOON = 15_000


class Grader:
    """A pull grader that does one step when a test says so."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = f"{url}/xqueue"
        self.session = requests.Session()
        self.header = ""
        form = {"username": "demo-grader", "password": secret}
        self._content(self.session.post(f"{self.url}/login/", data=form, timeout=10))

    def pull(self) -> dict[str, Any]:
        """Take the next answer."""
        query = {"queue_name": "demo"}
        answer = self.session.get(f"{self.url}/get_submission/", params=query, timeout=10)
        submission = json.loads(self._content(answer))
        self.header = submission["xqueue_header"]
        return json.loads(submission["xqueue_body"])

    def put(self, score: float, msg: str) -> None:
        """Answer what was pulled last."""
        reply = json.dumps({"correct": score > 0, "score": score, "msg": msg})
        form = {"xqueue_header": self.header, "xqueue_body": reply}
        self._content(self.session.post(f"{self.url}/put_result/", data=form, timeout=10))

    def _content(self, answer: requests.Response) -> str:
        envelope = answer.json()
        assert envelope["return_code"] == 0, envelope
        return envelope["content"]


@contextlib.contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A fresh browser window; whatever its console complains of fails the test."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    window = browser.new_context(base_url=url, **context)
    page = window.new_page()
    page.set_default_timeout(SOON)
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    window.close()
    assert complaints == []


def become(page: Page, name: str) -> None:
    page.goto("/choose/")
    page.get_by_role("button", name=name).click()


def write(page: Page, label: str, text: str) -> None:
    """Replace what an editor holds, from the keyboard."""
    page.get_by_role("textbox", name=label).focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def serious(page: Page) -> list[str]:
    """Return what axe-core finds that would keep somebody from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes']]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
