"""Plugins and flows know core, core knows neither; the layers of core look upward only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "mlflow": ("plugins/tracking/",),
    "prefect": ("flows/",),
    "torchvision": (),
    "timm": (),
    "open_clip": (),
}
"""Who may import what, anywhere in a module."""


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """Every module that is not a test, by its path in the repository."""
    files = [each for name in ("core", "plugins", "flows", "examples") for each in (ROOT / name).rglob("*.py")]
    return tuple(
        (each.relative_to(ROOT).as_posix(), ast.parse(each.read_text(encoding="utf-8")))
        for each in files
        if "tests" not in each.parts
    )


def imported(tree: ast.AST, *, inside: bool) -> set[str]:
    """The packages that a module imports when it is imported, and with `inside`, when its functions are called."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif inside or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= imported(node, inside=inside)
    return found


def test_the_contracts_of_import_linter_hold() -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", lint, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_is_imported_where_it_may_be(package: str) -> None:
    users = [path for path, tree in sources() if package in imported(tree, inside=True)]
    assert not [path for path in users if not path.startswith(MAY_IMPORT[package])]


def test_core_imports_torch_in_learning_only() -> None:
    users = [path for path, tree in sources() if path.startswith("core/") and "torch" in imported(tree, inside=False)]
    allowed = "core/thalweg/learning/"
    assert not [path for path in users if not path.startswith(allowed)]


def test_the_front_of_a_plugin_imports_nothing_but_thalweg() -> None:
    fronts = {path: tree for path, tree in sources() if path.count("/") == 3 and path.endswith("/__init__.py")}
    fronts = {path: tree for path, tree in fronts.items() if path.startswith(("plugins/", "examples/"))}
    assert fronts
    for path, tree in fronts.items():
        assert imported(tree, inside=False) <= {"thalweg", *sys.stdlib_module_names}, path


DOORS = {"thalweg", "thalweg.learning", "thalweg.laws", "thalweg.losses", "thalweg.testing"}
"""What a plugin may import from."""


@pytest.mark.parametrize("folder", ["plugins/", "examples/", "core/thalweg/templates/"])
def test_a_plugin_imports_from_the_public_modules_only(folder: str) -> None:
    templates = (ROOT / "core/thalweg/templates").rglob("*.py.template")
    trees = [*sources(), *((each.relative_to(ROOT).as_posix(), ast.parse(_filled(each))) for each in templates)]
    trees = [(path, tree) for path, tree in trees if path.startswith(folder)]
    assert trees
    deeper = [
        f"{path}:{node.lineno}: {name}"
        for path, tree in trees
        for node in ast.walk(tree)
        for name in _modules(node)
        if name.partition(".")[0] == "thalweg" and name not in DOORS
    ]
    assert not deeper


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _filled(template: Path) -> str:
    """A template with a name where a plugin's goes."""
    return re.sub(r"\$\{?\w+\}?|\{\{\s*\w+\s*\}\}", "name", template.read_text(encoding="utf-8"))


@pytest.mark.parametrize("types", [False, True], ids=["what runs", "with what type checkers import"])
def test_no_modules_of_core_import_each_other_in_a_circle(types: bool) -> None:
    graph = grimp.build_graph("thalweg", exclude_type_checking_imports=not types, cache_dir=None)
    # Imports inside functions are in the graph too.
    assert "thalweg.learning.fitting" in graph.find_modules_directly_imported_by("thalweg.learning.learner")
    try:
        TopologicalSorter({each: graph.find_modules_directly_imported_by(each) for each in graph.modules}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))
