"""What make test-lms installs, and what it says without a tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lms import run_in_platform


def tree(folder: Path, pins: str) -> Path:
    (folder / "requirements" / "edx").mkdir(parents=True)
    (folder / "requirements" / "edx" / "base.txt").write_text(pins)
    return folder


def test_pins_of_a_supported_release_stay(tmp_path) -> None:
    pins = "django==5.2.12\n    # via x\nedx-opaque-keys[django]==4.0.0\nmysqlclient==2.2.7\n"
    found = run_in_platform.requirements(tree(tmp_path, f"-e git+https://x#egg=y\n{pins}"))
    assert found == ["django==5.2.12", "edx-opaque-keys==4.0.0"]


def test_an_older_tree_gets_the_versions_of_ulmo(tmp_path) -> None:
    pins = "django==4.2.24\nedx-opaque-keys[django]==2.9.0\nlxml[html-clean]==5.3.2\n"
    found = run_in_platform.requirements(tree(tmp_path, pins))
    assert found == ["django==5.2.11", "edx-opaque-keys==3.0.0", "lxml==5.3.2"]


@pytest.mark.parametrize("named", ["", "/nowhere"])
def test_without_a_tree_nothing_is_run(monkeypatch, capsys, named) -> None:
    monkeypatch.setenv("PLATFORM", named)
    assert run_in_platform.main() == 2
    assert "make test-lms PLATFORM=" in capsys.readouterr().out


def test_a_python_that_does_not_start_is_not_taken(tmp_path, monkeypatch, capsys) -> None:
    """As the shim of pyenv does not, if no version is chosen."""
    (tmp_path / "lms" / "envs").mkdir(parents=True)
    (tmp_path / "lms" / "envs" / "common.py").touch()
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PLATFORM", str(tmp_path))
    monkeypatch.setenv("LMS_PYTHON", str(shim))
    assert run_in_platform.main() == 2
    assert "LMS_PYTHON=" in capsys.readouterr().out
    monkeypatch.setenv("LMS_PYTHON", sys.executable)
    assert run_in_platform.find_python() == sys.executable
