"""Data as stages leave it: a group whose large arrays lie in chunks."""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from thalweg.stores.arrays import lay_out, put


def stored(data: xr.Dataset, folder: Path, **chunks: int) -> str:
    """The URL of a group of the data; `chunks` are the lengths of chunks by dim, whole where none is given."""
    url = str(folder / "data")
    large = {
        str(name): tuple(chunks.get(str(dim), array.sizes[dim]) for dim in array.dims)
        for name, array in data.data_vars.items()
        if array.ndim > 1
    }
    lay_out(url, data, large=large)
    for name in large:
        put(url, name, (slice(None),) * data[name].ndim, data[name].values)
    return url
