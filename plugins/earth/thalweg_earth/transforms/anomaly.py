"""Departures from a climatology."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, OptionError, Signature, SourceError, Transform, quantities

from .._dates import Dates, inside, is_time, span
from ._means import means_by_group

_SOURCE = 1000
"""From the groups of one source to those of the next: more than there are days in a year."""


class Anomaly(Transform):
    r"""A field minus its mean over a baseline, $x'(t) = x(t) - \overline{x}(\mathrm{month}(t))$, in the same units.

    The climatology is one mean per calendar month, day of the year, or one for all times; it comes from the baseline
    only, which should be the training period, so that nothing of the test is learned. Missing values are left out of
    it. Steps of several sources (see `joined`) may have a climatology each, `per: source`; a forecast takes that of the
    last source. Raises `OptionError` if the baseline is not in the data, or lacks a month that they have.
    """

    variables: tuple[str, ...] = Field((), description="variables that are changed; if empty, all that vary in time")
    over: Literal["time.month", "time.dayofyear", "time"] = Field(
        "time.month",
        description="steps that share a mean: those of one month, of one day of the year, or all",
    )
    baseline: Dates = Field(
        None, description="first and last time of the years whose mean is subtracted, such as [1871, 1973]; all if null"
    )
    per: str | None = Field(
        None,
        description="coordinate along time, each of whose values has its own climatology, such as source; none if null",
    )

    def check(self, given: Signature) -> None:
        for name in self.variables:
            if name in given and "time" not in given[name].dims:
                raise HandshakeError(
                    f"{name!r} does not change in time",
                    allowed=", ".join(each.name for each in given.fields if "time" in each.dims),
                    advice="leave it out of `variables`",
                )
        if not any("time" in each.dims for each in given.fields):
            raise HandshakeError("nothing changes in time", allowed="fields along 'time'", advice="leave `anomaly` out")

    def statistics(self, data: xr.Dataset) -> xr.Dataset:
        names = self._sources(data)
        labels, wanted = (
            self._labels(data["time"]) + _SOURCE * self._source_of(data, names),
            self._baseline(data["time"]),
        )
        groups = np.unique(labels)
        for group in groups:
            if not (wanted & (labels == group)).any():
                where = f" of {names[group // _SOURCE]!r}" if names else ""
                raise OptionError(
                    f"the baseline {list(self.baseline or ())!r} has no {self._group} {group % _SOURCE}{where}",
                    allowed=span(data["time"]),
                    advice="choose a baseline that covers whole years",
                )
        # Steps outside the baseline are of no group.
        positions = np.where(wanted, np.searchsorted(groups, labels), -1)
        means = {name: means_by_group(data[name], positions, len(groups)) for name in self._names(data)}
        climatology = xr.Dataset(means, {"group": groups})
        return climatology.assign_attrs(sources=names) if names else climatology

    def learned_steps(self, data: xr.Dataset) -> xr.DataArray:
        return data["time"].copy(data=self._baseline(data["time"]))

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        if "valid_time" not in estimate.coords:
            raise HandshakeError(
                "an estimate without times cannot be freed from its climatology",
                allowed="samples along a dim of dates",
                advice="leave `anomaly` out",
            )
        valid = estimate["valid_time"]
        last = len(statistics.attrs.get("sources", "1")) - 1
        positions = self._positions(valid, statistics, np.full(valid.shape, last))
        made = {}
        for name in statistics.data_vars:
            if name in estimate:
                array = estimate[name]
                mean = statistics[name].isel(group=positions).drop_vars(["group"])
                made[name] = (array + mean.drop_vars(list(mean.coords))).astype(array.dtype).transpose(*array.dims)
        return estimate.assign(made)

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        sources = self._source_of(data, list(statistics.attrs.get("sources", ())))
        positions = self._positions(data["time"], statistics, sources).values
        baseline = "all times" if self.baseline is None else f"{self.baseline[0]}..{self.baseline[1]}"
        changed = {}
        for name in self._names(data):
            _refuse_other_grid(data[name], statistics[name])
            array = _less(data[name], statistics[name], positions)
            array.attrs = {key: each for key, each in data[name].attrs.items() if key != "valid_range"}
            long_name = str(array.attrs.get("long_name", name))
            array.attrs["long_name"] = long_name if "anomal" in long_name.lower() else f"{long_name} anomaly"
            array.attrs["climatology"] = f"mean by {self._group} of {baseline}"
            changed[name] = array
        return data.assign(changed)

    def _sources(self, data: xr.Dataset) -> list[str]:
        """The sources that have a climatology each, in the order of the data; none if all steps share one."""
        if self.per is None:
            return []
        if self.per not in data.coords or data[self.per].dims != ("time",):
            raise OptionError(
                f"`per` names {self.per!r}, which is no coordinate along time",
                allowed=", ".join(str(n) for n, each in data.coords.items() if each.dims == ("time",) and n != "time")
                or "none: the steps are of one source",
                advice="leave `per` out, or read the sources by `joined`",
            )
        return list(dict.fromkeys(quantities.texts(data[self.per].values).tolist()))

    def _source_of(self, data: xr.Dataset, names: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Of each step, the number of its source."""
        if not names:
            return np.zeros(data.sizes["time"], dtype=np.int64)
        labels = quantities.texts(data[str(self.per)].values)
        unknown = np.setdiff1d(labels, names)
        if unknown.size:
            raise SourceError(
                f"there is no climatology of the source {str(unknown[0])!r}",
                allowed=", ".join(names),
                advice="take the climatology from data that have it",
            )
        return np.asarray([names.index(each) for each in labels], dtype=np.int64)

    def _positions(self, time: xr.DataArray, statistics: xr.Dataset, sources: np.ndarray[Any, Any]) -> xr.DataArray:
        """Of each time, the position of its group in the climatology. Raises `SourceError` if it has none."""
        labels, groups = self._labels(time) + _SOURCE * sources, statistics["group"].values
        missing = np.setdiff1d(labels, groups)
        if missing.size:
            raise SourceError(
                f"the climatology has no {self._group} {missing[0] % _SOURCE}",
                allowed=", ".join(map(str, np.unique(groups % _SOURCE))),
                advice="take the climatology from data that have it",
            )
        return xr.DataArray(np.searchsorted(groups, labels), dims=time.dims)

    @property
    def _group(self) -> str:
        return self.over.removeprefix("time.")

    def _names(self, data: xr.Dataset) -> list[str]:
        moving = [str(name) for name, each in data.data_vars.items() if "time" in each.dims and each.dtype.kind == "f"]
        return list(self.variables) or moving

    def _labels(self, time: xr.DataArray) -> np.ndarray[Any, np.dtype[np.int64]]:
        if not is_time(time):
            raise OptionError(f"'time' holds {time.dtype}", allowed="dates", advice="decode the times of the source")
        if self.over == "time":
            return np.zeros(time.shape, dtype=np.int64)
        return np.asarray(getattr(time.dt, self._group).values, dtype=np.int64)

    def _baseline(self, time: xr.DataArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if self.baseline is None:
            return np.ones(time.size, dtype=bool)
        chosen = inside(time, self.baseline)
        if not chosen.any():
            raise OptionError(
                f"the baseline {list(self.baseline)!r} is not in the data",
                allowed=span(time),
                advice="choose a baseline that the data cover",
            )
        return chosen


def _refuse_other_grid(array: xr.DataArray, climatology: xr.DataArray) -> None:
    for dim, size in climatology.sizes.items():
        if dim != "group" and array.sizes.get(dim) != size:
            raise HandshakeError(
                f"{array.name!r} has {array.sizes.get(dim, 0)} along {dim!r}",
                allowed=f"{size}, as the climatology has",
                advice="give data of the grid that the climatology is of",
            )


def _less(array: xr.DataArray, climatology: xr.DataArray, positions: np.ndarray[Any, Any]) -> xr.DataArray:
    """`array - climatology[positions]`, block by block: the climatology is never spread out along time."""
    import dask.array as da

    still = [dim for dim in array.dims if dim != "time"]
    moving = array.transpose("time", *still)
    if moving.dtype.kind != "f":
        moving = moving.astype(np.float32)
    means = climatology.transpose("group", *still)
    if moving.chunks is None:
        values = _subtract(moving.values, positions, np.asarray(means.data))
    else:
        sizes = dict(zip(still, moving.chunks[1:], strict=True))
        values = da.blockwise(
            _subtract,
            ("time", *still),
            moving.data,
            ("time", *still),
            da.from_array(positions, chunks=(moving.chunks[0],)),
            ("time",),
            means.chunk({"group": -1, **sizes}).data,
            ("group", *still),
            concatenate=True,
            dtype=moving.dtype,
            meta=np.empty((0,) * moving.ndim, moving.dtype),
        )
    return moving.copy(data=values).transpose(*array.dims)


def _subtract(values: Any, positions: Any, means: Any) -> Any:
    return (values - means[positions]).astype(values.dtype, copy=False)
