"""The sums of metrics per sample, as `evaluate` keeps them: one array a variant, laid side by side in columns.

Scores on shared points and paired intervals are made from them, without a second pass over fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..components.totals import Totals
from ..stores.arrays import lay_out, put, read, reading
from .scored import VIOLATION
from .scoring import Tally

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]
Parts = Mapping[tuple[str, str, str], "xr.DataArray"]
"""Arrays along `sample` by metric (or field), statistic and part (`sum`, `count`, ...)."""


@dataclass(frozen=True)
class Column:
    """Where an array `(sample, *dims)` lies in the columns of a variant's array."""

    of: tuple[str, str, str]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: Mapping[str, list[Any]]
    dtype: str
    units: str = ""
    """Of what is left of a law; a metric says those of its score by itself."""

    @property
    def width(self) -> int:
        return prod(self.shape)


def flat(parts: Parts) -> tuple[list[Column], Array]:
    """Arrays as columns, and `(sample, column)`."""
    columns, values = [], []
    for of, array in parts.items():
        turned = array.transpose("sample", ...)
        dims = tuple(str(dim) for dim in turned.dims[1:])
        coords = {dim: turned[dim].values.tolist() for dim in dims if dim in turned.coords}
        units = str(array.attrs.get("units", "")) if of[0].startswith(VIOLATION) else ""
        columns.append(Column(of, dims, turned.shape[1:], coords, str(turned.dtype), units))
        values.append(turned.values.reshape(turned.sizes["sample"], -1))
    return columns, np.concatenate(values, axis=1)


def parted(columns: Sequence[Column], values: Array) -> dict[tuple[str, str, str], xr.DataArray]:
    """The arrays that `flat` laid into columns."""
    import xarray as xr

    found, start = {}, 0
    for each in columns:
        own = values[:, start : start + each.width].reshape(len(values), *each.shape).astype(each.dtype)
        attrs = {"units": each.units} if each.units else {}
        found[each.of] = xr.DataArray(own, dict(each.coords), ("sample", *each.dims), attrs=attrs)
        start += each.width
    return found


def per_sample(tallies: Mapping[str, Tally]) -> tuple[dict[tuple[str, str, str], xr.DataArray], dict[str, Tally]]:
    """Sums and counts by sample, and the tallies that have none (what a metric added up over samples itself)."""
    kept: dict[tuple[str, str, str], xr.DataArray] = {}
    rest: dict[str, Tally] = {}
    for label, tally in tallies.items():
        if all("sample" in each.sum.dims for each in tally.values()):
            for name, each in tally.items():
                kept[label, name, "sum"] = each.sum
                count = each.count if "sample" in each.count.dims else each.count.broadcast_like(each.sum)
                kept[label, name, "count"] = count
        else:
            rest[label] = tally
    return kept, rest


@dataclass(frozen=True)
class Writer:
    """Writes the rows of a batch. One task writes one chunk of each array."""

    url: str
    batch: int

    def lay_out(self, arrays: Mapping[str, Parts], keys: Mapping[str, xr.DataArray], *, samples: int) -> None:
        """Make the group, from the arrays of the first batch; `keys` are the coordinates of all samples."""
        import dask.array as da
        import xarray as xr

        made, columns = {}, {}
        for name, parts in arrays.items():
            if parts:
                own, values = flat(parts)
                columns[name] = [asdict(each) for each in own]
                zeros = da.zeros((samples, values.shape[1]), dtype=values.dtype)
                made[name] = (("sample", f"{name}_column"), zeros)
        large = {name: (self.batch, array.shape[1]) for name, (_, array) in made.items()}
        lay_out(self.url, xr.Dataset(made, dict(keys), {"columns": columns}), large=large)

    def put(self, arrays: Mapping[str, Parts], at: slice) -> None:
        for name, parts in arrays.items():
            if parts:
                put(self.url, name, (at, slice(None)), flat(parts)[1])


@dataclass(frozen=True)
class Sums:
    """What `evaluate` kept of every sample. `url` is its group `sums`."""

    url: str

    @cached_property
    def data(self) -> xr.Dataset:
        with reading(self.url):
            return read(self.url).load()

    @property
    def keys(self) -> xr.Dataset:
        """The coordinates of the samples: what identifies a sample in any run."""
        return self.data.coords.to_dataset().reset_coords()

    def tallies(self, variant: str) -> dict[str, dict[str, Totals]]:
        """Totals per sample by metric and statistic."""
        parts = self._parts(variant)
        found: dict[str, dict[str, Totals]] = {}
        for (label, name, part), array in parts.items():
            if part == "sum":
                found.setdefault(label, {})[name] = Totals(array, parts[label, name, "count"])
        return found

    def answered(self, variant: str) -> dict[str, dict[str, xr.DataArray]]:
        """Of each field: `points`, `answered`, `which`."""
        return self._by_field(f"answered_{variant}")

    def truth(self) -> dict[str, xr.DataArray]:
        """A hash of the truth of each field."""
        return {name: each["values"] for name, each in self._by_field("truth").items()}

    def _by_field(self, name: str) -> dict[str, dict[str, xr.DataArray]]:
        found: dict[str, dict[str, xr.DataArray]] = {}
        for (field, _, part), array in self._parts(name).items():
            found.setdefault(field, {})[part] = array
        return found

    def _parts(self, name: str) -> dict[tuple[str, str, str], xr.DataArray]:
        described = self.data.attrs["columns"].get(name, [])
        columns = [
            Column(**{**each, **{name: tuple(each[name]) for name in ("of", "dims", "shape")}}) for each in described
        ]
        return parted(columns, self.data[name].values) if columns else {}
