"""``make screenshots``: every page is checked in a browser, and a broken one fails it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import get_resolver, resolve

from tools import screenshots

pytestmark = pytest.mark.browser

#: URLs of the bridge that are no pages: files, JSON, protocol, metrics; and a form without a link.
NO_PAGES = {"metrics", "health", "openapi", "file", "xqueue_callback", "learner_status", "override"}
PROTOCOL = {"login", "logout", "status", "submit", "get_queuelen", "get_submission", "put_result"}


def names_of(patterns: object) -> set[str]:
    found: set[str] = set()
    for each in patterns:
        found |= names_of(each.url_patterns) if hasattr(each, "url_patterns") else {each.name}
    return found - {None}


def test_every_page_is_in_the_list() -> None:
    ours = names_of(get_resolver("xqueue_bridge.urls").url_patterns)
    pages = {name for name in ours - NO_PAGES - PROTOCOL if not name.endswith("_csv")}
    paths = [path for _who, path in screenshots.PAGES.values() if path.startswith("/xqueue/")]
    listed = {
        resolve(path.format(submission=1, mine=1).partition("?")[0], "xqueue_bridge.urls").url_name
        for path in paths
    }
    assert pages - listed == set()


def test_no_page_is_broken_and_pictures_are_small(tmp_path: Path) -> None:
    assert screenshots.main(tmp_path) == 0
    assert len(list(tmp_path.glob("*.png"))) == len(screenshots.PICTURES)


def test_broken_page_fails_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screenshots, "PAGES", {"gone": ("", "/nowhere/")})
    monkeypatch.setattr(screenshots, "_check_crowd", lambda *args: [])
    monkeypatch.setattr(screenshots.pictures, "check", lambda *args: ["a status"])
    assert screenshots.main(tmp_path) == 1
    printed = capsys.readouterr().out
    assert "gone 375 dark: status 404" in printed
    assert "a status" in printed
