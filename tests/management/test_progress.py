"""How a long command says how far it is."""

from __future__ import annotations

import builtins
import io

import pytest
from django.core.management.base import OutputWrapper

from xqueue_bridge.management import progress
from xqueue_bridge.management.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, **options) -> str:
    with ProgressBar(OutputWrapper(stream), 8, **options) as bar:
        bar.to(2, "two")
        bar.to(8, "eight")
    return stream.getvalue()


def test_a_bar_on_a_terminal():
    assert shown(Terminal()).endswith("eight\n")
    assert "100%|" in shown(Terminal())


def test_lines_where_there_is_no_terminal(monkeypatch):
    assert shown(io.StringIO()) == "", "not yet"
    monkeypatch.setattr(progress, "INTERVAL", 0)
    assert shown(io.StringIO()) == "25%: two\n100%: eight\n"


def test_lines_where_there_is_no_tqdm(monkeypatch):
    real = builtins.__import__

    def without_tqdm(name, *args):
        if name == "tqdm":
            raise ImportError
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    assert shown(Terminal()) == "25%: two\n100%: eight\n"


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_quiet(stream, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0)
    assert shown(stream(), quiet=True) == ""
