"""No circle of imports, between modules or between folders, in the package, benchmarks and demo.

Imports inside functions count, because they are dependencies too. Imports for the type checker do
not.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

Graph = Mapping[str, set[str]]


def sources(folder: str) -> dict[str, str]:
    """Return the source of each module below a folder, by its dotted name."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        relative = path.relative_to(ROOT)
        if "migrations" not in relative.parts:
            parts = [part for part in relative.with_suffix("").parts if part != "__init__"]
            found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def imported_names(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a file imports; ``from a import b`` is a.b."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imported_names(child)


def module_graph(modules: Mapping[str, str]) -> Graph:
    """Return for each module the modules of ``modules`` that it imports."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, source in modules.items():
        for target in imported_names(ast.parse(source)):
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target not in ("", name):
                graph[name].add(target)
    return graph


@functools.cache
def graph_of(folder: str) -> Graph:
    """Return the imports between the modules below a folder of the repository."""
    return module_graph(sources(folder))


def folder_graph(graph: Graph, depth: int) -> Graph:
    """Return the imports between the folders and files at a depth below the top folder.

    At depth 2 of ``a.b.c`` the node is ``a.b``. A module that is no deeper is its own node.
    """
    folders: dict[str, set[str]] = {}
    for name, targets in graph.items():
        node = ".".join(name.split(".")[:depth])
        nodes = {".".join(target.split(".")[:depth]) for target in targets}
        folders.setdefault(node, set()).update(nodes - {node})
    return folders


def circle_of(graph: Graph) -> list[str]:
    """Return the nodes of one circle, [] if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return exc.args[1]
    return []


@pytest.mark.parametrize("folder", ["xqueue_bridge", "benchmarks", "demo"])
def test_no_circle_of_modules(folder):
    assert circle_of(graph_of(folder)) == []


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("folder", ["xqueue_bridge", "benchmarks", "demo"])
def test_no_circle_of_folders(folder, depth):
    assert circle_of(folder_graph(graph_of(folder), depth)) == []


def test_a_circle_of_modules_is_found():
    modules = {"p": "", "p.a": "from p.b import x", "p.b": "def f():\n    import p.c", "p.c": ""}
    assert circle_of(module_graph(modules)) == []
    modules["p.c"] = "from p import a"
    assert set(circle_of(module_graph(modules))) == {"p.a", "p.b", "p.c"}


def test_a_circle_of_folders_is_found():
    """p.a.x imports p.b.x, and p.b.y imports p.a.y: no module circle, but one of folders."""
    modules = {
        "p": "",
        "p.a": "",
        "p.b": "",
        "p.a.x": "import p.b.x",
        "p.a.y": "",
        "p.b.x": "",
        "p.b.y": "from p.a import y",
    }
    graph = module_graph(modules)
    assert circle_of(graph) == []
    assert circle_of(folder_graph(graph, 3)) == []
    assert set(circle_of(folder_graph(graph, 2))) == {"p.a", "p.b"}


def test_imports_for_the_type_checker_are_no_circle():
    modules = {"p.a": "if TYPE_CHECKING:\n    from p.b import x", "p.b": "import p.a"}
    assert circle_of(module_graph(modules)) == []
