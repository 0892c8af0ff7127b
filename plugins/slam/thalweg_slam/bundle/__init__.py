"""Bundle adjustment: cameras and points from where the points were seen."""

from __future__ import annotations

from typing import Any

_HOMES = {
    "Adjustment": "levenberg",
    "adjust": "levenberg",
    "adjust_windows": "odometry",
    "Bundle": "problem",
    "covariance": "information",
    "findings": "diagnosis",
    "inspect": "diagnosis",
    "loop_graph": "loops",
    "marginalise": "marginal",
    "Prior": "prior",
    "repair": "mending",
    "read_bundles": "store",
    "read_bal": "formats.bal",
    "read_gbp": "formats.gbp",
    "read_libmv": "formats.libmv",
    "read_stereo": "formats.stereo",
    "windows": "odometry",
    "write_bundles": "store",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
