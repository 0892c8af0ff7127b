"""What a dataset keeps."""

from __future__ import annotations

import pickle

import xarray as xr

from ..components import Dataset
from .components import check_component
from .report import Check, ensure
from .scenes import difference


def _fields(data: xr.Dataset) -> dict[str, xr.DataArray]:
    return {str(name): each for name, each in data.data_vars.items() if each.ndim and "window" not in each.dims}


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
    fingerprint_is_stable,
    opens_the_same_again,
)


def check_dataset(dataset: Dataset) -> None:
    """All that a dataset keeps, tried on its own source."""
    check_component(dataset)
    for each in CHECKS:
        each(dataset)
