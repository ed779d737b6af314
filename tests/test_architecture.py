"""Use of apis, pure modules, receivers, core dependencies, and size of files.

``.importlinter`` has the rules about layers and circles. Each rule here is a function that yields
the lines of one parsed file that violate it. Examples test the rules themselves.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "xqueue_bridge"
ROOT = Path(__file__).resolve().parent.parent

#: The packages; .importlinter has the order in which they import each other.
PACKAGES = (
    "views",
    "operations",
    "stuck_answers",
    "regrading",
    "grader_api",
    "metrics",
    "alerts",
    "xqueue_service",
    "submission_queue",
    "grader_replies",
    "credentials",
    "course_grades",
    "course_structure",
    "learner_state",
)
#: Packages with HTTP views. They may import all modules of the packages to their right.
FRONT_ENDS = ("grader_api", "views")
#: Modules with pure values that other packages' pure modules use; an api imports the database.
VALUES = ("course_structure.course", "course_structure.policy")
#: Pure modules; so is every module whose docstring contains "pure".
PURE = (
    "data",
    "exceptions",
    "protocol.headers",
    "grader_replies.parsing",
    "grader_replies.feedback",
)
#: What a pure module may import in addition to the standard library.
PURE_MAY_IMPORT = {
    "opaque_keys",  # data: the keys are values without database access
    "nh3",  # feedback: a function from text to text
}
#: Import names of setup.py's CORE; everything else is an extra. asgiref comes with Django, kombu
#: with Celery.
CORE = {"django", "asgiref", "rest_framework", "requests", "opaque_keys", "celery", "kombu", "nh3"}
CORE |= {"dateutil"}  # Celery requires it
CORE |= {PACKAGE}
#: Modules that only hosts with an extra import, and the bridge inside of functions.
OF_AN_EXTRA = {"filters": "openedx_filters"}
RECEIVERS = "handlers"
MAX_LINES = 300


@dataclass(frozen=True)
class Import:
    """One imported module, by its absolute name, as written on ``line``."""

    module: str
    line: int
    at_module_level: bool


@dataclass(frozen=True)
class Module:
    """One file of the package; ``name`` is relative to the package ("xqueue_service.api")."""

    name: str
    path: str
    source: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def package(self) -> str | None:
        return _package_of(self.name)

    @property
    def is_pure(self) -> bool:
        docstring = ast.get_docstring(self.tree) or ""
        return self.name in PURE or bool(re.search(r"\bpure\b", docstring, re.IGNORECASE))


Rule = Callable[[Module], Iterator[tuple[int, str]]]


def _package_of(name: str) -> str | None:
    first = name.split(".")[0]
    return first if first in PACKAGES else None


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _import_nodes(node: ast.AST, at_top: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield each import statement, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_top
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _import_nodes(child, at_top and not inside and not _is_type_checking(child))


@functools.cache
def imports_of(module: Module) -> tuple[Import, ...]:
    """Return what a file imports; ``from package import name`` counts as package.name."""
    return tuple(_imports_of(module))


def _imports_of(module: Module) -> Iterator[Import]:
    for node, at_top in _import_nodes(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level:
            continue  # ruff's TID252 refuses relative imports
        elif _is_ours(node.module or ""):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [node.module or ""]
        yield from (Import(name, node.lineno, at_top) for name in names)


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def _own_imports(module: Module) -> Iterator[tuple[str, int]]:
    """Yield our own modules that a file imports, relative to the package, with the line."""
    for found in imports_of(module):
        if _is_ours(found.module):
            yield found.module.removeprefix(PACKAGE).removeprefix("."), found.line


def packages_use_each_other_by_api(module: Module) -> Iterator[tuple[int, str]]:
    """A package imports only the api of another package, unless it is a front end."""
    if module.package is None or module.package in FRONT_ENDS:
        return
    for name, line in _own_imports(module):
        target = _package_of(name)
        if target is None or target == module.package or name.startswith(VALUES):
            continue
        if name.split(".")[1:2] != ["api"]:
            yield line, f"{target} is used by {PACKAGE}.{target}.api, not by {name}"


def pure_modules_are_pure(module: Module) -> Iterator[tuple[int, str]]:
    """Pure modules import neither Django nor requests, nor a module that does."""
    if module.is_pure:
        yield from _impure_imports(module)


def _impure_imports(
    module: Module, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[int, str]]:
    seen |= {module.name}
    for found in imports_of(module):
        if _is_ours(found.module):
            own = _module_named(found.module)
            if own and own.name not in seen and any(_impure_imports(own, seen)):
                yield found.line, f"{own.path} is not pure"
        else:
            top = found.module.split(".")[0]
            if top not in sys.stdlib_module_names and top not in PURE_MAY_IMPORT:
                yield found.line, f"a pure module may not import {found.module}"


def _module_named(name: str) -> Module | None:
    """Return our module that an import reaches: ``name`` may end in a name defined there."""
    known = {module.name: module for module in _package_modules()}
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return known.get(".".join(parts))


def receivers_are_in_one_file(module: Module) -> Iterator[tuple[int, str]]:
    """Signals are connected in handlers.py and nowhere else."""
    if module.name == RECEIVERS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _called(node) in ("connect", "receiver"):
            yield node.lineno, f"connect signals in {RECEIVERS}.py"


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def core_needs_no_extra(module: Module) -> Iterator[tuple[int, str]]:
    """Importing the package needs nothing but the core dependencies of setup.py."""
    for found in imports_of(module):
        top = found.module.split(".")[0]
        if top == OF_AN_EXTRA.get(module.name):
            continue
        if found.at_module_level and top not in sys.stdlib_module_names and top not in CORE:
            yield found.line, f"{top} is not a core dependency: import it where it is used"


def files_stay_small(module: Module) -> Iterator[tuple[int, str]]:
    """A file has at most 300 lines."""
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield MAX_LINES + 1, f"{lines} lines; {MAX_LINES} are allowed"


RULES: tuple[Rule, ...] = (
    packages_use_each_other_by_api,
    pure_modules_are_pure,
    receivers_are_in_one_file,
    core_needs_no_extra,
    files_stay_small,
)


@functools.cache
def _package_modules() -> tuple[Module, ...]:
    modules = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        if "migrations" in path.parts:
            continue
        relative = path.relative_to(ROOT)
        parts = [part for part in relative.with_suffix("").parts[1:] if part != "__init__"]
        modules.append(Module(".".join(parts), str(relative), path.read_text(encoding="utf-8")))
    return tuple(modules)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package_follows_the_rule(rule: Rule) -> None:
    broken = [
        f"{module.path}:{line}: {message} [{rule.__doc__}]"
        for module in _package_modules()
        for line, message in rule(module)
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_every_named_module_exists() -> None:
    names = {module.name for module in _package_modules()}
    missing = {
        *PURE,
        RECEIVERS,
        *(f"{name}.api" for name in PACKAGES if name not in FRONT_ENDS),
    } - names
    assert not missing, f"test_architecture.py names missing modules: {missing}"


def _exported(module: Module) -> list[str]:
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [ast.literal_eval(each) for each in node.value.elts]  # type: ignore[attr-defined]
    return []


@functools.cache
def _sources_outside() -> list[tuple[tuple[str, ...], str]]:
    """Return the path's parts and the source of each file of the tests, demo and benchmarks."""
    return [
        (path.relative_to(ROOT).parts, path.read_text(encoding="utf-8"))
        for folder in ("tests", "demo", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in FRONT_ENDS])
