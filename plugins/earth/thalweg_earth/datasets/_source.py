"""Opening a source: NetCDF of either format, zarr of either version, from a local path or an fsspec URL.

What is opened here is lazy (`xarray`'s own, not yet dask) and can be sent to another machine: a remote file is
remembered by its URL and fetched once per machine, into `THALWEG_CACHE` (by default a folder of the temporary one).
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import struct
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr
from thalweg import SourceError, boundaries
from xarray.backends import BackendArray
from xarray.core import indexing

from ._compressed import compression, unpacked
from ._declared import decoded
from ._fingerprint import digest, fingerprint_of, fingerprint_of_all, fingerprint_of_each, is_zarr, remote_marks
from ._grib import open_grib
from ._reach import Options, fetch, filesystem, is_remote, local_path, require, unreachable

__all__ = [
    "Options",
    "fetched",
    "filesystem",
    "fingerprint_of",
    "fingerprint_of_all",
    "fingerprint_of_each",
    "is_remote",
    "is_zarr",
    "local_copy",
    "local_path",
    "netcdf_engine",
    "open_netcdf",
    "open_zarr",
    "require",
    "unreachable",
]

# One machine's threads ask for the same file at once: the first fetches it, the others wait.
_FETCHING = tuple(Lock() for _ in range(64))


def local_copy(url: str, storage_options: Options = None) -> Path:
    """A local file with the contents of `url`: the file itself, or a copy that is fetched once per machine and change.

    What is compressed is unpacked, into a copy as well. Raises `SourceError`.
    """
    if is_remote(url):
        name = digest(remote_marks(url, storage_options))
    else:
        require(url)
        path = local_path(url)
        if not path.is_file() or compression(path) is None:
            return path
        name = fingerprint_of(url)
    folder = Path(os.environ.get("THALWEG_CACHE") or Path(tempfile.gettempdir()) / f"thalweg-{getpass.getuser()}")
    with _FETCHING[int(name[:8], 16) % len(_FETCHING)]:
        file = _fetched(url, folder, name, storage_options) if is_remote(url) else local_path(url)
        return file if compression(file) is None else unpacked(file, into=folder, name=name)


def fetched(urls: Sequence[str], storage_options: Options = None) -> None:
    """Fetch what is remote, several at once. Raises `SourceError`."""
    from concurrent.futures import ThreadPoolExecutor

    away = [url for url in urls if is_remote(url) and not is_zarr(url, storage_options)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda url: local_copy(url, storage_options), away))


def _fetched(url: str, folder: Path, name: str, storage_options: Options) -> Path:
    # Without the query, which may be signed.
    copy = folder / f"{name}-{url.partition('?')[0].rstrip('/').rpartition('/')[2][-80:]}"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{uuid.uuid4().hex}.part"
        try:
            fetch(url, part, storage_options)
            part.replace(copy)
        finally:
            part.unlink(missing_ok=True)
    return copy


def netcdf_engine(path: Path) -> str:
    """xarray's engine for a file, by its first bytes. Raises `SourceError`."""
    if path.is_dir():
        raise SourceError(
            f"{str(path)!r} is a folder, and no zarr store", allowed="a file, or a zarr store", advice="give a file"
        )
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"\x89HDF"):
        return "h5netcdf"
    if magic[:4] in (b"CDF\x01", b"CDF\x02"):
        return "scipy"
    if magic.startswith(b"GRIB"):
        return "cfgrib"
    classic = magic.startswith(b"CDF")
    raise SourceError(
        f"{path.name!r} is not NetCDF: it begins with {magic!r}",
        allowed="NetCDF4/HDF5, NetCDF3 (classic, 64-bit offset), zarr, GRIB",
        advice="convert it with `nccopy -k netCDF-4`" if classic else "check that the download is complete",
    )


@dataclass(frozen=True)
class How:
    """What a reader is told beside the address."""

    storage_options: Mapping[str, Any] = field(default_factory=dict)
    decode_times: bool = True
    group: str = ""
    ignore: tuple[str, ...] = ()
    filter_by_keys: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def open_netcdf(url: str, *, storage_options: Options = None, decode_times: bool = True, **more: Any) -> xr.Dataset:
    """A NetCDF or GRIB file, lazy, values unpacked; not dask-backed until it is chunked. Raises `SourceError`.

    `more` are `group`, `ignore` (declarations that are not obeyed), `filter_by_keys` and `names` (of GRIB).
    """
    how = How(dict(storage_options or {}), decode_times, **more)
    data = _opened(url, how)
    if not is_remote(url) and compression(local_path(url)) is None:
        return data
    held = {name: _held(each.variable, str(name), url, how) for name, each in data.data_vars.items()}
    return data.assign(held)


def _opened(url: str, how: How) -> xr.Dataset:
    path = local_copy(url, how.storage_options)
    engine = netcdf_engine(path)
    if engine == "cfgrib":
        return open_grib(path, url=url, names=how.names, filter_by_keys=how.filter_by_keys)
    if how.group and engine != "h5netcdf":
        raise SourceError(
            f"{url!r} has no groups", allowed="a file of NetCDF-4 or HDF5, or a zarr store", advice="leave `group` out"
        )
    try:
        raw = _raw(path, engine, how.group)
        return decoded(raw, netcdf=True, decode_times=how.decode_times, ignore=how.ignore)
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        if how.group and (known := groups(path)) and how.group.strip("/") not in known:
            raise SourceError(
                f"{url!r} has no group {how.group!r}", allowed=", ".join(known), advice="name one of these in `group`"
            ) from error
        raise SourceError(
            f"{url!r} cannot be read: {type(error).__name__}: {error}",
            allowed="a whole NetCDF file whose times can be decoded",
            advice="fetch it again, or open it with `decode_times: false`",
        ) from error


