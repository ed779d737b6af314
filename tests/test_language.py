"""The repository contains none of the denied terms of language_rules.py."""

from __future__ import annotations

import pytest

from tests import language
from tests.language_rules import EXCEPTIONS, RULES


def test_no_file_has_a_denied_term() -> None:
    found = language.find_all()
    assert not found, "\n" + "\n".join(str(each) for each in found)


def test_each_exception_is_still_needed() -> None:
    used = {language.exception_for(each) for each in language.find_allowed_too()}
    unused = [each for index, each in enumerate(EXCEPTIONS) if index not in used]
    assert not unused


@pytest.mark.parametrize("name", RULES)
def test_rule_finds_its_terms_and_allows_other_meanings(name: str) -> None:
    rule = RULES[name]
    for text in rule.denied:
        code = [f'"""One. {text}."""', f"x = 1  # {text}", f'x = f"{{x}} {text}"']
        if rule.in_prose:
            assert name in found("page.rst", f"Before {text} after.")
            assert name in found("page.html", f"Before {text} after.")
        else:
            assert name in found("m.py", text)
        for source in code:
            assert (name in found("m.py", source)) == rule.in_prose, source
    for text in rule.allowed:
        assert name not in found("m.py", f"# {text}")


def found(path: str, source: str) -> set[str]:
    """Return the rules that a file breaks."""
    return {each.rule for each in language.find(path, source)}


@pytest.mark.parametrize(
    ("path", "source", "rule", "line"),
    [
        ("m.py", "def a():\n    return read_place(1)", "place", 2),
        ("m.py", "class BlockTurn: ...", "turn", 1),
        ("m.py", "try: ...\nexcept OSError as problem: ...", "error", 2),
        ("m.py", '"""One.\n\nWhat was given\nup.\n"""', "given up", 3),
        ("m.py", "# What was handed\n# out.", "hand-out", 1),
        ("m.py", "#: What was given\n#: up.", "given up", 1),
        ("tests/x/cast.py", "", "cast", 0),
        ("page.rst", "One\n===\n\nTwo rooms.", "room", 4),
    ],
)
def test_finding_has_rule_and_line(path: str, source: str, rule: str, line: int) -> None:
    assert (rule, line) in {(each.rule, each.line) for each in language.find(path, source)}
