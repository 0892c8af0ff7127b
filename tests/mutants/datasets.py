"""Datasets that break a check."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from thalweg import (
    Dataset,
)
from thalweg.testing import (
    series,
)


class Waves(Dataset):
    """Waves."""

    def open(self) -> xr.Dataset:
        return series()

    def fingerprint(self) -> str:
        return "waves"


class Eager(Waves):
    def open(self) -> xr.Dataset:
        return series().load()


class Ragged(Waves):
    def open(self) -> xr.Dataset:
        return series().chunk(time=(5, 40, 3))


class Unitless(Waves):
    def open(self) -> xr.Dataset:
        return series().drop_attrs()


class Restless(Waves):
    def fingerprint(self) -> str:
        return uuid.uuid4().hex


class Drawn(Waves):
    def open(self) -> xr.Dataset:
        return (series() + np.random.default_rng().random()).assign_attrs(series().attrs)


class Backwards(Waves):
    def open(self) -> xr.Dataset:
        return series().isel(time=slice(None, None, -1))


class Twice(Waves):
    def open(self) -> xr.Dataset:
        data = series()
        return xr.concat([data.isel(time=slice(0, 13)), data.isel(time=slice(12, None))], "time").chunk(time=12)


class Unsorted(Waves):
    def open(self) -> xr.Dataset:
        return series().isel(time=[*range(40), 41, 40, *range(42, 48)]).chunk(time=12)


class BackwardsNumbers(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(time=np.arange(48)[::-1])


class OnePlaceTwice(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(x=np.arange(8) // 2)


class NoPlace(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(x=np.where(np.arange(8) < 7, np.arange(8.0), np.nan))


KEPT = Waves


MUTANTS: Mapping[str, Any] = {
    "opens_lazily": Eager,
    "chunks_can_be_stored": Ragged,
    "fields_have_units": Unitless,
    "time_runs_forward": (Backwards, Unsorted, BackwardsNumbers, Twice),
    "places_are_unique": (OnePlaceTwice, NoPlace),
    "fingerprint_is_stable": Restless,
    "opens_the_same_again": Drawn,
}
"""Parts that break a check, by its name."""
