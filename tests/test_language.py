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


@pytest.mark.parametrize(
    ("rule", "text"),
    [(name, text) for name, rule in RULES.items() if rule.in_prose for text in rule.denied],
)
@pytest.mark.parametrize("path", ["page.rst", "page.html"])
def test_rule_finds_the_term_in_a_page(rule: str, text: str, path: str) -> None:
    assert rule in {each.rule for each in language.find(path, f"Before {text} after.")}


@pytest.mark.parametrize(
    ("rule", "text"),
    [(name, text) for name, rule in RULES.items() if not rule.in_prose for text in rule.denied],
)
def test_rule_for_names_finds_the_term_in_names_only(rule: str, text: str) -> None:
    assert rule in {each.rule for each in language.find("m.py", text)}
    assert not list(language.find("m.py", f"# {text}"))


@pytest.mark.parametrize(
    ("rule", "text"),
    [(name, text) for name, rule in RULES.items() if rule.in_prose for text in rule.denied],
)
def test_rule_finds_the_term_in_code(rule: str, text: str) -> None:
    for source in (f'"""One. {text}."""', f"x = 1  # {text}", f'x = f"{{x}} {text}"'):
        assert rule in {each.rule for each in language.find("m.py", source)}, source


@pytest.mark.parametrize(
    ("rule", "text"), [(name, text) for name, rule in RULES.items() for text in rule.allowed]
)
def test_rule_allows_another_meaning(rule: str, text: str) -> None:
    assert rule not in {each.rule for each in language.find("m.py", f"# {text}")}


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
