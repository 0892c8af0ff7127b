"""An index of windows: what comes before, and what is to be estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import HandshakeError, IndexTransform, OptionError, Signature, has_index
from thalweg import Windows as Index

from .._dates import is_time

Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Run:
    """An unbroken stretch `first .. stop-1` of a series; `row` is 0 where there is one series."""

    row: int
    first: int
    stop: int


class Windows(IndexTransform):
    """Windows of `inputs` steps followed by `targets` steps, as index arithmetic: nothing is cut out or copied.

    A window never crosses the end of a series (a coordinate with the CF attribute `sample_dimension` says how long each
    is), a change of `within` or of a coordinate with the CF attribute `instance_dimension` (see `joined`), or a gap in
    the coordinate of `over`. Months, and any step that varies by less than a tenth, are regular. `between` adds windows
    that no `starts` names: `split` leaves them out of all but training. Raises `OptionError`, or `HandshakeError` for
    names that the data do not have.
    """

    example: ClassVar[Mapping[str, Any]] = {"inputs": 12, "targets": 6}

    inputs: PositiveInt = Field(description="steps that a method is given as inputs")
    targets: PositiveInt = Field(description="steps that a method estimates, after the inputs")
    stride: PositiveInt = Field(1, description="distance between the starts of two windows, in steps of the data")
    every: PositiveInt = Field(1, description="distance between two steps of a window, in steps of the data")
    over: str = Field("time", description="the dim of the steps")
    series: str | None = Field(None, description="the dim of independent series, such as model")
    within: str | None = Field(
        None,
        description="coordinate along `over` that changes where an unbroken run of steps ends; no window crosses "
        "such a place",
    )
    starts: str | None = Field(None, description="a variable that holds the first steps of the windows")
    between: PositiveInt | None = Field(
        None,
        description="with `starts`: training windows, so many steps apart, that begin inside those windows; none "
        "if null",
    )
    observe: tuple[str, ...] = Field((), description="fields that a method is given; if empty, all along `over`")
    predict: tuple[str, ...] = Field((), description="fields that a method estimates; if empty, all along `over`")
    gaps: Literal["refuse", "cut"] = Field(
        "refuse", description="a gap in the coordinate of `over`: an error (refuse), or no window across it (cut)"
    )

    def check(self, given: Signature) -> None:
        for dim in filter(None, (self.over, self.series)):
            if not any(dim in each.dims for each in given.fields):
                raise HandshakeError(
                    f"`windows` needs a dim {dim!r}, which no field has",
                    allowed=", ".join(given.sizes),
                    advice="name the dim of steps in `over`, that of series in `series`",
                )
        for name in (*self.observe, *self.predict):
            if name not in given or self.over not in given[name].dims:
                raise HandshakeError(
                    f"`windows` needs a field {name!r} along {self.over!r}",
                    allowed=", ".join(each.name for each in given.fields if self.over in each.dims),
                    advice="name fields of the data in `observe` and `predict`",
                )

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        if has_index(data):
            raise OptionError(
                "the data have samples already", allowed="one index of samples", advice="leave `windows` out"
            )
        if self.within is not None and self.within not in data.coords:
            data = data.set_coords(_known(data, self.within))
        length = (self.inputs + self.targets - 1) * self.every + 1
        runs = self._runs(data)
        longest = max((run.stop - run.first for run in runs), default=0)
        if length > longest:
            raise OptionError(
                f"a window of {length} steps is longer than the longest unbroken run of {self.over!r}, {longest} steps",
                allowed=f"at most {longest} steps: (inputs + targets - 1) * every + 1",
                advice="shorten `inputs` or `targets`",
            )
        further: Positions | None = None
        if self.starts is not None:
            data, start, row, further = self._given(data, runs, length)
        elif self.between is not None:
            raise OptionError(
                f"`between: {self.between!r}` without `starts`",
                allowed="further windows between those that `starts` names",
                advice="set `stride`, or name a variable in `starts`",
            )
        else:
            spans = [(run.row, np.arange(run.first, run.stop - length + 1, self.stride)) for run in runs]
            start = np.concatenate([each for _, each in spans])
            row = np.concatenate([np.full(each.size, number) for number, each in spans])
        index = Index(
            dim=self.over,
            series=self.series,
            begin=start,
            row=row,
            inputs=self.inputs,
            targets=self.targets,
            every=self.every,
            observe=self.observe,
            predict=self.predict,
            further=further,
        )
        return index.on(data)

    def _runs(self, data: xr.Dataset) -> list[Run]:
        size = data.sizes[self.over]
        broken = np.zeros(max(0, size - 1), dtype=bool)
        if self.within is not None:
            labels = data[_known(data, self.within)]
            if labels.dims != (self.over,):
                raise OptionError(
                    f"`within` names {self.within!r}, which has dims {labels.dims!r}",
                    allowed=f"a coordinate along {self.over!r} only",
                    advice="name one that changes where a run breaks off",
                )
            broken |= labels.values[1:] != labels.values[:-1]
        for each in data.coords.values():
            if each.dims == (self.over,) and "instance_dimension" in each.attrs:
                broken |= each.values[1:] != each.values[:-1]
        if self.over in data.coords:
            broken |= self._gaps(data[self.over], broken)
        edges = [0, *(np.flatnonzero(broken) + 1).tolist(), size]
        stretches = list(pairwise(edges))
        return [
            Run(row, first, min(stop, length))
            for row, length in enumerate(self._lengths(data))
            for first, stop in stretches
            if first < length
        ]

    def _lengths(self, data: xr.Dataset) -> list[int]:
        size = data.sizes[self.over]
        counts = [each for each in data.coords.values() if each.attrs.get("sample_dimension") == self.over]
        if self.series is None:
            return [min([size, *(int(each.min()) for each in counts)])]
        lengths = np.full(data.sizes[self.series], size)
        for each in counts:
            lengths = np.minimum(lengths, each.values if each.dims == (self.series,) else int(each.min()))
        return [int(each) for each in lengths]

    def _gaps(self, coordinate: xr.DataArray, broken: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        steps, step = _steps(coordinate, broken)
        if (steps[~broken] <= 0).any():
            at = int(np.flatnonzero(~broken & (steps <= 0))[0])
            raise OptionError(
                f"{self.over!r} goes back after {coordinate.values[at]}, to {coordinate.values[at + 1]}",
                allowed=f"{self.over!r} that increases within each run",
                advice="sort the data, or name the runs in `within`",
            )
        gaps = ~broken & (np.abs(steps - step) > 0.1 * step)
        if gaps.any() and self.gaps == "refuse":
            at = int(np.flatnonzero(gaps)[0])
            raise OptionError(
                f"{self.over!r} has {int(gaps.sum())} gap(s), the first from {coordinate.values[at]} to "
                f"{coordinate.values[at + 1]}",
                allowed="equal steps within each run, or `gaps: cut`",
                advice="set `gaps: cut` to begin a new run after each gap, or name the runs in `within`",
            )
        return np.asarray(gaps)

    def _given(
        self, data: xr.Dataset, runs: list[Run], length: int
    ) -> tuple[xr.Dataset, Positions, Positions, Positions | None]:
        """The windows of `starts`, and those `between`; what lies along its dim becomes coordinates of `window`.

        A further window has what the one has in which it begins. A start is not given twice.
        """
        name = _known(data, str(self.starts))
        if self.series is not None or data[name].ndim != 1 or data[name].dtype.kind not in "iu":
            raise OptionError(
                f"`starts` names {name!r}, {data[name].dtype} with dims {data[name].dims!r}",
                allowed="whole numbers along one dim, of a single series",
                advice="leave `starts` out",
            )
        start = data[name].values.astype(np.int64)
        good = _unbroken(start, runs, length)
        if not good.all() and (self.gaps == "refuse" or not good.any()):
            raise OptionError(
                f"{int((~good).sum())} of {good.size} windows run past the end of a run, as at {start[~good][0]}",
                allowed=f"starts with {length} unbroken steps",
                advice="shorten `inputs` or `targets`, or set `gaps: cut` to leave those windows out",
            )
        number, start = np.flatnonzero(good), start[good]
        further = None
        if self.between is not None:
            offsets = np.arange(0, length, self.between)
            every = (start[:, None] + offsets).reshape(-1)
            # The given ones first, so that of equal starts the given one is kept.
            order = np.argsort(np.tile(offsets > 0, start.size), kind="stable")
            order = order[np.sort(np.unique(every[order], return_index=True)[1])]
            order = order[_unbroken(every[order], runs, length)]
            order = order[np.argsort(every[order], kind="stable")]
            start, number = every[order], number[order // offsets.size]
            further = np.tile(offsets > 0, start.size)[order].astype(np.int64)
        dim = str(data[name].dims[0])
        beside = [each for each in data.data_vars if data[each].dims == (dim,) and each != name]
        data = data.set_coords(beside).drop_vars([name, dim], errors="ignore").isel({dim: number})
        return data.rename_dims({dim: "window"}), start, np.zeros(start.size, dtype=np.int64), further


def _unbroken(start: Positions, runs: list[Run], length: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether a window that begins there ends before its run does."""
    first = np.array([run.first for run in runs])
    stop = np.array([run.stop for run in runs])[np.searchsorted(first, start, side="right") - 1]
    return np.asarray((start >= 0) & (start + length <= stop))


