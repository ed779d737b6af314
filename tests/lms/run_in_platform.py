"""Run tests/lms/inside in a tree of the platform: make test-lms PLATFORM=/path/to/edx-platform

Makes an environment with the platform's own pins, installs us beside them, and runs pytest with the
LMS's settings. The tree stays outside of this repository; only its ``Open_edX.egg-info`` is added.

Options, as environment variables: ``PLATFORM`` (the tree), ``LMS_VENV`` (the environment, default
.venv-lms), ``LMS_PYTHON`` (default: a Python 3.12), ``LMS_DB`` (sqlite, or mariadb on loopback),
``LMS_MONGODB`` (yes: use a real MongoDB), ``XQUEUE_WATCHER`` (the command of an installed
xqueue-watcher, which then grades, too), ``ARGS`` (for pytest).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
INSIDE = ROOT / "tests" / "lms" / "inside"
START_UP = ROOT / "tests" / "lms" / "start_up"
#: Not installed: mysqlclient needs MySQL's headers, and PyMySQL is used instead.
LEFT_OUT = {"mysqlclient"}
#: Taken from the constraints of a supported release if the tree's Django is older than ours.
OLDEST_DJANGO = (5, 2)
FALLBACK = ROOT / "requirements" / "platform" / "ulmo.txt"
TOOLS = [
    "PyMySQL",
    "mongomock==4.3.0",
    "pytest",
    "pytest-django",
    "factory-boy",
    "faker",
    "ddt",
    "freezegun",
    "httpretty",
    "pyquery",
]


def main() -> int:
    """Return pytest's exit status; 2 if no tree was given."""
    named = os.environ.get("PLATFORM", "")
    platform = Path(named).expanduser().resolve()
    if not named or not (platform / "lms" / "envs" / "common.py").is_file():
        print("Nothing was run: name a tree, as in make test-lms PLATFORM=/path/to/edx-platform")
        return 2
    found = find_python()
    if not found:
        print("Nothing was run: name a Python 3.12, as in LMS_PYTHON=/path/to/python3.12")
        return 2
    return run_tests(platform, environment(platform, found))


def find_python() -> str:
    """Return the first Python that starts: LMS_PYTHON, python3.12, or one that pyenv has; or ""."""
    pyenv = sorted(map(str, Path.home().glob(".pyenv/versions/3.12.*/bin/python")), reverse=True)
    for python in [named] if (named := os.environ.get("LMS_PYTHON")) else ["python3.12", *pyenv]:
        # The shim of pyenv is a command that fails if no version is chosen.
        if (
            shutil.which(python)
            and not subprocess.run(
                [python, "-c", "import ensurepip, venv"], check=False, capture_output=True
            ).returncode
        ):
            return python
    return ""


def environment(platform: Path, base: str) -> Path:
    """Return the Python of an environment with the tree's pins, the test tools and us."""
    venv = Path(os.environ.get("LMS_VENV") or ROOT / ".venv-lms").resolve()
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([base, "-m", "venv", venv], check=True)
    wanted = requirements(platform)
    stamp = venv / ".xqueue-bridge-lms"
    digest = hashlib.sha256("\n".join([str(platform), *wanted, *TOOLS]).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Installing {len(wanted)} packages into {venv}; this takes some minutes", flush=True)
        pip(python, "setuptools<81", "wheel")
        pip(python, "--no-deps", *wanted)
        pip(python, "--no-deps", "--no-build-isolation", "--editable", str(platform))
        pip(python, *TOOLS)
        stamp.write_text(digest)
    # As in an LMS: what is there stays as it is, or the installation is refused.
    listed = subprocess.run(
        [python, "-m", "pip", "freeze", "--exclude-editable"], check=True, capture_output=True
    )
    constraints = venv / "constraints.txt"
    constraints.write_bytes(listed.stdout)
    pip(python, "--constraint", str(constraints), "--editable", str(ROOT))
    return python


def pip(python: Path, *arguments: str) -> None:
    """Run ``pip install``."""
    quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"]
    subprocess.run([python, "-m", "pip", "install", *quiet, *arguments], check=True)


def requirements(platform: Path) -> list[str]:
    """Return the tree's pins that can be installed from an index."""
    pins = read_pins(platform / "requirements" / "edx" / "base.txt")
    if tuple(int(part) for part in pins["django"].split(".")[:2]) < OLDEST_DJANGO:
        ours = read_pins(FALLBACK)
        pins.update({name: ours[name] for name in ("django", "edx-opaque-keys")})
    return [f"{name}=={version}" for name, version in pins.items() if name not in LEFT_OUT]


def read_pins(path: Path) -> dict[str, str]:
    """Return name -> version, names in lower case and without extras."""
    found = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.!+-]+)", path.read_text(), re.MULTILINE)
    return {name.lower(): version for name, version in found}


def run_tests(platform: Path, python: Path) -> int:
    """Run pytest in the tree, with the LMS's settings."""
    for folder in ("uploads", "log"):
        (platform / "test_root" / folder).mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT), str(platform)]
    if os.environ.get("LMS_MONGODB") != "yes":
        paths.insert(0, str(START_UP))
    settings = "lms.envs.test"
    if os.environ.get("LMS_DB", "sqlite") == "mariadb":
        settings = "tests.lms.inside.mariadb_settings"
    command = [
        *(str(python), "-m", "pytest", "-c", str(INSIDE / "pytest.ini"), "--ds", settings),
        *("--rootdir", str(ROOT), "--confcutdir", str(INSIDE), str(INSIDE)),
        *shlex.split(os.environ.get("ARGS", "")),
    ]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SERVICE_VARIANT": "lms"}
    return subprocess.run(command, cwd=platform, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
