"""The pages about installation, followed as printed, from an empty environment to a grade.

Each step is taken from the page. Only the names that a page leaves to its reader are filled in:
the site's address, folders, and the secret that a command prints.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation.pages import ROOT, Command, Section, section

pytestmark = pytest.mark.installation

PAGE = "docs/how-tos/install.rst"
SITE = "https://lms.example.com"
#: What pip needs of the repository.
SOURCES = ("xqueue_bridge", "setup.py", "pyproject.toml", "MANIFEST.in", "README.rst", "LICENSE")


def page(title: str) -> Section:
    return section(PAGE, title)


class Site:
    """A new Django project in a new environment; ``run`` runs a command as the reader does."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.port = unused.getsockname()[1]
        self.filled_in = {
            SITE: f"http://127.0.0.1:{self.port}",
            "/var/lib/xqueue_bridge": str(folder / "answers"),
        }

    def fill_in(self, text: str) -> str:
        for printed, value in self.filled_in.items():
            text = text.replace(printed, value)
        return text

    def run(self, line: str, **environment: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self.fill_in(line)],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def expect(self, command: Command) -> None:
        """Run a command and compare its output with the page's."""
        printed = self.run(command.line)
        for line in command.output.splitlines():
            assert line in printed.splitlines(), f"{command.line}\n{printed}"

    @contextmanager
    def running(self, line: str, **environment: str) -> Iterator[None]:
        """Run a command until the block ends; SIGTERM ends it."""
        with (self.folder / "running.log").open("a") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self.fill_in(line)}"],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdout=log,
                stderr=log,
            )
            try:
                yield
                assert process.poll() is None, (self.folder / "running.log").read_text()
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=20)

    def append(self, name: str, text: str) -> None:
        path = self.folder / "project" / name
        path.write_text(path.read_text() + "\n" + self.fill_in(text))

    def wait_for_web_server(self) -> None:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.5)
        raise AssertionError((self.folder / "running.log").read_text())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the package as the page says, into an environment without anything else."""
    home = tmp_path_factory.mktemp("home")
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True, timeout=300)
    source = home / "xqueue_bridge"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            no_caches = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=no_caches)
        else:
            shutil.copy(ROOT / name, source / name)
    found = {"PATH": f"{home / 'venv' / 'bin'}:/usr/bin:/bin", "HOME": str(home)}
    # From where this machine's pip gets packages.
    found |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    [install] = page("1. Install the package").commands()
    line = install.line.replace("/path/to/xqueue_bridge", str(source))
    subprocess.run(["bash", "-c", line], env=found, cwd=home, check=True, timeout=900)
    return found


@pytest.fixture
def site(environment: dict[str, str], tmp_path: Path) -> Site:
    made = Site(tmp_path, environment)
    made.run("django-admin startproject project .")
    return made


def add_urls(site: Site, line: str) -> None:
    path = site.folder / "project" / "urls.py"
    text = path.read_text().replace(
        "from django.urls import path", "from django.urls import include, path"
    )
    path.write_text(text.replace("urlpatterns = [\n", f"urlpatterns = [\n    {line},\n"))
    assert line in path.read_text()


def create_grader(site: Site, command: Command) -> dict[str, str]:
    """Create the grader account; return the grader's environment."""
    secret = site.run(command.line).split()[-1]
    site.filled_in["THE-SECRET"] = secret
    name = command.line.split(" create ")[1].split()[0]
    return {"XQUEUE_GRADER_NAME": name, "XQUEUE_GRADER_SECRET": secret}


def assert_answer_is_graded(site: Site, grader: dict[str, str]) -> None:
    """Follow "Try it" from the sending of an answer to its grade."""
    steps = page("11. Try it")
    answer, grade = steps.code()
    (site.folder / "answer.py").write_text(site.fill_in(answer))
    (site.folder / "grade.py").write_text(site.fill_in(grade))
    shutil.copy(ROOT / "tests" / "grader" / "my_grader.py", site.folder)
    commands = steps.commands()
    send = next(each for each in commands if "answer.py" in each.line)
    run = next(each for each in commands if each.line.startswith("xqueue-grader run"))
    show = next(each for each in commands if "grade.py" in each.line)
    site.expect(send)
    with site.running(run.line, **grader):
        for _ in range(60):
            if "earned" in site.run(show.line):
                break
            time.sleep(1)
        site.expect(show)


def test_install_page_ends_in_a_grade(site: Site) -> None:
    """C28, kind 17: each command and snippet of the page, in its order, on SQLite."""
    [apps], [urls] = page("2. Add the app").code()[:1], page("2. Add the app").code()[1:]
    site.append("settings.py", apps)
    [line] = re.findall(r"path\(.*\)\)", urls)
    add_urls(site, line)
    needed, logs, legacy = page("3. Settings").code()
    assert (
        "XQUEUE_INTERFACE" in legacy
    )  # "Only if some courses continue to use a legacy XQueue server"
    every_database, sqlite, mysql = page("4. The database").code()
    assert "utf8mb4" in mysql
    for text in (needed, logs, every_database, sqlite):
        site.append("settings.py", text)

    migrate, superuser, _collectstatic, check = page("5. Migrate and check").commands()
    site.run(migrate.line)
    account = {"USERNAME": "admin", "EMAIL": "admin@example.com", "PASSWORD": "let-me-in-9"}
    superuser_line = superuser.line.replace("createsuperuser", "createsuperuser --noinput")
    site.run(superuser_line, **{f"DJANGO_SUPERUSER_{key}": value for key, value in account.items()})
    assert "xqueue_bridge." not in site.run(f"{check.line} 2>&1"), "the page leaves no warning"

    grader = create_grader(site, page("9. Create a grader").commands()[0])
    serve, *as_grader = page("11. Try it").commands()
    sweep = page("8. Run the sweeper").commands()[0]
    with site.running(f"{serve.line} --noreload {site.port}"), site.running(sweep.line):
        site.wait_for_web_server()
        for command in as_grader[:3]:
            site.expect(command)
        assert_answer_is_graded(site, grader)


def test_readme_ends_in_a_grade(site: Site) -> None:
    """C28, kind 17: the five lines of the README."""
    readme = section("README.rst", "Install it")
    [(_, text)] = readme.blocks
    [apps] = re.findall(r"#\s+(INSTALLED_APPS.*)", text)
    [urls] = re.findall(r"#.*: (path\(.*\))", text)
    site.append("settings.py", apps)
    add_urls(site, urls)
    _install, migrate, create, sweep = readme.commands()
    site.run(migrate.line)
    grader = create_grader(site, create)
    site.filled_in['"python"'] = '"my-queue"'
    site.filled_in["--queue python"] = "--queue my-queue"
    serve = page("11. Try it").commands()[0]
    with site.running(f"{serve.line} --noreload {site.port}"), site.running(sweep.line):
        site.wait_for_web_server()
        assert_answer_is_graded(site, grader)
