"""NetCDF, one file a step: the time is in a coordinate, an attribute or the file's name; the grid in CF's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import SourceError

from ._hdf5 import plain
from ._header import Header, Packing, Wanted, Window, settled, spelled
from ._netcdf_grid import is_axis, located
from ._netcdf_time import bounds, loose_time, valid_time

_SCALES = (("scale_factor", 1.0), ("add_offset", 0.0))
# What the library fills cells with that nobody wrote; single bytes have none.
_DEFAULT_FILLS = {"i2": -32767.0, "i4": -2147483647.0, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36}


def header(path: Path, wanted: Wanted, *, source: str) -> Header:
    """The header of the variable. Raises `SourceError`."""
    with _opened(path) as data:
        name = _chosen(data, wanted.quantity, source)
        array = data[name]
        dims = [str(dim) for dim in array.dims if array.sizes[dim] > 1 or is_axis(array, str(dim))]
        if len(dims) != 2:
            raise SourceError(
                f"{name!r} of {source!r} is not a single field: {dict(array.sizes)!r}",
                allowed="one step a file, along two dims of space",
                advice="read a file with many steps by the dataset `array`",
            )
        units = wanted.units or spelled(str(array.attrs.get("units", "")))
        if not units:
            raise SourceError(
                f"{name!r} of {source!r} has no units",
                allowed="an attribute `units`",
                advice="give `units` in `declare`",
            )
        start, end = bounds(data)
        return Header(
            quantity=name,
            units=units,
            **located(data, array, dims, source),
            time=valid_time(data, wanted.time, source),
            fallback=loose_time(data),
            packing=settled(_packing(array), wanted, source=source),
            place="/".join([name, *dims]),
            seconds=None if start is None or end is None else float((end - start) / np.timedelta64(1, "s")),
            about={
                key: str(array.attrs[key])
                for key in ("standard_name", "long_name")
                if isinstance(array.attrs.get(key), str)
            },
        )


def raw(path: Path, header: Header, window: Window) -> NDArray[Any]:
    """Packed values of a window."""
    name, *dims = header.place.split("/")
    with _opened(path) as data:
        array = data[name].squeeze([dim for dim in data[name].dims if dim not in dims]).transpose(*dims)
        part: NDArray[Any] = np.asarray(array[window].values)
        unsigned = _unsigned(array)
    return part.astype(f"u{part.dtype.itemsize}") if unsigned else part


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    with path.open("rb") as file:
        engine: Any = "h5netcdf" if file.read(8).startswith(b"\x89HDF") else "scipy"
    # As it lies in the file: what the codes mean is decided once, for every format.
    with xr.open_dataset(
        path, engine=engine, mask_and_scale=False, decode_times=False, decode_coords=False, cache=False
    ) as data:
        yield data


def _chosen(data: xr.Dataset, quantity: str, source: str) -> str:
    if quantity in data.data_vars:
        return quantity
    fields = [str(key) for key, each in data.data_vars.items() if each.squeeze().ndim == 2 and not _beside(each)]
    found = [key for key in fields if quantity in ("", data[key].attrs.get("standard_name"))]
    if len(found) == 1:
        return found[0]
    raise SourceError(
        f"{source!r} holds {len(found)} fields for the quantity {quantity!r}",
        allowed=", ".join(f"{key} [{data[key].attrs.get('units', '')}]" for key in fields) or "a field on a grid",
        advice="name one in `quantity`",
    )


def _beside(array: xr.DataArray) -> bool:
    """Whether a field is a coordinate or no number."""
    names = ("lat", "lon", "latitude", "longitude")
    return (
        array.attrs.get("standard_name") in names or str(array.name).lower() in names or array.dtype.kind not in "iuf"
    )


def _unsigned(array: xr.DataArray) -> bool:
    """Whether signed integers stand for unsigned ones, which NetCDF 3 does not have."""
    return array.dtype.kind == "i" and str(array.attrs.get("_Unsigned", "")).lower() == "true"


def _packing(array: xr.DataArray) -> Packing:
    gain, offset = (float(plain(array.attrs.get(key, default))) for key, default in _SCALES)
    given = [plain(array.attrs[key]) for key in ("_FillValue", "missing_value") if key in array.attrs]
    codes = [float(each) for code in given for each in (code if isinstance(code, list) else [code])]
    if "_FillValue" not in array.attrs:
        codes += [
            _DEFAULT_FILLS[kind] for kind in [f"{array.dtype.kind}{array.dtype.itemsize}"] if kind in _DEFAULT_FILLS
        ]
    valid = _valid(array, gain, offset)
    if _unsigned(array):
        size = 1 << 8 * array.dtype.itemsize
        codes = [code % size for code in codes]
        valid = None if valid is None else (valid[0] % size, valid[1] % size)
    return Packing(gain, offset, nodata=tuple(dict.fromkeys(codes)), valid=valid)


def _valid(array: xr.DataArray, gain: float, offset: float) -> tuple[float, float] | None:
    """The valid range in packed values. CF gives it in their type; where the type differs it is of unpacked values."""
    both = array.attrs.get("valid_range")
    low, high = both if both is not None and np.size(both) == 2 else (None, None)
    low, high = array.attrs.get("valid_min", low), array.attrs.get("valid_max", high)
    if low is None and high is None:
        return None
    limits = [-np.inf if low is None else float(plain(low)), np.inf if high is None else float(plain(high))]
    unpacked = any(np.asarray(each).dtype.kind == "f" for each in (low, high) if each is not None)
    if unpacked and array.dtype.kind in "iu":
        limits = sorted((each - offset) / gain for each in limits)
    return limits[0], limits[1]
