"""What a dataset keeps."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import xarray as xr

from ..components import Dataset
from ..samples.kinds import fields_of
from .components import check_component
from .report import Check, ensure
from .scenes import difference


def _fields(data: xr.Dataset) -> dict[str, xr.DataArray]:
    found = fields_of(data).data_vars.items()
    return {str(name): each for name, each in found if each.ndim and "window" not in each.dims}


def opens_lazily(dataset: Dataset) -> None:
    fields = _fields(dataset.open())
    ensure(fields, "it has no fields")
    eager = [name for name, each in fields.items() if each.chunks is None]
    ensure(not eager, f"{', '.join(eager)} in memory; give dask arrays, as `.chunk()` makes them")


def chunks_can_be_stored(dataset: Dataset) -> None:
    """The dask chunks become zarr's, which are all of one size but the last."""
    for name, each in _fields(dataset.open()).items():
        for dim, chunks in zip(each.dims, each.chunks or (), strict=False):
            regular = len(set(chunks[:-1])) <= 1 and chunks[-1] <= chunks[0]
            ensure(regular, f"{name} has chunks of {chunks} along {dim!r}; rechunk to one size")


def fields_have_units(dataset: Dataset) -> None:
    bare = [name for name, each in _fields(dataset.open()).items() if "units" not in each.attrs]
    ensure(not bare, f"{', '.join(bare)} without units; set attrs['units'], '1' if there are none")


def time_runs_forward(dataset: Dataset) -> None:
    """What comes later in the series is later, and is there once: windows count steps."""
    for name, axis in dataset.open().indexes.items():
        if isinstance(axis, pd.DatetimeIndex | xr.CFTimeIndex) or str(name) == "time":
            ensure(not axis.hasnans, f"{name!r} has missing values")
            wrong = np.flatnonzero(~(axis[1:] > axis[:-1]))
            if len(wrong):
                at = int(wrong[0])
                raise AssertionError(f"{name!r} goes from {axis[at]} to {axis[at + 1]}; sort it, each time once")


def places_are_unique(dataset: Dataset) -> None:
    """Fields are aligned by their coordinates, so that one place has one value."""
    for name, axis in dataset.open().indexes.items():
        ensure(not axis.hasnans, f"the coordinate {name!r} has missing values")
        twice = axis[axis.duplicated()]
        ensure(not len(twice), f"the coordinate {name!r} has {twice[0]!r} twice" if len(twice) else "")


def fingerprint_is_stable(dataset: Dataset) -> None:
    one, other = dataset.fingerprint(), pickle.loads(pickle.dumps(dataset)).fingerprint()
    ensure(isinstance(one, str) and one, f"the fingerprint is {one!r}; give a text")
    ensure(one == other, f"the fingerprint of one source is {one!r}, then {other!r}")


def opens_the_same_again(dataset: Dataset) -> None:
    def corner(data: xr.Dataset) -> xr.Dataset:
        return data.isel({dim: slice(0, 2) for dim in data.dims}).load()

    found = difference(corner(dataset.open()), corner(dataset.open()))
    ensure(not found, f"opened twice, {found}; seed what is drawn")


CHECKS: tuple[Check, ...] = (
    opens_lazily,
    chunks_can_be_stored,
    fields_have_units,
    time_runs_forward,
    places_are_unique,
    fingerprint_is_stable,
    opens_the_same_again,
)


def check_dataset(dataset: Dataset) -> None:
    """All that a dataset keeps, tried on its own source."""
    check_component(dataset)
    for each in CHECKS:
        each(dataset)
