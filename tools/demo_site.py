"""The demo's site with a database of its own, for the tools that look at its pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Site:
    """A site whose files are in a folder, which is deleted at the end."""

    environment: dict[str, str] = field(repr=False)

    def run(self, code: str) -> str:
        """Run Python code with the site's settings; return what it prints."""
        command: dict[str, Any] = {"cwd": ROOT, "env": self.environment, "text": True}
        arguments = [sys.executable, "-c", code]
        done = subprocess.run(  # noqa: S603
            arguments, stdout=subprocess.PIPE, check=True, timeout=300, **command
        )
        return done.stdout

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Run the web server; return its URL."""
        server = subprocess.Popen(
            [sys.executable, "-m", "demo.server", "0"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield server.stdout.readline().strip() if server.stdout else ""
        finally:
            server.terminate()
            server.wait(timeout=10)


@contextmanager
def new_site(settings: str = "demo.settings") -> Iterator[Site]:
    """Return a site without a database."""
    with tempfile.TemporaryDirectory(prefix="screenshots-") as var:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings}
        yield Site({**environment, "XQUEUE_BRIDGE_DEMO_VAR": var, "PYTHONWARNINGS": "ignore"})


def width_fault(page: Page, what: str) -> list[str]:
    """Return a line if the page is wider than the window."""
    is_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [f"{what}: wider than the window"] if is_wide else []
