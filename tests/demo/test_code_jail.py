"""Scripts of problems run in another process."""

from __future__ import annotations

import random
import sys

from demo import code_jail


def run(code: str, **names: object) -> tuple[dict[str, object], str | None]:
    reason, error = code_jail.run_script({"code": code, "globals_dict": names})
    assert (reason is None) == (error is None)
    return names, reason


def test_names_of_the_script_are_returned() -> None:
    names, reason = run("doubled = number * 2", number=21)
    assert (names["doubled"], reason) == (42, None)


def test_values_that_are_not_json_are_dropped() -> None:
    names, reason = run("import math\nhalf = 0.5")
    assert names == {"half": 0.5}
    assert reason is None


def test_script_does_not_change_modules_of_this_process() -> None:
    before = sys.modules["random"]
    run("import sys; sys.modules['random'] = None")
    assert sys.modules["random"] is before is random


def test_error_of_the_script_is_returned() -> None:
    names, reason = run("1 / 0")
    assert reason == "ZeroDivisionError: division by zero"
    assert names == {}


def test_endless_script_is_stopped(monkeypatch) -> None:
    monkeypatch.setattr(code_jail, "SECONDS", 0.5)
    _, reason = run("while True: pass")
    assert reason == "the script ran for more than 0.5 seconds"
