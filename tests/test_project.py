"""Migrations, privacy annotations, imports, and the conformance statements."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.models import Model

ROOT = Path(__file__).resolve().parent.parent

#: Statements about graders that must be cited; conformance.rst lists the others, too.
REQUIRED_OF_GRADERS = {
    *range(1, 28),
    *range(29, 42),
    *range(55, 99),
    *range(100, 112),
    *range(113, 121),
    123,
}
#: All statements about learner state and grades must be cited.
REQUIRED = {f"C{number}" for number in REQUIRED_OF_GRADERS} | {f"SG{n}" for n in range(1, 91)}


def _conformance_table() -> ModuleType:
    path = ROOT / "docs" / "conformance_table.py"
    spec = importlib.util.spec_from_file_location("conformance_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


conformance = _conformance_table()
#: Of all tests, read once.
citations = functools.cache(conformance.citations)


@pytest.mark.django_db(databases=["default", "history"])
def test_migrations_describe_the_models() -> None:
    """SG90: the models have no change without a migration."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


OUR_MODELS = list(apps.get_app_config("xqueue_bridge").get_models())


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model.__name__)
def test_model_has_a_complete_pii_annotation(model: type[Model]) -> None:
    assert annotation_problem(model.__doc__ or "") is None


#: Values that .pii_annotations.yml allows and the models use.
PII_VALUES = {
    "pii_types": {"id", "name", "username", "email_address", "ip", "other"},
    "pii_retirement": {"retained", "local_api", "consumer_api", "third_party"},
}


def annotation_problem(docstring: str) -> str | None:
    """Return what is wrong with a model's OEP-30 annotation, or None."""
    found = dict(re.findall(r"^\s*\.\. (\w+):[ \t]*(.*)$", docstring, re.MULTILINE))
    if list(found) == ["no_pii"]:
        return None
    if list(found) != ["pii", "pii_types", "pii_retirement"]:
        return f"expected no_pii, or pii with pii_types and pii_retirement; found {list(found)}"
    if not found["pii"]:
        return "pii is empty"
    for name, values in PII_VALUES.items():
        if not set(found[name].split(", ")) <= values:
            return f"{name}: expected some of {sorted(values)}"
    return None


@pytest.mark.parametrize(
    "docstring",
    [
        "A model.",
        ".. pii: a name",
        ".. pii: a name\n.. pii_types: name",
        ".. pii: a name\n.. pii_types:\n.. pii_retirement: local_api",
        ".. pii: a name\n.. pii_types: name\n.. pii_retirement: some day",
        ".. pii:\n.. pii_types: name\n.. pii_retirement: local_api",
        ".. no_pii:\n.. pii: a name",
    ],
)
def test_incomplete_pii_annotation_is_found(docstring: str) -> None:
    assert annotation_problem(docstring)


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_package_imports_without_settings() -> None:
    done = _python("import xqueue_bridge, sys; print('django' in sys.modules)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False", "importing the package alone must not import Django"


def test_service_imports_before_apps_are_ready() -> None:
    """C1: a host's settings or runtime may import the service before Django is set up."""
    done = _python(
        "from xqueue_bridge import XQueueService, XQueueInterface\n"
        "from django.apps import apps\n"
        "print(apps.ready, XQueueService.__name__, XQueueInterface.__name__)",
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "XQueueService", "XQueueInterface"]


def test_every_statement_has_a_number_and_a_line() -> None:
    names = [name for name, text in conformance.statements() if text]
    assert names == [f"C{n}" for n in range(1, 133)] + [f"SG{n}" for n in range(1, 91)]


def test_each_required_statement_is_cited_by_a_test() -> None:
    missing = sorted(REQUIRED - citations().keys())
    assert not missing, f"no test's docstring cites {missing}"


def test_tests_cite_only_statements_that_exist() -> None:
    known = {name for name, _ in conformance.statements()}
    unknown = {name: tests for name, tests in citations().items() if name not in known}
    assert not unknown


def test_conformance_page_is_up_to_date() -> None:
    written = conformance.PAGE.read_text(encoding="utf-8")
    assert written == conformance.page(citations()), (
        "docs/references/conformance.rst is not what the tests say: run docs/conformance_table.py"
    )


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("C79: form-encoded replies.", ["C79"]),
        ("C80, C81: both.\n\nMore.", ["C80", "C81"]),
        ("C125, SG88: of both kinds.", ["C125", "SG88"]),
        ("SG12, C3: in any order.", ["SG12", "C3"]),
        ("About C80: no citation.", []),
        ("C80 and C81: not the form.", []),
        ("SG54's tables: not the form.", []),
        ("", []),
    ],
)
def test_citation_is_read_from_the_first_line(docstring: str, names: list[str]) -> None:
    assert conformance.cited(docstring) == names
