"""A problem's own script runs outside our process."""

from __future__ import annotations

import random
import sys

from demo import code_jail


def run(code: str, **names: object) -> tuple[dict[str, object], str | None]:
    reason, error = code_jail.run_script({"code": code, "globals_dict": names})
    assert (reason is None) == (error is None)
    return names, reason


def test_names_come_back() -> None:
    names, reason = run("doubled = number * 2", number=21)
    assert (names["doubled"], reason) == (42, None)


def test_what_json_cannot_hold_stays_behind() -> None:
    names, reason = run("import math\nhalf = 0.5")
    assert names == {"half": 0.5}
    assert reason is None


def test_our_own_modules_are_not_touched() -> None:
    before = sys.modules["random"]
    run("import sys; sys.modules['random'] = None")
    assert sys.modules["random"] is before is random


def test_an_error_is_told() -> None:
    names, reason = run("1 / 0")
    assert reason == "ZeroDivisionError: division by zero"
    assert names == {}


def test_an_endless_script_is_stopped(monkeypatch) -> None:
    monkeypatch.setattr(code_jail, "SECONDS", 0.5)
    _, reason = run("while True: pass")
    assert reason == "the script ran for more than 0.5 seconds"
