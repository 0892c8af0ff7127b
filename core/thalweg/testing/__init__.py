"""The conformance kit: what every part of a plugin must keep. `thalweg check NAME` tries all parts of a plugin.

    from thalweg.testing import check_method

    def test_conformance():
        check_method(Trend(steps=3))

Each raises `AssertionError` for the first check that fails. Examples are made by the kit, and can be given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .components import check_component
    from .datasets import check_dataset
    from .enforcers import check_enforcer
    from .laws import check_law
    from .losses import check_loss
    from .methods import check_method
    from .metrics import check_metric
    from .plugin import check
    from .report import Finding, Report
    from .scenes import series, windowed
    from .transforms import check_transform

_HOMES = {
    "Finding": "report",
    "Report": "report",
    "check": "plugin",
    "check_component": "components",
    "check_dataset": "datasets",
    "check_enforcer": "enforcers",
    "check_law": "laws",
    "check_loss": "losses",
    "check_method": "methods",
    "check_metric": "metrics",
    "check_transform": "transforms",
    "series": "scenes",
    "windowed": "scenes",
}

__all__ = [
    "Finding",
    "Report",
    "check",
    "check_component",
    "check_dataset",
    "check_enforcer",
    "check_law",
    "check_loss",
    "check_method",
    "check_metric",
    "check_transform",
    "series",
    "windowed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
