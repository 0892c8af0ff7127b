"""GeoTIFF through rasterio: fields whose scale is GDAL's, or in items of the metadata as FMI writes them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thalweg import OptionError, SourceError

from .._libraries import own_symbols
from .._projection import metres, projection
from ._header import Header, Packing, Wanted, Window, settled, spelled
from ._times import in_text


def header(path: Path, wanted: Wanted, *, source: str) -> Header:
    """The header of the band. Raises `SourceError`, and `OptionError` without rasterio."""
    if find_spec("rasterio") is None:
        raise OptionError(
            f"{source!r} is GeoTIFF, which needs a reader that is not installed",
            allowed="HDF5 and NetCDF, without extras",
            advice="install thalweg[geotiff]",
        )
    with _opened(path) as file:
        band = _band(file, wanted.quantity, source)
        items, units = _items(file, band)
        if file.crs is None or file.transform.b or file.transform.d:
            raise SourceError(
                f"{source!r} has no projection, or a grid that is turned",
                allowed="a GeoTIFF with its projection, rows from west to east",
                advice="write it with its georeference, or warp it",
            )
        crs = projection(file.crs.to_wkt(), source=source)
        units = wanted.units or units
        if not units:
            raise SourceError(
                f"{source!r} does not say the units of band {band}",
                allowed="GDAL's unit type, or an item of the metadata with a `unit`",
                advice="give `units` in `declare`",
            )
        east, north = file.transform.a, file.transform.e
        return Header(
            quantity=_name(file, band, items),
            units=units,
            y=(file.transform.f + (np.arange(file.height) + 0.5) * north) * metres(crs),
            x=(file.transform.c + (np.arange(file.width) + 0.5) * east) * metres(crs),
            crs=crs,
            time=_time(items),
            packing=settled(_packing(file, band, items), wanted, source=source),
            place=f"band {band}",
        )


def raw(path: Path, header: Header, window: Window) -> NDArray[Any]:
    """Packed values of a window."""
    with _opened(path) as file:
        rows, columns = ((each.start, each.stop) for each in window)
        band: NDArray[Any] = file.read(int(header.place.rpartition(" ")[2]), window=(rows, columns))
        return band


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with own_symbols():
        import rasterio
    with rasterio.open(path, driver="GTiff") as file:
        yield file


def _items(file: Any, band: int) -> tuple[dict[str, str], str]:
    """Items of the metadata by name in lower case, and the units that one of them, or GDAL, gives."""
    tags = {str(key): str(value) for key, value in (file.tags() | file.tags(band)).items()}
    units = file.units[band - 1] or ""
    items = {key.lower(): value for key, value in tags.items() if key != "GDAL_METADATA"}
    # GDAL leaves items with attributes that it does not know as they are.
    text = tags.get("GDAL_METADATA", "").strip("\0 \n")
    for item in ElementTree.fromstring(text) if text else ():
        items[str(item.get("name", "")).lower()] = item.text or ""
        units = units or str(item.get("unit") or "")
    units = units or next((items[key] for key in ("units", "unit", "unittype") if key in items), "")
    return items, spelled(units) if units else ""


def _name(file: Any, band: int, items: dict[str, str]) -> str:
    return str(file.descriptions[band - 1] or items.get("quantity") or f"band {band}")


def _band(file: Any, quantity: str, source: str) -> int:
    names = {band: _name(file, band, _items(file, band)[0]) for band in range(1, file.count + 1)}
    found = [band for band, name in names.items() if quantity in ("", name, str(band), f"band {band}")]
    if len(found) == 1:
        return found[0]
    raise SourceError(
        f"{source!r} holds {len(found)} bands for the quantity {quantity!r}",
        allowed=", ".join(names.values()),
        advice="name one band in `quantity`",
    )


def _packing(file: Any, band: int, items: dict[str, str]) -> Packing:
    def item(*names: str) -> float | None:
        text = next((items[name] for name in names if name in items), None)
        return None if text is None else float(text)

    gain, offset = file.scales[band - 1], file.offsets[band - 1]
    if (gain, offset) == (1.0, 0.0):
        given = item("gain", "scale", "scale_factor"), item("offset", "add_offset")
        gain, offset = (own if new is None else new for own, new in zip((gain, offset), given, strict=True))
    nodata = [file.nodatavals[band - 1], item("nodata", "_fillvalue", "missing_value")]
    undetect = item("undetect")
    return Packing(
        float(gain),
        float(offset),
        nodata=tuple(dict.fromkeys(float(each) for each in nodata if each is not None)),
        undetect=() if undetect is None else (undetect,),
    )


def _time(items: dict[str, str]) -> np.datetime64 | None:
    """Of the item that says when: `Observation time` of FMI, `valid_time`, or the tag of TIFF."""
    says = [key for key in items if re.search(r"time|date", key) and not re.search(r"tiff|creat|process", key)]
    found = {time for key in says for time in in_text(items[key])}
    return found.pop() if len(found) == 1 else None
