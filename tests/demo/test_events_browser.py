"""The status that the gateway pushes, in a browser; the gateway ends, and comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo.browsing import SOON, Grader, become, opened
from tests.demo.events_proxy import Proxy
from tests.demo.test_browser import RIGHT, ROOT, browser, grader, secret, url
from tests.demo.test_learner_browser import submit

__all__ = ["browser", "grader", "secret", "url"]
pytestmark = pytest.mark.browser

PATIENCE = 60
expect.set_options(timeout=SOON)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.demo.events_settings",
        "XQUEUE_BRIDGE_DEMO_VAR": str(tmp_path_factory.mktemp("var")),
        "PYTHONWARNINGS": "ignore",
    }


class Gateway:
    """The gateway's process; a test ends it and starts it again at the same port."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.environment = environment
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "django", "xqueue_bridge_gateway", f"--port={self.port}"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(condition: Callable[[], bool], page: Page | None = None) -> None:
    """Wait for a condition; a page goes on meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        if page is not None:
            page.wait_for_timeout(100)
        else:
            time.sleep(0.1)


@pytest.fixture
def gateway(environment: dict[str, str], secret: str) -> Iterator[Gateway]:
    found = Gateway(environment)
    yield found
    found.kill()


@pytest.fixture
def proxy(url: str, gateway: Gateway) -> Iterator[Proxy]:
    found = Proxy(url, gateway.port)
    yield found
    found.shutdown()
    found.server_close()


def test_gateway_pushes_ends_and_comes_back(
    browser: Browser, proxy: Proxy, gateway: Gateway, grader: Grader
) -> None:
    with opened(browser, proxy.url, expected="status of 502|ERR_INCOMPLETE") as page:
        become(page, "Bruno")
        page.goto("/problems/fizzbuzz/")
        status = page.locator(".xqueue-answers")
        submit(page, RIGHT)
        expect(status).to_contain_text("Next in the queue.")
        until(lambda: proxy.streams == 1, page)
        page.wait_for_timeout(1000)  # the first status of the stream
        polls = proxy.polls
        grader.pull()
        expect(status).to_contain_text("Being graded", timeout=2 * SOON)
        page.wait_for_timeout(4000)
        assert proxy.polls == polls, "the script requests what the gateway pushes"

        gateway.kill()
        until(lambda: proxy.polls >= polls + 2, page)
        expect(status).to_contain_text("Being graded")
        expect(page.locator(".xqueue-visible")).to_have_count(0)

        gateway.start()
        streams = proxy.streams
        until(lambda: proxy.streams > streams, page)
        page.wait_for_timeout(1000)
        polls = proxy.polls
        grader.put(1, "<p>Well done.</p>")
        expect(status).to_contain_text("2 of 2 points")
        assert proxy.polls == polls


def test_site_without_a_gateway_is_requested(
    browser: Browser, proxy: Proxy, gateway: Gateway, grader: Grader
) -> None:
    """The proxy refuses each stream; a few are tried, and the requests go on."""
    gateway.kill()
    with opened(browser, proxy.url, expected="status of 502") as page:
        become(page, "Amara")
        page.goto("/problems/fizzbuzz/")
        submit(page, RIGHT)
        expect(page.locator(".xqueue-answers")).to_contain_text("Next in the queue.")
        grader.pull()
        expect(page.locator(".xqueue-answers")).to_contain_text("Being graded")
        grader.put(1, "<p>Well done.</p>")
        expect(page.locator(".xqueue-answers")).to_contain_text("2 of 2 points")
        assert 1 <= proxy.streams <= 2


def test_pushed_status_without_javascript(browser: Browser, proxy: Proxy) -> None:
    with opened(browser, proxy.url) as page:
        become(page, "Bruno")
        state = page.context.storage_state()
    with opened(browser, proxy.url, java_script_enabled=False, storage_state=state) as page:
        page.goto("/problems/fizzbuzz/")
        expect(page.locator(".xqueue-answers")).to_contain_text("points")
        assert proxy.streams == 0
