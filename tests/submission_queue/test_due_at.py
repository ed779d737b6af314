"""Each write of ``available_at`` writes ``due_at``, which orders the work index, as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import xqueue_bridge

PACKAGE = Path(xqueue_bridge.__file__).parent


def writes_without_due_at(source: str) -> Iterator[int]:
    """Yield the lines of calls of ``update`` and ``create`` with the one column only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = {keyword.arg for keyword in node.keywords}
            is_write = node.func.attr in ("update", "create")
            if is_write and "available_at" in names and "due_at" not in names:
                yield node.lineno


def test_both_are_written_together():
    """Otherwise a finished row would stay in the range that a pull reads."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        for line in writes_without_due_at(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_a_write_of_one_is_found():
    one = "Submission.objects.filter(pk=1).update(status=1, available_at=None)"
    assert list(writes_without_due_at(one)) == [1]
    assert not list(writes_without_due_at(one.replace("status=1", "due_at=None")))
