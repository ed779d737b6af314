"""Pages and code name the same settings, commands and paths."""

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from django.core.management import get_commands

from xqueue_bridge.options import Options

DOCS = Path(__file__).parent.parent / "docs"

SETTING = re.compile(r"^\.\. setting:: (\w+)\n\n    Default: ``(.+?)``", re.MULTILINE)
ANNOTATION = re.compile(
    r"\.\. setting_name: XQUEUE_BRIDGE\['(\w+)'\]\n +# \.\. setting_default: (.+)\n"
)
COMMAND = re.compile(r"\bxqueue_bridge_[a-z_]+\b")


def test_each_setting_is_documented_with_its_default() -> None:
    """Each field of Options has one `setting` entry with the default of options.py."""
    page = (DOCS / "references" / "settings.rst").read_text(encoding="utf-8")
    documented = {name: ast.literal_eval(default) for name, default in SETTING.findall(page)}
    assert documented == {option.name: default_of(option) for option in fields(Options)}


def test_every_setting_is_annotated_with_its_default() -> None:
    """OEP-17: the comments in options.py, which `make lint` checks for their form."""
    source = (DOCS.parent / "xqueue_bridge" / "options.py").read_text(encoding="utf-8")
    annotated = {name: ast.literal_eval(default) for name, default in ANNOTATION.findall(source)}
    assert annotated == {option.name: default_of(option) for option in fields(Options)}


def test_commands_are_documented_and_exist() -> None:
    ours = {name for name, app in get_commands().items() if app == "xqueue_bridge"}
    page = (DOCS / "references" / "commands.rst").read_text(encoding="utf-8")
    assert set(COMMAND.findall(page)) == ours


def test_no_page_names_a_command_that_does_not_exist() -> None:
    known = set(get_commands())
    for page in [*DOCS.rglob("*.rst"), DOCS.parent / "README.rst"]:
        named = re.findall(r"manage\.py (xqueue_bridge_\w+)", page.read_text(encoding="utf-8"))
        assert set(named) <= known, page


def test_optional_parts_name_each_extra_of_the_package() -> None:
    setup = (DOCS.parent / "setup.py").read_text(encoding="utf-8")
    extras = set(re.findall(r'^        "([a-z-]+)": [A-Z_]+,$', setup, re.MULTILINE))
    page = (DOCS / "references" / "optional_parts.rst").read_text(encoding="utf-8")
    assert extras >= {"demo", "test", "quality"}
    assert {extra for extra in extras if f"``{extra}``" not in page} == set()


def default_of(option: Any) -> Any:
    return option.default_factory() if option.default is MISSING else option.default