def _raw(path: Path, engine: str, group: str) -> xr.Dataset:
    """A file as it is written; a group with the coordinates that lie in the groups around it."""
    plain: dict[str, Any] = {"decode_cf": False, "chunks": None, "cache": False, "engine": engine}
    if not group:
        return xr.open_dataset(path, **plain)
    parts = group.strip("/").split("/")
    data = xr.open_dataset(path, group="/".join(parts), **plain)
    for depth in range(len(parts) - 1, -1, -1):
        around = xr.open_dataset(path, group="/".join(parts[:depth]) or None, **plain)
        lent = [
            name
            for name, each in around.variables.items()
            if name not in data.variables
            and each.ndim
            and set(each.dims) <= set(data.dims)
            and (name in data.dims or each.attrs.get("standard_name") in ("latitude", "longitude"))
        ]
        data = data.assign({name: around.variables[name] for name in lent}).set_coords(lent)
    return data


def groups(path: Path) -> list[str]:
    """The groups of an HDF5 file."""
    import h5py

    found: list[str] = []
    if not h5py.is_hdf5(path):
        return found
    with h5py.File(path) as file:
        file.visititems(lambda name, each: found.append(name) if isinstance(each, h5py.Group) else None)
    return found


class _Held(BackendArray):  # type: ignore[misc, unused-ignore]
    """A variable of a remote file, remembered by its URL, so that another machine can read it."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], url: str, how: How) -> None:
        self.name, self.shape, self.dtype, self.url, self.how = name, shape, dtype, url, how

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        with _opened(self.url, self.how) as data:
            return data[self.name].variable[key].values


def _held(variable: xr.Variable, name: str, url: str, how: How) -> xr.Variable:
    array = indexing.LazilyIndexedArray(_Held(name, variable.shape, variable.dtype, url, how))
    return xr.Variable(variable.dims, array, variable.attrs, variable.encoding)


def open_zarr(url: str, *, storage_options: Options = None, decode_times: bool = True, **more: Any) -> xr.Dataset:
    """A zarr store of version 2 or 3, lazy; not dask-backed until it is chunked. Raises `SourceError`.

    `more` are `group` and `ignore`, as of `open_netcdf`.
    """
    how = How(dict(storage_options or {}), decode_times, **more)
    system, path = filesystem(url, storage_options)
    root = path.rstrip("/")
    remote, options = boundaries.opening(url, storage_options) if is_remote(url) else (str(local_path(url)), {})
    try:
        if system.exists(f"{root}/zarr.json"):
            consolidated = "consolidated_metadata" in json.loads(system.cat_file(f"{root}/zarr.json"))
        else:
            consolidated = bool(system.exists(f"{root}/.zmetadata"))
        told: dict[str, Any] = {"storage_options": options or None}
        plain: dict[str, Any] = {"group": how.group or None, "chunks": None, "decode_cf": False, **told}
        plain["consolidated"] = consolidated
        address = f"{remote.rstrip('/')}/{how.group}".rstrip("/")
        if not system.exists(f"{root}/zarr.json"):
            raw = _fills_of_two(xr.open_zarr(remote, **plain), address, told)
        else:
            raw = _with_fills_of_three(remote, address, plain, told)
        return decoded(raw, netcdf=False, decode_times=decode_times, ignore=how.ignore)
    except (OSError, ValueError, KeyError, OverflowError) as error:
        if is_remote(url) and not boundaries.is_absent(error) and isinstance(error, OSError):
            raise unreachable(url, error) from error
        raise SourceError(
            f"{url!r} cannot be read as zarr: {boundaries.line(error)}",
            allowed="a zarr group, version 2 or 3",
            advice="check that the store was written to its end",
        ) from error


def _with_fills_of_three(remote: str, address: str, plain: Mapping[str, Any], told: Mapping[str, Any]) -> xr.Dataset:
    """A store of version 3 with the `_FillValue` of its attributes, as xarray writes it (base64) or as a number."""
    import zarr

    try:
        raw: xr.Dataset = xr.open_zarr(remote, **plain)
    except TypeError:
        # xarray expects its own form of `_FillValue`. A store that masks by `fill_value` does not look at it.
        options = {name: plain[name] for name in ("group", "consolidated", "storage_options")}
        store = xr.backends.ZarrStore.open_group(remote, mode="r", use_zarr_fill_value_as_mask=True, **options)
        raw = xr.open_dataset(store, chunks=None, decode_cf=False)
        for name, array in zarr.open_group(address, mode="r", **told).arrays():
            attrs = raw.variables[name].attrs if name in raw.variables else {}
            attrs.pop("_FillValue", None)
            if (given := array.attrs.get("_FillValue")) is not None:
                coded = isinstance(given, str) and array.dtype.kind == "f"
                attrs["_FillValue"] = struct.unpack("<d", base64.standard_b64decode(str(given)))[0] if coded else given
    return raw


def _fills_of_two(raw: xr.Dataset, address: str, told: Mapping[str, Any]) -> xr.Dataset:
    """Without the `_FillValue` that xarray makes of every `fill_value` of zarr 2, where it is only the default of 0.

    An array that was made without a thought of missing values has 0; one that was written by xarray has the
    `_FillValue` that it was given, or null. A `_FillValue` among the attributes is obeyed before either.
    """
    import zarr

    held = zarr.open_group(address, mode="r", **told)
    for name, array in held.arrays():
        if name not in raw.variables:
            continue
        attrs = raw.variables[name].attrs
        if "_FillValue" in array.attrs:
            attrs["_FillValue"] = array.attrs["_FillValue"]
        elif array.fill_value is not None and not array.fill_value:
            attrs.pop("_FillValue", None)
    return raw
