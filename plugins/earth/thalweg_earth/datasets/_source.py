"""Reaching a source: local paths and fsspec URLs, NetCDF of either format, zarr of either version.

What is opened here is lazy (`xarray`'s own, not yet dask) and can be sent to another machine: a remote file is
remembered by its URL and fetched once per machine, into `THALWEG_CACHE` (by default a folder of the temporary one).
"""

from __future__ import annotations

import difflib
import getpass
import hashlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import fsspec
import numpy as np
import xarray as xr
from thalweg.errors import SourceError
from xarray.backends import BackendArray
from xarray.core import indexing

MEBI = 1 << 20
ZARR_METADATA = ("zarr.json", ".zmetadata", ".zgroup", ".zarray", ".zattrs")

Options = Mapping[str, Any] | None


def is_remote(url: str) -> bool:
    """Whether `url` is anything but a local path."""
    return "://" in url and not url.startswith(("file://", "local://"))


def local_path(url: str) -> Path:
    """The path that a local `url` names."""
    return Path(url.removeprefix("file://").removeprefix("local://")).expanduser()


def filesystem(url: str, storage_options: Options = None) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the path in it."""
    system, path = fsspec.core.url_to_fs(url if is_remote(url) else str(local_path(url)), **dict(storage_options or {}))
    return system, str(path)


def require(url: str, storage_options: Options = None) -> None:
    """Raise `SourceError`, offering what lies beside it, unless `url` is there."""
    system, path = filesystem(url, storage_options)
    try:
        _info(system, path)
    except FileNotFoundError:
        pass
    except Exception as error:
        raise unreachable(url, error) from error
    else:
        return
    parent, _, name = path.rstrip("/").rpartition("/")
    try:
        beside = sorted(each.rstrip("/").rpartition("/")[2] for each in system.ls(parent or "/", detail=False))
    except Exception:
        beside = []
    near = difflib.get_close_matches(name, beside, n=3)
    offered = near or [each for each in beside if not each.startswith(".")][:5]
    raise SourceError(
        f"there is no {url!r}",
        allowed=f"in {parent or '/'!r}: {', '.join(offered)}"
        if offered
        else "a file, a folder or a URL that can be read",
        advice=f"did you mean {near[0]!r}?" if near else "check the path, or fetch the source first",
    )


def unreachable(url: str, error: BaseException) -> SourceError:
    """The error of a source that does not answer, or needs a driver that is not installed."""
    if isinstance(error, ImportError):
        return SourceError(
            f"{url!r} needs a driver: {error}",
            allowed="local paths, http(s), and every URL whose fsspec driver is installed",
            advice="for s3, install thalweg[s3]",
        )
    return SourceError(
        f"{url!r} cannot be read: {type(error).__name__}: {error}",
        allowed="a source that answers",
        advice="check the address, the network and `storage_options`, and try again",
    )


def fingerprint_of(url: str, storage_options: Options = None) -> str:
    """A text that changes when the source does; reads at most 2 MiB of a file, and a folder's listing and metadata."""
    require(url, storage_options)
    if is_remote(url):
        return _digest(_remote_marks(url, storage_options))
    path = local_path(url)
    return _digest(_folder_marks(path) if path.is_dir() else _file_marks(path))


def fingerprint_of_all(urls: Iterable[str], storage_options: Options = None) -> str:
    """The fingerprint of many files, which are known to be there; by size and time of change only."""
    from concurrent.futures import ThreadPoolExecutor

    def marks(url: str) -> list[str]:
        if is_remote(url):
            return _remote_marks(url, storage_options)
        status = local_path(url).stat()
        return [url, str(status.st_size), str(status.st_mtime_ns)]

    with ThreadPoolExecutor(8) as pool:
        return _digest(mark for each in pool.map(marks, urls) for mark in each)


