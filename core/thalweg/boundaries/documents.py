"""YAML that a stranger may have written: read as data, bounded, and refused in one line.

YAML lets ten lines stand for a billion values (aliases), keys be lists, a key be given twice, and a document be nested
until Python's stack ends. Each is refused with its line before anything is made of it.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml

from ..credentials import masked
from ..errors import OptionError, RecipeError, SourceError
from .reasons import reason

LARGEST = 2**20
"""Bytes of a recipe."""
DEEPEST = 40
"""Levels of nesting."""
MOST = 100_000
"""Values of a document, with those that aliases repeat."""


class _Loader(yaml.SafeLoader):
    """A safe loader that bounds what it makes, and refuses keys that are given twice or are no plain values."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"it is nested deeper than {DEEPEST} levels", problem_mark=mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if id(node) not in self._sizes:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(each)] for each in _inside(node))
        if self._sizes[id(node)] > MOST:
            raise yaml.MarkedYAMLError(problem=f"it stands for more than {MOST} values", problem_mark=mark)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            # What PyYAML's own constructors raise: 2020-02-30, `!!int x`.
            problem = f"{str(node.value)[:60]!r} is no value of its kind ({error})"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def _inside(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, list | dict | set):
            raise yaml.MarkedYAMLError(
                problem=f"a {type(key).__name__} is no key; keys are plain values", problem_mark=key_node.start_mark
            )
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parsed(text: str, *, what: str, advice: str = "mend the line") -> Any:
    """The value of a text in YAML. Raises `RecipeError`, which names `what` and the line."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # PyYAML's scanner lets `chr` refuse "\\U00110000".
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise RecipeError(
            f"not YAML: {' '.join(masked(str(problem)).split())}", advice=advice, where=place, file=what
        ) from None


def from_option(option: str, text: str | None) -> Any:
    """The value of an option of the command line. Raises `OptionError`."""
    if text is None:
        return None
    try:
        value = parsed(text, what="")
    except RecipeError as error:
        raise OptionError(
            error.given, allowed="a value in YAML", advice="quote it for the shell", where=option
        ) from None
    if value is None:
        raise OptionError(f"{text!r} is no value", allowed="a value in YAML", advice="give one", where=option)
    return value


_KINDS: dict[type, str] = {list: "a list", str: "a text", bool: "a switch", int: "a number", float: "a number"}
"""What stands where sections should, as an author would call it."""


def read(file: Path, *, where: str = "") -> dict[str, Any]:
    """The sections of a recipe's file. Raises `SourceError` if it is no file, `RecipeError` if it is no recipe."""
    name = file.name or str(file)
    tree = parsed(_text(file, where), what=name)
    if tree is None:
        raise RecipeError("it is empty", allowed="name:, ingest:, ...", advice="see recipes/ for examples", file=name)
    if not isinstance(tree, dict):
        raise RecipeError(
            f"{_KINDS.get(type(tree), 'a value')} where sections should be",
            allowed="name:, ingest:, ...",
            advice="see recipes/ for examples",
            file=name,
        )
    odd = [key for key in tree if not isinstance(key, str)]
    if odd:
        raise OptionError(
            f"there is no section {odd[0]!r}", allowed="name:, ingest:, ...", advice="leave it out", file=name
        )
    return tree


def _text(file: Path, where: str) -> str:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(
                f"{str(file)!r} is {kind_of(status.st_mode)}",
                allowed="the path of a YAML file",
                advice="give a file",
                where=where,
            )
        if status.st_size > LARGEST:
            raise SourceError(
                f"{str(file)!r} has {status.st_size} bytes",
                allowed=f"up to {LARGEST} bytes",
                advice="give a recipe; data belongs into files of its own",
                where=where,
            )
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        why, allowed, advice = reason(error)
        raise SourceError(f"{str(file)!r}: {why}", allowed=allowed, advice=advice, where=where) from None


def kind_of(mode: int) -> str:
    """What a path is, if it is no plain file."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "no plain file")
