"""What a result depends on: options, versions, and the code that computed it.

A stage's digest holds, for each of its parts, the options, the version of its distribution, and a digest of its source:
of the module that defines it and of those that this one imports from its own package. So an edited plugin is seen, and
an edited comment, docstring or neighbour is not.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .components import Component
from .credentials import without


def digest(*parts: Any) -> str:
    """A digest of plain values (JSON), whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def record(part: Component) -> dict[str, Any]:
    """What identifies a part's results: its name, options and code, and those of the parts inside it.

    Credentials are left out: a rotated key gives the same results.
    """
    inner = [each for value in part.__dict__.values() for each in _components(value)]
    return {
        "name": part.name,
        "options": without(part.model_dump(mode="json")),
        "revision": type(part).revision,
        "version": version_of(type(part)),
        "code": code_digest(type(part)),
        "parts": [record(each) for each in inner],
    }


def _components(value: Any) -> Iterator[Component]:
    if isinstance(value, Component):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _components(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _components(each)


@lru_cache
def _versions() -> Mapping[str, str]:
    """`distribution==version` of each plugin's package; an editable install lists its packages nowhere else."""
    found = metadata.entry_points(group="thalweg")
    return {each.value.split(".")[0]: f"{each.dist.name}=={each.dist.version}" for each in found if each.dist}


def version_of(part: type[Component]) -> str:
    """`distribution==version` of the package that defines a part; the package's name if it is not installed."""
    package = part.__module__.split(".", 1)[0]
    return _versions().get(package, package)


@lru_cache
def code_digest(part: type[Component]) -> str:
    """A digest of the source of a part, its bases outside core, and what they import from their own packages."""
    sources: dict[str, str] = {}
    for each in part.__mro__:
        if issubclass(each, Component) and not each.__module__.startswith("thalweg."):
            _collect(each.__module__, each.__module__.split(".", 1)[0], sources)
    return digest(sources)


def _collect(module: str, package: str, sources: dict[str, str]) -> None:
    if module in sources:
        return
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    sources[module] = _without_docstrings(tree)
    here = module if spec.submodule_search_locations else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), here) if node.level else node.module
            )
            if base and base.split(".", 1)[0] == package:
                for name in (base, *(f"{base}.{alias.name}" for alias in node.names)):
                    # The package's own front only lists its parts.
                    if name != package:
                        _collect(name, package, sources)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{package}."):
                    _collect(alias.name, package, sources)


def _without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                each
                for each in node.body
                if not (
                    isinstance(each, ast.Expr)
                    and isinstance(each.value, ast.Constant)
                    and isinstance(each.value.value, str)
                )
            ]
    return ast.dump(tree)