def test_each_name_of_an_api_is_used_by_another_package(package: str) -> None:
    """A name that only the package itself uses does not belong into its api."""
    (api,) = (module for module in _package_modules() if module.name == f"{package}.api")
    users = [module.source for module in _package_modules() if module.package != package]
    # Benchmarks and the tests of other packages build courses of these values.
    users += [source for parts, source in _sources_outside() if package not in parts]
    used = {
        word
        for source in users
        for rest in re.split(rf"\b{package}\b", source, maxsplit=1)[1:]
        for word in re.findall(r"\w+", rest)
    }
    unused = [name for name in _exported(api) if name not in used]
    assert unused == []


BREAKS = [
    (
        packages_use_each_other_by_api,
        "xqueue_service.x",
        f"from {PACKAGE}.submission_queue import y",
    ),
    (
        packages_use_each_other_by_api,
        "submission_queue.x",
        f"from {PACKAGE}.grader_replies.models import ReceivedReply",
    ),
    (
        packages_use_each_other_by_api,
        "grader_replies.x",
        f"def late():\n    from {PACKAGE}.learner_state import models",
    ),
    (pure_modules_are_pure, "protocol.headers", "import django.conf"),
    (pure_modules_are_pure, "grader_replies.parsing", "from requests import Session"),
    (pure_modules_are_pure, "grader_replies.feedback", "from xqueue_bridge.conf import options"),
    (pure_modules_are_pure, "xqueue_service.x", '"""Sums; pure."""\nimport django'),
    (receivers_are_in_one_file, "xqueue_service.x", "state_saved.connect(print)"),
    (receivers_are_in_one_file, "admin", "@receiver(post_save)\ndef f(): ..."),
    (core_needs_no_extra, "xqueue_service.toggles", "from waffle import flag_is_active"),
    (core_needs_no_extra, "lms.block", "try:\n    import xblock\nexcept ImportError: ..."),
    (core_needs_no_extra, "lms.block", "class A:\n    import xblock"),
    (files_stay_small, "admin", "\n" * (MAX_LINES + 1)),
]

KEEPS = [
    (
        packages_use_each_other_by_api,
        "xqueue_service.x",
        "from xqueue_bridge.submission_queue import api",
    ),
    (
        packages_use_each_other_by_api,
        "xqueue_service.x",
        "from xqueue_bridge.submission_queue.api import enqueue",
    ),
    (packages_use_each_other_by_api, "admin", "from xqueue_bridge.xqueue_service.models import A"),
    (
        packages_use_each_other_by_api,
        "credentials.x",
        "from xqueue_bridge.learner_state import api",
    ),
    (pure_modules_are_pure, "grader_replies.parsing", "from xqueue_bridge.data import GraderReply"),
    (pure_modules_are_pure, "grader_replies.feedback", "import json, nh3"),
    (receivers_are_in_one_file, "handlers", "state_saved.connect(print)"),
    (core_needs_no_extra, "xqueue_service.toggles", "def ask():\n    import waffle"),
    (core_needs_no_extra, "filters", "import openedx_filters.tooling"),
    (core_needs_no_extra, "lms.block", "if TYPE_CHECKING:\n    from xblock.core import XBlock"),
    (files_stay_small, "admin", "\n" * MAX_LINES),
]


def _example(name: str, source: str) -> Module:
    return Module(name, f"{PACKAGE}/{name.replace('.', '/')}.py", source)


@pytest.mark.parametrize(("rule", "name", "source"), BREAKS)
def test_rule_finds_a_violation(rule: Rule, name: str, source: str) -> None:
    assert list(rule(_example(name, source)))


@pytest.mark.parametrize(("rule", "name", "source"), KEEPS)
def test_rule_allows_other_code(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(_example(name, source)))
