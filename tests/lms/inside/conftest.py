"""What the platform's own tests replace: files that only a build of its assets makes."""

from __future__ import annotations

import importlib.util
import os

import pytest

#: Needs an installed xqueue-watcher (see tests/lms/stock_watcher.py).
collect_ignore = [] if os.environ.get("XQUEUE_WATCHER") else ["test_stock_watcher.py"]

_PAGES = (
    ("webpack_loader.templatetags.webpack_loader.render_bundle", ""),
    ("webpack_loader.utils.get_as_tags", []),
    ("webpack_loader.utils.get_files", []),
)


@pytest.fixture(autouse=True)
def _no_built_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("webpack_loader"):
        for name, value in _PAGES:
            monkeypatch.setattr(name, lambda *args, _value=value, **kwargs: _value)