def _known(data: xr.Dataset, name: str) -> str:
    if name in data.variables:
        return name
    raise HandshakeError(
        f"`windows` needs {name!r}, which the data do not have",
        allowed=", ".join(map(str, data.variables)),
        advice="name a variable or a coordinate of the data",
    )


def _steps(coordinate: xr.DataArray, broken: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], float]:
    """The steps of a coordinate, and the usual one: in months where every step is a month or more, else as it is."""
    if not is_time(coordinate):
        steps = np.diff(coordinate.values.astype(np.float64))
        return steps, _usual(steps[~broken])
    if np.issubdtype(coordinate.dtype, np.datetime64):
        moments = coordinate.values.astype("datetime64[ms]").astype(np.int64) / 1000
    else:
        moments = np.array([(each - coordinate.values[0]).total_seconds() for each in coordinate.values])
    steps = np.diff(moments)
    usual = _usual(steps[~broken])
    months = np.diff(coordinate.dt.year.values.astype(np.int64) * 12 + coordinate.dt.month.values)
    if months[~broken].size and (months[~broken] >= 1).all() and usual > 27 * 86400:
        return months.astype(np.float64), _usual(months[~broken])
    return steps, usual


def _usual(steps: np.ndarray[Any, Any]) -> float:
    return float(np.median(steps)) if steps.size else 1.0
