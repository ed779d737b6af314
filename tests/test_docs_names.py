"""Names in pages exist: paths, columns, signals, check ids, actions, make targets, terms."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from types import ModuleType

from django.apps import apps
from django.contrib import admin
from django.dispatch import Signal

from xqueue_bridge import signals
from xqueue_bridge.admin.base import RetryAdmin

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "xqueue_bridge"
#: Pages of the present; decision 38 also names what no longer exists.
PAGES = [
    path
    for path in [*DOCS.rglob("*.rst"), *ROOT.glob("*.rst")]
    if path.name not in ("conformance.rst", "0038-package-tree-and-terms.rst")
]
CODE = [
    path
    for folder in (PACKAGE, ROOT / "tests", ROOT / "demo")
    for path in folder.rglob("*.py")
    if "migrations" not in path.parts
]
#: Files of the readers' own sites, file names in examples, and URLs.
NOT_OURS = {"a.py", "a-2.py", "conf.d/python.json", "xqwatcher.json", "xqueue/", "conftest.py"}
NOT_OURS |= {"answer.py", "grade.py"}
NOT_OURS |= {"grader.py", "logging.json", "result.html", "xqueue_servers.json"}
PATH = re.compile(r"``((?:[\w.-]+/)*[\w-]+\.(?:py|rst|html|toml|json|yml|xml|txt)|(?:[\w.-]+/)+)``")
CHECK_ID = re.compile(r"\b[EWI]0\d\d\b")
LITERAL = re.compile(r"``([^`]+)``")
ENTRY = re.compile(r"^    (\w[^\n]*)\n((?:        [^\n]*\n)+)", re.MULTILINE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def load_tables_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables_page", DOCS / "tables_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def missing_paths(text: str, page: Path) -> list[str]:
    """Return the paths that a page names and that no file or folder has.

    A path is below the repository, the package, ``docs``, the page's folder, or, as a continuation
    ("``capa_state.py``, and ``block.py`` there"), any folder.
    """
    bases = (ROOT, PACKAGE, DOCS, page.parent)
    return [
        named
        for named in PATH.findall(text)
        if named not in NOT_OURS
        and not any((base / named).exists() for base in bases)
        and ("/" in named or not any(True for _ in ROOT.glob(f"*/**/{named}")))
    ]


def test_each_path_in_a_page_exists() -> None:
    assert {page: found for page in PAGES if (found := missing_paths(text_of(page), page))} == {}


def test_missing_path_is_found() -> None:
    text = "In ``xqueue_bridge/gone.py``, ``grader_replies/apply.py`` and ``gone_too.py``."
    assert missing_paths(text, ROOT / "x.rst") == ["xqueue_bridge/gone.py", "gone_too.py"]


def test_tables_page_agrees_with_the_models() -> None:
    tables_page = load_tables_page()
    assert text_of(tables_page.PAGE) == tables_page.page(), "run: python docs/tables_page.py"


def test_each_column_in_a_page_exists() -> None:
    """``Model.column`` in a page is an attribute of that model."""
    models = {model.__name__: model for model in apps.get_app_config("xqueue_bridge").get_models()}
    missing = [
        (page.name, model, column)
        for page in PAGES
        for model, column in re.findall(r"``(\w+)\.(\w+)``", text_of(page))
        if model in models and not hasattr(models[model], column)
    ]
    assert missing == []


def test_signals_are_documented_and_exist() -> None:
    ours = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    page = text_of(DOCS / "references" / "signals.rst")
    assert set(re.findall(r"autodata:: xqueue_bridge\.signals\.(\w+)", page)) == ours


def test_check_ids_are_documented_and_exist() -> None:
    ours = set(CHECK_ID.findall("".join(map(text_of, (PACKAGE / "checks").glob("*.py")))))
    page = text_of(DOCS / "references" / "checks.rst")
    assert set(re.findall(r"^``(\w+)``", page, re.MULTILINE)) == ours


def test_each_check_id_in_a_page_is_documented() -> None:
    known = set(CHECK_ID.findall(text_of(DOCS / "references" / "checks.rst")))
    for page in PAGES:
        assert set(CHECK_ID.findall(text_of(page))) <= known, page


def test_retry_actions_of_the_admin_are_documented() -> None:
    pages = "".join(text_of(page) for page in PAGES)
    ours = {
        str(each.retry_description)
        for each in admin.site._registry.values()
        if isinstance(each, RetryAdmin)
    }
    assert len(ours) >= 4
    assert [each for each in ours if f"*{each}*" not in re.sub(r"\s+", " ", pages)] == []


def test_each_make_target_in_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:\$ |``)make ([a-z-]+)", text_of(page))
        assert set(named) <= targets, page


def test_each_name_in_contributing_is_in_the_code() -> None:
    """The answers to "Where do I change ...?" name classes, functions and settings that exist."""
    answers = text_of(ROOT / "CONTRIBUTING.rst").partition("Where do I change")[2]
    literals = [each for each in LITERAL.findall(answers) if not PATH.match(f"``{each}``")]
    names = {name for each in literals for name in re.findall(r"[A-Za-z_]\w+", each)}
    assert "XQueueInterface" in names
    assert names <= code_names(), names - code_names()


def glossary() -> dict[str, str]:
    """Return the glossary's terms and definitions, in the order of the page."""
    return dict(ENTRY.findall(text_of(DOCS / "references" / "glossary.rst")))


def test_glossary_is_alphabetical() -> None:
    terms = [term.lower() for term in glossary()]
    assert len(terms) > 40
    assert terms == sorted(terms)


def test_term_says_what_it_is_not() -> None:
    what_not = re.compile(r"^        Not: \S.*\.$", re.MULTILINE | re.DOTALL)
    assert [term for term, text in glossary().items() if not what_not.search(text)] == []


def test_each_name_in_the_glossary_is_in_the_code() -> None:
    names = {
        name
        for text in glossary().values()
        for literal in LITERAL.findall(text.partition("Not:")[0])
        for name in re.findall(r"[A-Za-z_]\w+", literal)
    }
    assert names <= code_names(), names - code_names()


@functools.cache
def code_names() -> frozenset[str]:
    """Return every word of the package, the tests and the demo's course."""
    return frozenset(name for path in CODE for name in re.findall(r"[A-Za-z_]\w+", text_of(path)))


def test_readme_names_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "xqueue_bridge").glob("*/__init__.py")}
    text = text_of(ROOT / "README.rst")
    assert {name for name in packages - {"migrations"} if f"``{name}``" not in text} == set()
