"""What the boundary laws share: rows that weigh the cells nearest to one or both faces across a dim."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, OptionError, Rows, Signature

Array = NDArray[Any]
Side = Literal["left", "right"]
Value = float | str | None
"""A number, the name of an input variable that holds it, or None where the law says nothing of a side."""

SIDES: tuple[Side, Side] = ("left", "right")
_OUTER = ("sample", "lead", "member", "row", "target_lead")


class FaceRows(Rows):
    """For each of `lines` (weights along `dim`, float64) a row for each cell of the face, in C order."""

    gaps = "void"

    def __init__(self, variable: str, dims: tuple[str, ...], sizes: tuple[int, ...], dim: str, lines: Array) -> None:
        self.variable, self.dims, self._sizes, self._dim, self._lines = variable, dims, sizes, dim, lines
        self.count = len(lines) * prod(size for each, size in zip(dims, sizes, strict=True) if each != dim)

    def block(self, region: Mapping[str, slice]) -> Any:
        from scipy.sparse import csr_array, eye_array, kron, vstack

        at = self.dims.index(self._dim)
        found: list[Any] = []
        for line in self._lines:
            matrix: Any = None
            for number, (dim, size) in enumerate(zip(self.dims, self._sizes, strict=True)):
                # A face is a product: the line across it, and each cell of the other dims by itself.
                factor: Any = csr_array(line[None]) if number == at else eye_array(size, format="csr")
                factor = factor[:, region[dim]]
                matrix = factor if matrix is None else kron(matrix, factor, format="csr")
            found.append(matrix)
        return vstack(found, format="csr", dtype=np.float64)


def across(grid: xr.Dataset, *, variable: str, dim: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Dims of space of a variable, and their sizes. Raises `HandshakeError` unless `dim` is one of them."""
    array = grid[variable]
    dims = tuple(str(each) for each in array.dims if each not in _OUTER)
    if dim not in dims:
        raise HandshakeError(
            f"{variable!r} has no dim {dim!r} to have boundaries across",
            allowed=", ".join(map(repr, dims)),
            advice="name one of them in `dim`",
        )
    return dims, tuple(array.sizes[each] for each in dims)


def targets(context: xr.Dataset, values: Mapping[Side, Value], *, variable: str, dim: str, units: str) -> xr.DataArray:
    """`b(..., row)` from numbers and input variables, for the sides that have a value."""
    source = context.get(variable, context)
    dims = [str(each) for each in source.dims if each not in _OUTER and each != dim]
    sizes = {each: source.sizes[each] for each in dims}
    found = []
    for side, value in values.items():
        if value is None:
            continue
        array = xr.DataArray(float(value)) if not isinstance(value, str) else _named(context, value, dim=dim, side=side)
        face = array.expand_dims({each: size for each, size in sizes.items() if each not in array.dims})
        face = face.transpose(..., *dims)
        shape = [face.sizes[each] for each in face.dims if each not in dims]
        outer = [each for each in face.dims if each not in dims]
        found.append(xr.DataArray(face.values.reshape(*shape, -1).astype("float64"), dims=(*outer, "row")))
    whole = xr.broadcast(*found, exclude=["row"])
    return xr.concat(whole, "row").transpose(..., "row").assign_attrs(units=units)


def _named(context: xr.Dataset, name: str, *, dim: str, side: Side) -> xr.DataArray:
    if name not in context:
        raise HandshakeError(
            f"no input {name!r} says what the boundary is",
            allowed=", ".join(map(str, context.data_vars)),
            advice="give it among the inputs, or a number",
        )
    array = context[name].reset_coords(drop=True)
    array = array.isel(lead=-1, drop=True) if "lead" in array.dims else array
    array = array.isel({dim: 0 if side == "left" else -1}, drop=True) if dim in array.dims else array
    return array.drop_vars(list(array.coords))


def units_of(context: xr.Dataset, *, variable: str, values: Mapping[Side, Value]) -> str:
    """Units of the variable, or of the inputs that name its values; 1 if none is known."""
    for name in (variable, *(each for each in values.values() if isinstance(each, str))):
        if name in context and "units" in context[name].attrs:
            return str(context[name].attrs["units"])
    return "1"


def some_side(values: Mapping[Side, Value]) -> None:
    """Raise `OptionError` if no side has a value."""
    if all(each is None for each in values.values()):
        raise OptionError(
            "neither `left` nor `right` has a value",
            allowed="a number, or the name of an input variable, for one side or both",
            advice="say what holds at a boundary",
        )


def has_cells(given: Signature, *, variable: str, dim: str, count: int) -> None:
    """Raise `HandshakeError` if the variable has fewer than `count` cells across `dim`."""
    if variable in given and dim in given[variable].dims and given.sizes.get(dim, count) < count:
        raise HandshakeError(
            f"{variable!r} has {given.sizes[dim]} cells along {dim!r}",
            allowed=f"{count} or more",
            advice="lower `order`, or take a finer grid",
        )
