"""What a definition depends on, found in its source: other definitions, and those that they name in turn.

A module of thalweg is taken apart into its definitions (functions, classes, constants), so that an edit counts for what
uses it and for nothing else. A module of a plugin is taken whole. Comments and docstrings do not count, nor what only
annotations name or type checkers import.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

CORE = "thalweg"

NEUTRAL = (
    "thalweg.boundaries",
    "thalweg.cluster",
    "thalweg.commands",
    "thalweg.components.calls",
    "thalweg.components.hookspecs",
    "thalweg.credentials",
    "thalweg.errors",
    "thalweg.learning.broken",
    "thalweg.learning.coupling",
    "thalweg.learning.judging",
    "thalweg.learning.memory",
    "thalweg.learning.outline",
    "thalweg.learning.pieces",
    "thalweg.learning.planning",
    "thalweg.recipes.contradictions",
    "thalweg.recipes.handshakes",
    "thalweg.recipes.limits",
    "thalweg.recipes.lines",
    "thalweg.recipes.parts",
    "thalweg.recipes.provenance",
    "thalweg.recipes.recipe",
    "thalweg.recipes.registry",
    "thalweg.recipes.rehearsal",
    "thalweg.recipes.source_code",
    "thalweg.recipes.stand_ins",
    "thalweg.results.figures",
    "thalweg.results.folders",
    "thalweg.results.learning_curves",
    "thalweg.results.report",
    "thalweg.results.run",
    "thalweg.stages.work",
    "thalweg.stores.attempt",
    "thalweg.stores.claims",
    "thalweg.stores.committed",
    "thalweg.stores.conditional",
    "thalweg.stores.files",
    "thalweg.stores.inventory",
    "thalweg.stores.lease",
    "thalweg.stores.prune",
    "thalweg.stores.references",
    "thalweg.stores.sealed",
    "thalweg.stores.store",
    "thalweg.stores.watch",
)
"""Modules of core that start, place, refuse, name or describe work, and change none of its numbers. A judge, if a
training has one, is a place of its own."""

Place = tuple[str, str]
"""Module and definition: `("thalweg.results.scoring", "finish")`; a method is `Class.method`, all of a module `*`."""


def digest_of(places: Iterable[Place]) -> dict[str, str]:
    """Digests of these definitions and of all that they depend on, by `module:definition`.

    Raises `LookupError` for a place that is not there.
    """
    digests: dict[str, str] = {}
    waiting = [(place, True) for place in places]
    seen: set[Place] = set()
    while waiting:
        (name, symbol), asked = waiting.pop()
        key = f"{name}:{symbol}"
        # A package that hands on its own module (`from . import module`) leads back to itself.
        if (name, symbol) in seen or (not asked and _neutral(name)):
            continue
        seen.add((name, symbol))
        module = module_of(name)
        if module is None:
            continue
        if symbol == "*":
            digests[key] = module.whole.digest
            waiting += [(place, False) for place in module.whole.needs]
        elif symbol in module.pieces:
            digests[key] = module.pieces[symbol].digest
            digests.setdefault(f"{name}:", module.rest.digest)
            waiting += [(place, False) for each in (module.pieces[symbol], module.rest) for place in each.needs]
        elif symbol in module.elsewhere:
            waiting.append((module.elsewhere[symbol], False))
        elif asked:
            raise LookupError(f"{name} defines no {symbol}")
    return digests


def _neutral(name: str) -> bool:
    return name in NEUTRAL or name.startswith(tuple(f"{each}." for each in NEUTRAL))


@dataclass(frozen=True)
class Piece:
    """A definition: the digest of its source, and the places that it names."""

    digest: str
    needs: tuple[Place, ...]


@dataclass(frozen=True)
class Module:
    """A parsed module."""

    name: str
    tree: ast.Module
    package: str
    """What its relative imports begin at."""
    stub: ast.Module | None = None
    """The `.pyi` beside it that lists what it imports when it is asked for (`lazy_loader.attach_stub`)."""

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """Those at its top that are run, but for docstrings."""
        return [each for each in self.tree.body if not _is_docstring(each) and not _for_type_checkers(each)]

    @cached_property
    def elsewhere(self) -> dict[str, Place]:
        """What it imports at its top, by the name it has here; what its stub or `_HOMES` lists too."""
        found = _imported([*self.statements, *(self.stub.body if self.stub else ())], self.package)
        for each in self.statements:
            if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == "_HOMES":
                found |= {
                    symbol: (f"{self.name}.{home}", symbol) for symbol, home in ast.literal_eval(each.value).items()
                }
        return found

    @cached_property
    def pieces(self) -> _Pieces:
        return _Pieces(self)

    @cached_property
    def rest(self) -> Piece:
        """What runs when it is imported and defines nothing."""
        defining = [each for group in self.pieces.groups.values() for each in group]
        return self.piece([each for each in self.statements if each not in defining and not _is_import(each)])

    @cached_property
    def whole(self) -> Piece:
        """All of it."""
        return self.piece(self.statements)

    def piece(self, nodes: list[ast.stmt]) -> Piece:
        """A piece of these statements."""
        seen = _Seen()
        for node in nodes:
            seen.take(node)
        inner = _imported(seen.imports, self.package)
        known = self.elsewhere | {each: (self.name, each) for each in self.pieces.groups} | inner
        needs = [*inner.values(), *(known[name] for name in seen.names if name in known)]
        # `scoring.tally`, after `from . import scoring`.
        needs += [place for name, member in seen.members if name in known for place in _member(known[name], member)]
        here = self.name.partition(".")[0]
        own = {place: None for place in needs if place[0].partition(".")[0] in (here, CORE)}
        # What an imported name stands for is part of the text.
        text = "\n".join([*seen.text, *(f"{name}: {known[name]}" for name in seen.names if name in known)])
        return Piece(
            hashlib.sha256(text.encode()).hexdigest()[:16], tuple(_taken(each, whole=here != CORE) for each in own)
        )


@dataclass(frozen=True)
class _Pieces:
    """The definitions of a module by name, made when they are asked for; `Class.method` is one of them."""

    module: Module
    known: dict[str, Piece] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[str, list[ast.stmt]]:
        nodes: dict[str, list[ast.stmt]] = {}
        for node in self.module.statements:
            for name in _defined(node):
                nodes.setdefault(name, []).append(node)
        return nodes

    def __contains__(self, symbol: str) -> bool:
        return bool(self._nodes(symbol))

    def __getitem__(self, symbol: str) -> Piece:
        if symbol not in self.known:
            self.known[symbol] = self.module.piece(self._nodes(symbol))
        return self.known[symbol]

    def _nodes(self, symbol: str) -> list[ast.stmt]:
        owner, _, member = symbol.partition(".")
        nodes = self.groups.get(owner, [])
        if not member:
            return nodes
        return [each for node in nodes for each in getattr(node, "body", []) if member in _defined(each)]


def module_of(name: str) -> Module | None:
    """A module by its name, read again if its file changed; None if it has no source."""
    found = source_file(name)
    if found is None:
        return None
    file, package = found
    try:
        status = file.stat()
    except OSError:
        return None
    return _parsed(name, file, package, status.st_mtime_ns, status.st_size)


def source_file(name: str) -> tuple[Path, str] | None:
    """A module's file, and the package that its relative imports begin at; None if it has no source."""
    try:
        spec = getattr(sys.modules.get(name), "__spec__", None) or importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin), name if spec.submodule_search_locations else name.rpartition(".")[0]


