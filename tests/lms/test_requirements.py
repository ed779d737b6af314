"""The bounds in setup.py take what the supported releases of the platform have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASES = sorted((ROOT / "requirements" / "platform").glob("*.txt"))


def core_requirements() -> dict[str, Requirement]:
    """Return setup.py's core dependencies by name, in lower case."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CORE":
            found = [Requirement(text) for text in ast.literal_eval(node.value)]
            return {requirement.name.lower(): requirement for requirement in found}
    raise AssertionError("setup.py has no CORE")


def pins(release: Path) -> dict[str, str]:
    """Return name -> version of a constraint file."""
    lines = [line.partition("#")[0].strip() for line in release.read_text().splitlines()]
    return {name.lower(): version for name, _, version in (x.partition("==") for x in lines if x)}


def test_supported_releases() -> None:
    assert [path.stem for path in RELEASES] == ["main", "ulmo", "verawood"]


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_release_s_pins_satisfy_the_bounds(release: Path) -> None:
    """pip changes nothing in an LMS, because it has every dependency in a fitting version."""
    have = pins(release)
    core = core_requirements()
    assert core.keys() <= have.keys()
    refused = [
        f"{requirement} refuses {have[name]}"
        for name, requirement in core.items()
        if not requirement.specifier.contains(have[name])
    ]
    assert refused == []


def test_no_dependency_is_unbounded() -> None:
    """A version that no release has been tested with is not installed."""
    for requirement in core_requirements().values():
        assert {part.operator for part in requirement.specifier} == {">=", "<"}, requirement
