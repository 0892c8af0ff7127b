"""Fields by name, as arrays: what a law is asked about where there is no xarray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Array = Any
"""An array of numpy, or a tensor."""


@dataclass(frozen=True)
class Fields:
    """Arrays by name, in their units; missing values are NaN (numpy), or left out by what is known (tensors)."""

    values: Mapping[str, Array]
    dims: Mapping[str, tuple[str, ...]]
    """Of each: `sample`, perhaps `member`, then those of the grid."""
    units: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[str, Array] = field(default_factory=dict)
    """Of a method on scattered points: its coordinates by dim, of the shape of the fields, which can be differentiated
    by them."""
