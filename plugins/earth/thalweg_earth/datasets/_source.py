"""Opening a source: NetCDF of either format, zarr of either version, from a local path or an fsspec URL.

What is opened here is lazy (`xarray`'s own, not yet dask) and can be sent to another machine: a remote file is
remembered by its URL and fetched once per machine, into `THALWEG_CACHE` (by default a folder of the temporary one).
"""

from __future__ import annotations

import getpass
import json
import os
import tempfile
import uuid
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr
from thalweg.boundaries import opening
from thalweg.errors import SourceError
from thalweg.reasons import is_absent, line
from xarray.backends import BackendArray
from xarray.core import indexing

from ._fingerprint import digest, fingerprint_of, fingerprint_of_all, is_zarr, remote_marks
from ._reach import Options, fetch, filesystem, is_remote, local_path, require, unreachable

__all__ = [
    "Options",
    "filesystem",
    "fingerprint_of",
    "fingerprint_of_all",
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

    Raises `SourceError`.
    """
    if not is_remote(url):
        require(url)
        return local_path(url)
    name = digest(remote_marks(url, storage_options))
    folder = Path(os.environ.get("THALWEG_CACHE") or Path(tempfile.gettempdir()) / f"thalweg-{getpass.getuser()}")
    # Without the query, which may be signed.
    copy = folder / f"{name}-{url.partition('?')[0].rstrip('/').rpartition('/')[2][-80:]}"
    with _FETCHING[int(name[:8], 16) % len(_FETCHING)]:
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


def open_netcdf(
    url: str, *, storage_options: Options = None, decode_times: bool = True, engine: str | None = None
) -> xr.Dataset:
    """A NetCDF file, lazy, packed values unpacked; not dask-backed until it is chunked. Raises `SourceError`."""
    data = _opened(url, dict(storage_options or {}), decode_times, engine)
    if not is_remote(url):
        return data
    how = (url, dict(storage_options or {}), decode_times, engine)
    held = {name: _held(each.variable, str(name), how) for name, each in data.data_vars.items()}
    return data.assign(held)


def _opened(url: str, storage_options: dict[str, Any], decode_times: bool, engine: str | None) -> xr.Dataset:
    path = local_copy(url, storage_options)
    engine = engine or netcdf_engine(path)
    extra: dict[str, Any] = {"backend_kwargs": {"indexpath": ""}} if engine == "cfgrib" else {}
    try:
        return xr.open_dataset(path, engine=engine, chunks=None, cache=False, decode_times=decode_times, **extra)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"{url!r} cannot be read: {type(error).__name__}: {error}",
            allowed="a whole NetCDF file whose times can be decoded",
            advice="fetch it again, or open it with `decode_times: false`",
        ) from error


class _Held(BackendArray):  # type: ignore[misc, unused-ignore]
    """A variable of a remote file, remembered by its URL, so that another machine can read it."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], how: tuple[Any, ...]) -> None:
        self.name, self.shape, self.dtype, self.how = name, shape, dtype, how

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        with _opened(*self.how) as data:
            return data[self.name].variable[key].values


def _held(variable: xr.Variable, name: str, how: tuple[Any, ...]) -> xr.Variable:
    array = indexing.LazilyIndexedArray(_Held(name, variable.shape, variable.dtype, how))
    return xr.Variable(variable.dims, array, variable.attrs, variable.encoding)


def open_zarr(url: str, *, storage_options: Options = None, decode_times: bool = True) -> xr.Dataset:
    """A zarr store of version 2 or 3, lazy; not dask-backed until it is chunked. Raises `SourceError`."""
    system, path = filesystem(url, storage_options)
    root = path.rstrip("/")
    remote, options = opening(url, storage_options) if is_remote(url) else (str(local_path(url)), {})
    try:
        if system.exists(f"{root}/zarr.json"):
            consolidated = "consolidated_metadata" in json.loads(system.cat_file(f"{root}/zarr.json"))
        else:
            consolidated = bool(system.exists(f"{root}/.zmetadata"))
        data: xr.Dataset = xr.open_zarr(
            remote,
            chunks=None,
            consolidated=consolidated,
            decode_times=decode_times,
            storage_options=options or None,
        )
        return data
    except (OSError, ValueError, KeyError) as error:
        if is_remote(url) and not is_absent(error) and isinstance(error, OSError):
            raise unreachable(url, error) from error
        raise SourceError(
            f"{url!r} cannot be read as zarr: {line(error)}",
            allowed="a zarr group, version 2 or 3",
            advice="check that the store was written to its end",
        ) from error