def _digest(marks: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()


def _file_marks(path: Path) -> list[str]:
    status = path.stat()
    with path.open("rb") as file:
        head = file.read(MEBI)
        file.seek(max(0, status.st_size - MEBI))
        ends = hashlib.sha256(head + file.read(MEBI)).hexdigest()
    return [str(status.st_size), str(status.st_mtime_ns), ends]


def _folder_marks(path: Path) -> list[str]:
    marks = []
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        status = file.stat()
        marks += [file.relative_to(path).as_posix(), str(status.st_size), str(status.st_mtime_ns)]
        if file.name in ZARR_METADATA:
            marks.append(hashlib.sha256(file.read_bytes()).hexdigest())
    return marks


def _remote_marks(url: str, storage_options: Options) -> list[str]:
    system, path = filesystem(url, storage_options)
    try:
        info = _info(system, path)
        # http knows no folders; asking it for zarr's metadata is left out for what is clearly a file.
        folder = Path(path).suffix in ("", ".zarr") and is_zarr(url, storage_options)
        if info.get("type") == "directory" or folder:
            return [url, *_remote_zarr_marks(system, path)]
    except SourceError:
        raise
    except Exception as error:
        raise unreachable(url, error) from error
    names = ("size", "ETag", "etag", "Last-Modified", "LastModified", "Content-MD5", "md5Hash", "created", "mtime")
    marks = [f"{name}={info[name]}" for name in names if info.get(name) is not None]
    if len(marks) < 2:  # a size alone does not change with the values
        head = _patiently(lambda: system.cat_file(path, start=0, end=MEBI))
        marks.append(hashlib.sha256(head).hexdigest())
    return [url, *marks]


def _remote_zarr_marks(system: Any, path: str) -> list[str]:
    marks = []
    for name in ZARR_METADATA:
        try:
            marks += [name, hashlib.sha256(system.cat_file(f"{path.rstrip('/')}/{name}")).hexdigest()]
        except FileNotFoundError:
            continue
    try:
        found = system.find(path, detail=True)
    except (NotImplementedError, FileNotFoundError):
        found = {}  # http has no listing to rely on
    return marks + [
        f"{name} {info.get('size')} {info.get('ETag') or info.get('mtime')}" for name, info in found.items()
    ]


def _info(system: Any, path: str) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        try:
            return dict(system.info(path))
        except FileNotFoundError as error:
            cause = error.__cause__
            # fsspec calls every failure of http "not found", that of a server which is down or busy, too.
            if not type(cause).__module__.startswith("aiohttp") or getattr(cause, "status", 0) in (404, 410):
                raise
            raise ConnectionError(str(cause)) from cause

    return dict(_patiently(ask))


def _patiently(call: Any, *, tries: int = 3) -> Any:
    for attempt in range(tries):
        try:
            return call()
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            if attempt == tries - 1:
                raise
            time.sleep(0.2 * 4**attempt)
    return None


# One machine's threads ask for the same file at once: the first fetches it, the others wait.
_FETCHING = tuple(Lock() for _ in range(64))


def local_copy(url: str, storage_options: Options = None) -> Path:
    """A local file with the contents of `url`: the file itself, or a copy that is fetched once per machine and change.

    Raises `SourceError`.
    """
    if not is_remote(url):
        require(url)
        return local_path(url)
    name = _digest(_remote_marks(url, storage_options))
    folder = Path(os.environ.get("THALWEG_CACHE") or Path(tempfile.gettempdir()) / f"thalweg-{getpass.getuser()}")
    copy = folder / f"{name}-{url.rstrip('/').rpartition('/')[2][-80:]}"
    with _FETCHING[int(name[:8], 16) % len(_FETCHING)]:
        if not copy.exists():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{uuid.uuid4().hex}.part"
            system, path = filesystem(url, storage_options)
            try:
                _patiently(lambda: system.get_file(path, str(part)))
                part.replace(copy)
            except Exception as error:
                raise unreachable(url, error) from error
            finally:
                part.unlink(missing_ok=True)
    return copy


def is_zarr(url: str, storage_options: Options = None) -> bool:
    """Whether `url` is a zarr store, by what it holds."""
    if not is_remote(url):
        folder = local_path(url)
        return folder.is_dir() and any((folder / name).exists() for name in ZARR_METADATA)
    system, path = filesystem(url, storage_options)
    return any(system.exists(f"{path.rstrip('/')}/{name}") for name in ("zarr.json", ".zmetadata", ".zgroup"))


def netcdf_engine(path: Path) -> str:
    """xarray's engine for a file, by its first bytes. Raises `SourceError`."""
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
    try:
        if system.exists(f"{root}/zarr.json"):
            consolidated = "consolidated_metadata" in json.loads(system.cat_file(f"{root}/zarr.json"))
        else:
            consolidated = bool(system.exists(f"{root}/.zmetadata"))
        data: xr.Dataset = xr.open_zarr(
            url if is_remote(url) else str(local_path(url)),
            chunks=None,
            consolidated=consolidated,
            decode_times=decode_times,
            storage_options=dict(storage_options) if storage_options else None,
        )
        return data
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(
            f"{url!r} cannot be read as zarr: {type(error).__name__}: {error}",
            allowed="a zarr group, version 2 or 3",
            advice="check that the store was written to its end",
        ) from error
