"""Transforms that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from thalweg import (
    IndexTransform,
    Transform,
)


class Centred(Transform):
    """Less the mean of all times."""

    def statistics(self, data: xr.Dataset) -> xr.Dataset:
        return data.mean("time")

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign({name: (each - statistics[name]).assign_attrs(each.attrs) for name, each in data.items()})


class Reads(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data.compute(), statistics)


class Hoards(Centred):
    def statistics(self, data: xr.Dataset) -> xr.Dataset:
        return data.mean("time").expand_dims(copy=2 * data.sizes["time"])

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics.isel(copy=0))


class Writes(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        data.attrs["centred"] = True
        return super().apply(data, statistics)


class Strips(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).drop_attrs()


class Peeks(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, data.mean("time"))


class ReadsAside(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data.compute(scheduler="synchronous").chunk(time=12), statistics)


class Jitters(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics + 1e-3 * np.random.default_rng().random())


class Late(Centred):
    """A step late."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).shift(time=1)


class LateLabels(Centred):
    """The same, in labels."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign_coords(time=made.indexes["time"].shift(1, "MS"))


class EarlyLabels(Centred):
    """A step early."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign_coords(time=made.indexes["time"].shift(-1, "MS"))


class Ahead(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).shift(time=-1)


class Standardised(Centred):
    """In units of the data, which it has not."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.map(lambda each: (each / statistics[each.name]).assign_attrs(each.attrs))


class Renamed(Centred):
    """Says kelvin of whatever it is."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign(field=data["field"].assign_attrs(units="K"))


class Unnamed(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign(field=made["field"].assign_attrs(units="1"))


class NotUndone(Centred):
    """Leaves the mean out, and says that this is undone."""

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return estimate


class ForgetsVariance(Transform):
    """In tenths, but for the variance."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.map(lambda each: (each * np.float32(10)).assign_attrs(each.attrs, units="0.1"))

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        own = [name for name in estimate.data_vars if not str(name).endswith("_variance")]
        return estimate.assign({name: estimate[name] / np.float32(10) for name in own})


class ShiftedIndex(IndexTransform):
    """Changes a field, and says that it does not."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.map(lambda each: (each * 2).assign_attrs(each.attrs))

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        own = [name for name in estimate.data_vars if not str(name).endswith("_variance")]
        square = [f"{name}_variance" for name in own]
        halves = {name: estimate[name] / 2 for name in own}
        return estimate.assign(halves | {name: estimate[name] / 4 for name in square})


KEPT = Centred


MUTANTS: Mapping[str, Any] = {
    "stays_lazy": (Reads, ReadsAside),
    "statistics_are_small": Hoards,
    "data_are_left_alone": Writes,
    "fields_have_units": Strips,
    "units_follow_the_values": (Standardised, Renamed, Unnamed),
    "gives_the_same_again": Jitters,
    "does_not_look_ahead": (Peeks, Ahead, EarlyLabels),
    "does_not_lag": (Late, LateLabels),
    "is_undone": (NotUndone, ForgetsVariance),
    "an_index_changes_no_field": ShiftedIndex,
}
"""Parts that break a check, by its name."""
