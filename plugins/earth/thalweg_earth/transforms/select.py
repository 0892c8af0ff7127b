"""A part of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, OptionError, Signature, Transform

from .._box import between, eastward
from .._dates import Dates, Period, Ranges, inside, interval, is_time, refuse_reversed, span


class Select(Transform):
    """Some variables, and the part of each dim whose coordinate lies in a range, both ends included.

    Dates may be partial. Latitudes may be given either way round; a range of longitudes goes eastward, in either
    convention: `[170, -120]`, `[170, 240]` and `[-190, -120]` are one. Ends have a tolerance of a thousandth of a step.
    Raises `OptionError` if nothing is left.
    """

    variables: tuple[str, ...] = Field((), description="variables that are kept; all if empty")
    time: Dates = Field(None, description="first and last date or step that are kept; null for an open end")
    latitude: tuple[float, float] | None = Field(
        None, description="range of latitudes that is kept, degrees north, in either order"
    )
    longitude: tuple[float, float] | None = Field(
        None, description="range of longitudes that is kept, degrees east, eastward from the first to the second"
    )
    ranges: Ranges = Field({}, description="ranges of other coordinates, such as {model: [0, 14]}")

    def check(self, given: Signature) -> None:
        for dim in self._ranges():
            if not any(dim in each.dims for each in given.fields):
                raise HandshakeError(
                    f"`select` is given a range of {dim!r}, which no field has",
                    allowed=", ".join(given.sizes),
                    advice="name a dim of the data",
                )

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        if self.variables:
            data = data[list(self.variables)]
        for dim, wanted in self._ranges().items():
            if dim not in data.coords:
                raise OptionError(
                    f"{dim!r} has no coordinate to select by",
                    allowed=", ".join(map(str, data.coords)),
                    advice="name a dim that has values",
                )
            data = _regular(data.isel({dim: _positions(data[dim], dim, wanted)}), dim)
        return data

    def newest(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """The same part of each dim but time: a period that ends would cut the newest steps away."""
        return self.model_copy(update={"time": None}).apply(data, statistics)

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: no value is changed."""
        return estimate

    def _ranges(self) -> dict[str, Period]:
        named = {"time": self.time, "latitude": self.latitude, "longitude": self.longitude}
        return {dim: each for dim, each in named.items() if each is not None} | self.ranges


def _regular(data: xr.Dataset, dim: str) -> xr.Dataset:
    """Equal chunks along a dim that was cut, as a store needs them."""
    cut = {}
    for name, array in data.data_vars.items():
        # Of the variable: its coordinates may have chunks of their own.
        sizes = array.variable.chunksizes.get(dim, ())
        if len(set(sizes[:-1])) > 1 or (sizes and sizes[-1] > sizes[0]):
            cut[name] = array.chunk({dim: max(sizes)})
    return data.assign(cut)


def _positions(
    coordinate: xr.DataArray, dim: str, wanted: Period
) -> slice | np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = _eastward(coordinate, wanted) if dim == "longitude" else np.flatnonzero(_inside(coordinate, dim, wanted))
    if not found.size:
        raise OptionError(
            f"no {dim} lies in {list(wanted)!r}",
            allowed=f"{dim} {span(coordinate)}",
            advice="choose a range that the data cover",
        )
    run = found[-1] - found[0] + 1 == found.size
    return slice(int(found[0]), int(found[-1]) + 1) if run else found


def _inside(coordinate: xr.DataArray, dim: str, wanted: Period) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if is_time(coordinate) or coordinate.dtype.kind not in "iuf":
        return inside(coordinate, wanted)
    low, high = interval(wanted, dates=False)
    if dim == "latitude":
        low, high = sorted((low, high))
    refuse_reversed(wanted, low, high)
    return between(coordinate.values, low, high)


def _eastward(coordinate: xr.DataArray, wanted: Period) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    west, east = interval(wanted, dates=False)
    if not np.isfinite([west, east]).all():
        raise OptionError(
            f"the range of longitudes {list(wanted)!r} has an open end",
            allowed="[west, east], in degrees east",
            advice="give both ends: around the globe there is no last longitude",
        )
    return eastward(coordinate.values, west, east)
