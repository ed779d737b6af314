"""Helpers of the browser tests: a window with its console, a grader, axe-core."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = "/usr/bin/chromium"
#: As root chromium has no sandbox; the other flags prevent requests to other hosts.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Milliseconds; the page polls every 0.7 s, but the machine may be busy.
SOON = 15_000


class Grader:
    """A pull grader whose steps a test calls."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = f"{url}/xqueue"
        self.session = requests.Session()
        self.header = ""
        form = {"username": "demo-grader", "password": secret}
        self._content(self.session.post(f"{self.url}/login/", data=form, timeout=10))

    def pull(self) -> dict[str, Any]:
        """Pull the next submission."""
        query = {"queue_name": "demo"}
        response = self.session.get(f"{self.url}/get_submission/", params=query, timeout=10)
        submission = json.loads(self._content(response))
        self.header = submission["xqueue_header"]
        return json.loads(submission["xqueue_body"])

    def put(self, score: float, msg: str) -> None:
        """Return the result of the submission that was pulled last."""
        reply = json.dumps({"correct": score > 0, "score": score, "msg": msg})
        form = {"xqueue_header": self.header, "xqueue_body": reply}
        self._content(self.session.post(f"{self.url}/put_result/", data=form, timeout=10))

    def _content(self, response: requests.Response) -> str:
        envelope = response.json()
        assert envelope["return_code"] == 0, envelope
        return envelope["content"]


@contextlib.contextmanager
def opened(browser: Browser, url: str, *, expected: str = "", **context: Any) -> Iterator[Page]:
    """Open a browser window; an error in its console that does not match ``expected`` fails."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        is_expected = expected and re.search(expected, message.text)
        if message.type in ("error", "warning") and not is_expected:
            complaints.append(message.text)

    window = browser.new_context(base_url=url, **context)
    page = window.new_page()
    page.set_default_timeout(SOON)
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    window.close()
    if complaints:
        raise AssertionError("in the console: " + "; ".join(complaints))


def become(page: Page, name: str) -> None:
    page.goto("/choose/")
    page.get_by_role("button", name=name).click()


def write(page: Page, label: str, text: str) -> None:
    """Replace the text of an editor, with the keyboard."""
    page.get_by_role("textbox", name=label).focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def serious(page: Page) -> list[str]:
    """Return the serious accessibility violations that axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes']]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
