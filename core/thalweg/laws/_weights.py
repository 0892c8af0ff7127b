"""What a cell counts for in a sum over space."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import quantities
from ..errors import HandshakeError
from ._matrix import coordinate

Weights = Literal["trapezoid", "cell-area", "cos-lat", "equal"]


def cell_weights(grid: xr.Dataset, variable: str, dims: tuple[str, ...], kind: Weights) -> NDArray[Any]:
    """Weights over `dims`. Raises `HandshakeError` for a grid without what they need."""
    sizes = [grid.sizes[dim] for dim in dims]
    if kind == "equal":
        return np.ones(sizes)
    if kind == "trapezoid":
        found = np.ones(())
        for dim in dims:
            found = np.multiply.outer(found, _trapezoid(coordinate(grid, dim, law="integral"), dim))
        return np.asarray(found)
    given = _area(grid) if kind == "cell-area" else _cosine(grid)
    if given is None or not set(given.dims) <= set(dims):
        needed = "an `area`" if kind == "cell-area" else "a latitude"
        raise HandshakeError(
            f"integral needs {needed} along {', '.join(dims)} to weigh the cells of {variable!r} by",
            allowed=f"weights: trapezoid, cell-area, cos-lat or equal; the grid has {', '.join(map(str, grid.coords))}",
            advice="set `weights: equal` for a plane of equal cells",
        )
    # np.broadcast_to of a transposed array: dims that the weights lack count alike.
    shape = [size if dim in given.dims else 1 for dim, size in zip(dims, sizes, strict=True)]
    ordered = given.transpose(*(dim for dim in dims if dim in given.dims)).values.astype(np.float64)
    return np.broadcast_to(ordered.reshape(shape), sizes).copy()


def _trapezoid(points: NDArray[Any], dim: str) -> NDArray[Any]:
    steps = np.abs(np.diff(points))
    if len(points) < 2 or not (steps > 0.0).all() or len(set(np.sign(np.diff(points)))) > 1:
        raise HandshakeError(
            f"the coordinate {dim!r} does not rise or fall from point to point",
            allowed="two points or more, in order",
            advice="sort it in preprocess, or set `weights: equal`",
        )
    return np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]]) / 2.0


def _area(grid: xr.Dataset) -> xr.DataArray | None:
    return grid["area"] if "area" in grid.variables else None


def _cosine(grid: xr.Dataset) -> xr.DataArray | None:
    latitude = quantities.find_axis(grid, "latitude")
    return None if latitude is None else quantities.cosine_of_latitude(latitude)
