"""The cells of the fields that a metric compares, and their weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Literal

import numpy as np
import xarray as xr
from thalweg import KEPT, Field, HandshakeError, Signature, kept_dims, quantities

Weights = Literal["none", "area"]


def points(truth: xr.DataArray) -> tuple[str, ...]:
    """The dims that a mean is taken over, within a sample and a lead."""
    return tuple(str(dim) for dim in truth.dims if dim not in kept_dims(truth))


def plane(found: Iterable[Hashable], dims: tuple[str, str] | None) -> tuple[str, str]:
    """The two spatial dims: `dims`, or the last two that are neither sample nor lead. Raises `HandshakeError`."""
    space = [str(dim) for dim in found if dim not in KEPT]
    if dims is not None and set(dims) <= set(space):
        return dims
    if dims is None and len(space) >= 2:
        return space[-2], space[-1]
    raise HandshakeError(
        f"the field has no plane of dims {dims or ('y', 'x')!r}",
        allowed=f"two of {tuple(space)!r}",
        advice="name its two spatial dims in `dims`",
    )


def fits(side: int, field: Field, given: Signature, dims: tuple[str, str] | None) -> None:
    """Raise `HandshakeError` unless a square of `side` cells fits into the field's plane."""
    for dim in plane(field.dims, dims):
        if given.sizes.get(dim, side) < side:
            raise HandshakeError(
                f"squares of {side} cells do not fit into dim {dim!r}",
                allowed=f"at most {given.sizes[dim]} cells",
                advice="give smaller squares, or name the two spatial dims in `dims`",
            )


def coordinate(field: xr.DataArray, kind: Literal["latitude", "longitude"]) -> xr.DataArray:
    """A coordinate by its CF standard name, its name or its units, in degrees. Raises `HandshakeError`."""
    found = quantities.find_axis(field, kind)
    if found is not None:
        return quantities.in_degrees(found, kind)
    raise HandshakeError(
        f"the field {field.name!r} has no {kind} among its coordinates {', '.join(map(str, field.coords)) or '(none)'}",
        allowed=f"one called {kind!r} or {kind[:3]!r}, or in degrees_{'north' if kind == 'latitude' else 'east'}",
        advice="let the dataset name its coordinates as CF does",
    )


def weights_of(truth: xr.DataArray, kind: Weights) -> xr.DataArray:
    """The weights of the cells: 1, or the cosine of latitude (0 where there is none), along its dims."""
    if kind == "none":
        return xr.DataArray(1.0)
    return quantities.cosine_of_latitude(coordinate(truth, "latitude").reset_coords(drop=True))


def missing(estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Where either is NaN; None if neither can be."""
    flags = [np.isnan(each) for each in (estimate, truth) if each.dtype.kind == "f"]
    return None if not flags else flags[0] if len(flags) == 1 else flags[0] | flags[1]


def infinite(estimate: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Where an estimate is infinite; None if it is nowhere."""
    if estimate.dtype.kind != "f":
        return None
    flags = np.isinf(estimate)
    return flags if flags.any() else None
