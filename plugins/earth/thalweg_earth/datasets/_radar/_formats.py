"""Which format a file is, by its first bytes, and one error for whatever a reader stumbles over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from thalweg import SourceError, ThalwegError

from .._source import Options, local_copy
from . import geotiff, grib, knmi, netcdf, odim
from ._header import Header, Wanted, Window, unpack

Answer = TypeVar("Answer")


def read_header(url: str, wanted: Wanted, storage_options: Options = None) -> Header:
    """What a file says of the quantity. Raises `SourceError`, which names the file."""

    def read() -> Header:
        path = local_copy(url, storage_options)
        return _format(path, url).header(path, wanted, source=url)  # type: ignore[no-any-return]

    return _named(url, read)


def read_values(
    url: str, header: Header, window: Window, *, undetected: float, storage_options: Options = None
) -> NDArray[np.float32]:
    """Physical values of a window, float32. Raises `SourceError`, which names the file."""

    def read() -> NDArray[np.float32]:
        path = local_copy(url, storage_options)
        packed = _format(path, url).raw(path, header, window)
        return unpack(packed, header.packing, undetected=undetected)

    return _named(url, read)


def _format(path: Path, url: str) -> ModuleType:
    with path.open("rb") as file:
        first = file.read(8)
    if first.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5(path)
    if first.startswith((b"CDF\x01", b"CDF\x02")):
        return netcdf
    if first.startswith(b"GRIB"):
        return grib
    if first.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return geotiff
    raise SourceError(
        f"{url!r} is no radar file: it begins with {first!r}" if first else f"{url!r} is empty",
        allowed="HDF5 of ODIM or KNMI, NetCDF, GRIB, GeoTIFF; plain or compressed by gzip, bzip2, xz or zip",
        advice="name the files by a glob in `path`, or fetch this one again",
    )


def _hdf5(path: Path) -> ModuleType:
    import h5py

    with h5py.File(path, "r") as file:
        return odim if odim.is_odim(file) else knmi if knmi.is_knmi(file) else netcdf


def _named(url: str, read: Callable[[], Answer]) -> Answer:
    try:
        return read()
    except (ThalwegError, MemoryError):
        raise
    # Readers raise what their libraries do: OSError, KeyError, RuntimeError, and errors of their own.
    except Exception as error:
        says = " ".join(str(error).split())[:200]
        raise SourceError(
            f"{url!r} cannot be read: {type(error).__name__}: {says}",
            allowed="a whole file, as its service writes it",
            advice="fetch it again",
        ) from error