_TURN = threading.Lock()


@lru_cache(maxsize=1024)
def _parsed(name: str, file: Path, package: str, modified: int, size: int) -> Module:  # noqa: ARG001
    text = file.read_bytes()
    stub = file.with_suffix(".pyi")
    lazy = b"attach_stub" in text and stub.is_file()
    return Module(name, _tree(text), package, _tree(stub.read_bytes()) if lazy else None)


def _tree(text: bytes) -> ast.Module:
    """The syntax tree of a text.

    Python 3.11 counts the depth of trees in a place that all threads share: two that build one at the same time
    may end in a `SystemError` (github.com/python/cpython/issues/106905).  Threads here take turns, and what a thread
    of another package disturbed is built again.
    """
    with _TURN:
        for _ in range(9):
            with suppress(SystemError):
                return ast.parse(text)
        return ast.parse(text)


def _taken(place: Place, *, whole: bool) -> Place:
    """A plugin's own modules are taken whole; of core, what is named."""
    name, symbol = place
    if not whole or name.partition(".")[0] == CORE:
        return place
    inner = f"{name}.{symbol}"
    # `from . import module` names a module; a package's own front only lists its parts.
    if "." not in name or module_of(inner) is not None:
        return inner, "*"
    return name, "*"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _for_type_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _defined(node: ast.stmt) -> list[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def _imported(nodes: list[ast.stmt], package: str) -> dict[str, Place]:
    """What these statements import, by the name that they give it."""
    found: dict[str, Place] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            found |= {each.asname or each.name: (base, each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname or each.name.partition(".")[0]: (each.name, "*") for each in node.names}
    return found


def _member(place: Place, member: str) -> Iterator[Place]:
    """A definition of a module of core that is named as its attribute."""
    name, symbol = place
    inner = name if symbol == "*" else f"{name}.{symbol}"
    if name.partition(".")[0] == CORE and module_of(inner) is not None:
        yield inner, member


class _Seen:
    """One walk over statements: their text without docstrings, and what they name (not in annotations)."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.names: dict[str, None] = {}
        self.members: dict[tuple[str, str], None] = {}
        self.imports: list[ast.stmt] = []

    def take(self, node: ast.AST, *, annotation: bool = False) -> None:
        kind = node.__class__
        if kind is ast.Name:
            self.text.append(node.id)  # type: ignore[attr-defined]
            if not annotation:
                self.names[node.id] = None  # type: ignore[attr-defined]
            return
        self.text.append(kind.__name__)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self.members[node.value.id, node.attr] = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.imports.append(node)
        for name in kind._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                self.text.append(f"{name}[")
                for each in value:
                    if not isinstance(each, ast.AST):
                        self.text.append(repr(each))
                    elif not _is_docstring(each):
                        self.take(each, annotation=annotation)
                self.text.append("]")
            elif isinstance(value, ast.AST):
                if name != "ctx":
                    self.take(value, annotation=annotation or name in ("annotation", "returns"))
            elif value is not None:
                self.text.append(repr(value))
