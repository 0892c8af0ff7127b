"""Localisation: pose graphs and bundle adjustment in mixed precision."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .formats.g2o import read_g2o, write_g2o
    from .graph import Graph

_HOMES = {
    "Graph": "graph",
    "read_g2o": "formats.g2o",
    "write_g2o": "formats.g2o",
}

__all__ = ["Graph", "read_g2o", "write_g2o"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
