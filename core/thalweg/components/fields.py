"""Fields by name, as arrays: what a law is asked about where there is no xarray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError

if TYPE_CHECKING:
    import xarray as xr

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

    @classmethod
    def of(cls, data: xr.Dataset) -> Fields:
        """The fields of a dataset, of numpy."""
        dims = {
            str(name): tuple(sorted(map(str, each.dims), key=lambda dim: BEFORE.index(dim) if dim in BEFORE else 2))
            for name, each in data.data_vars.items()
        }
        values = {name: data[name].transpose(*own).values for name, own in dims.items()}
        units = {str(name): str(each.attrs.get("units", "1")) for name, each in data.data_vars.items()}
        return cls(values, dims, units)


BEFORE = ("sample", "member")
"""Dims that a grid does not have."""


def plain(array: xr.DataArray) -> Array:
    """The values of what a law knows, `sample` or 1 first."""
    first = "sample" in array.dims
    values = array.transpose("sample", ...).values if first else array.values[None]
    return values.astype("float64")


def permuted(array: Array, order: Sequence[int]) -> Array:
    """An array with its axes in another order."""
    return array.permute(*order) if hasattr(array, "permute") else array.transpose(order)


def where(mask: Array, values: Array) -> Array:
    """The values, 0 where the mask is not; NaN there is not seen, by no gradient either."""
    if hasattr(values, "masked_fill"):
        return values.masked_fill(~mask, 0.0)
    import numpy as np

    return np.where(mask, values, values.dtype.type(0))


def like(values: Array, field: Array) -> Array:
    """Numbers in the precision of a field, where it lies."""
    return values.to(field) if hasattr(values, "to") else values.astype(field.dtype)


def differences(field: Array, axis: int) -> Array:
    """Of neighbours along an axis, the later minus the earlier."""
    before = (slice(None),) * axis
    return field[(*before, slice(1, None))] - field[(*before, slice(None, -1))]


def aligned(known: Array, own: Sequence[str], dims: Sequence[str]) -> Array:
    """What is known along the dims `own`, 1 or whole, with the axes of a field of `dims`.

    Raises `HandshakeError` for what varies along a dim that the field does not have.
    """
    lost = [dim for dim, size in zip(own, known.shape, strict=True) if dim not in dims and size > 1]
    if lost:
        raise HandshakeError(
            f"a law knows values along {', '.join(lost)}, and the fields have {', '.join(dims)}",
            allowed="a method that learns from whole fields",
            advice="hold the law at the output",
        )
    order = [own.index(dim) for dim in dims if dim in own]
    if order != list(range(len(own))):
        known = permuted(known, (*order, *(at for at in range(len(own)) if at not in order)))
    sizes = iter(known.shape)
    return known.reshape([next(sizes) if dim in own else 1 for dim in dims])
