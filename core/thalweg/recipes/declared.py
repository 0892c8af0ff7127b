"""What a class of parts says of itself, in class variables: checked where it is registered, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..components import Component
from ..errors import PluginError


def _types(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(each, type) for each in value)


def _words(value: Any) -> bool:
    return not isinstance(value, str) and all(isinstance(each, str) for each in value)


_ALLOWED: Mapping[str, tuple[Any, str]] = {
    "takes": (lambda value: isinstance(value, str) or _types(value), "a tuple of classes of laws"),
    "uses": (_words, "a tuple of words"),
    "sites": (lambda value: isinstance(value, frozenset) and _words(value), "a frozenset of words"),
    "trains_on": (lambda value: isinstance(value, frozenset) and _words(value), "a frozenset of words"),
    "defaults": (lambda value: isinstance(value, Mapping), "a mapping of options of `train:`"),
    "example": (lambda value: isinstance(value, Mapping), "a mapping of options"),
    "nested": (lambda value: isinstance(value, Mapping), "a mapping of options to kinds of parts"),
    "over": (lambda value: value in ("sample", "batch"), "'sample' or 'batch'"),
    "cite": (lambda value: isinstance(value, str), "a text of DOIs"),
}
"""Of a loss `takes` is a word."""


def check_declared(part: type[Component], name: str) -> None:
    """Raise `PluginError` for a class variable of another kind than its base class has."""
    for key, (fits, allowed) in _ALLOWED.items():
        value = getattr(part, key, None)
        if hasattr(part, key) and key not in part.model_fields and not isinstance(value, property) and not fits(value):
            raise PluginError(
                f"{name!r} has {key} = {value!r}", allowed=allowed, advice=f"correct `{key}` of {part.__name__}"
            )
