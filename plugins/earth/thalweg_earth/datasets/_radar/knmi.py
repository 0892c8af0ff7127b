"""HDF5 of KNMI: images with a calibration formula, on a plane in km.

Roozekrans and Holleman, KNMI HDF5 Data Format Specification, v3.5.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from thalweg import SourceError

from .._projection import project, projection
from ._hdf5 import attribute, number
from ._header import Doubles, Header, Packing, Wanted, Window, settled, spelled

if TYPE_CHECKING:
    import h5py

_FORMULA = re.compile(r"GEO=([-+\d.eE]+)\*PV(?:\+?([-+]?[\d.eE+-]+))?$", re.IGNORECASE)

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def is_knmi(file: h5py.File) -> bool:
    """Whether an HDF5 file is one of KNMI, by its groups."""
    return "overview" in file and "geographic" in file


def header(path: Path, wanted: Wanted, *, source: str) -> Header:
    """The header of the image. Raises `SourceError`."""
    import h5py

    with h5py.File(path, "r") as file:
        name = _chosen(file, wanted.quantity, source)
        image, calibration, overview = file[name], _calibration(file, name), file["overview"]
        quantity, units = _parameter(image)
        units = wanted.units or units
        if not units:
            raise SourceError(
                f"{name} of {source!r} does not say its units",
                allowed="image_geo_parameter like 'ACCUMULATED_PRECIPITATION_[MM]'",
                advice="give `units` in `declare`",
            )
        rows, columns = (int(each) for each in image["image_data"].shape)
        crs, y, x = _grid(file["geographic"], rows, columns, source)
        start, end = (_moment(attribute(f"product_datetime_{each}", overview)) for each in ("start", "end"))
        adds_up = units in ("mm", "kg m-2")
        return Header(
            quantity=quantity,
            units=units,
            y=y,
            x=x,
            crs=crs,
            time=_moment(attribute("image_datetime_valid", image)) or end or start,
            packing=settled(_packing(calibration, source), wanted, source=source),
            place=f"{name}/image_data",
            seconds=float((end - start) / np.timedelta64(1, "s")) if adds_up and start and end else None,
            about={"product": str(attribute("image_product_name", image) or "")},
        )


def raw(path: Path, header: Header, window: Window) -> NDArray[Any]:
    """Packed values of a window."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file[header.place][window])


def _chosen(file: h5py.File, quantity: str, source: str) -> str:
    names = [str(name) for name in file if re.fullmatch(r"image\d+", name) and "image_data" in file[name]]
    names.sort(key=lambda name: int(name[5:]))
    known = {name: _parameter(file[name])[0] for name in names}
    found = [name for name in names if quantity in ("", name, known[name])]
    if len(found) == 1:
        return found[0]
    raise SourceError(
        f"{source!r} holds {len(found)} images for the quantity {quantity!r}" if names else f"{source!r} has no image",
        allowed=", ".join(f"{name} ({known[name]})" for name in names) or "a file with image1/image_data",
        advice="name one image in `quantity`" if names else "make a composite of the scans first",
    )


def _parameter(image: Any) -> tuple[str, str]:
    """What an image shows, and its units, from `ACCUMULATED_PRECIPITATION_[MM]`."""
    text = str(attribute("image_geo_parameter", image) or "")
    match = re.fullmatch(r"(.*?)_?\s*\[(.*)\]", text)
    return (match[1], spelled(match[2])) if match else (text, "")


def _calibration(file: h5py.File, name: str) -> Any:
    own = file[name].get("calibration")
    return file["image1"].get("calibration") if own is None and "image1" in file else own


def _packing(calibration: Any, source: str) -> Packing:
    formula = str(attribute("calibration_formulas", calibration) or "GEO=1*PV+0")
    match = _FORMULA.match("".join(formula.split()))
    try:
        gain, offset = (float(match[1]), float(match[2] or 0)) if match else (0.0, 0.0)
    except ValueError:
        gain = 0.0
    if not gain:
        raise SourceError(
            f"{source!r} is calibrated by {formula!r}",
            allowed="a line, like 'GEO=0.01*PV+0.0'",
            advice="convert the images to physical units first",
        )
    codes = (number(f"calibration_{each}", calibration) for each in ("missing_data", "out_of_image"))
    return Packing(gain, offset, nodata=tuple(dict.fromkeys(each for each in codes if each is not None)))


def _moment(text: Any) -> np.datetime64 | None:
    """A time like 26-AUG-2010;00:05:00.000."""
    if not text:
        return None
    day, month, year, clock = re.split(r"[-;]", str(text).strip().upper(), maxsplit=3)
    date = f"{year}-{_MONTHS.index(month) + 1:02d}-{int(day):02d}T{clock}"
    return np.datetime64(datetime.fromisoformat(date), "s")


def _grid(geographic: Any, rows: int, columns: int, source: str) -> tuple[str, Doubles, Doubles]:
    definition = attribute("projection_proj4_params", geographic.get("map_projection"))
    if not definition:
        raise SourceError(
            f"{source!r} has no `projection_proj4_params`", allowed="a PROJ string", advice="correct the file"
        )
    crs = projection(str(definition), source=source)
    unit = [1000.0 if each.strip().upper() == "KM" else 1.0 for each in _dims(geographic)]
    half = 0.0 if str(attribute("geo_pixel_def", geographic)).upper().startswith("C") else 0.5
    axes = []
    for axis, count, scale in (("x", columns, unit[0]), ("y", rows, unit[1])):
        name = "column" if axis == "x" else "row"
        offset = number(f"geo_{name}_offset", geographic) or 0.0
        size = number(f"geo_pixel_size_{axis}", geographic) or 1.0
        axes.append((offset + half + np.arange(count, dtype=np.float64)) * size * scale)
    x, y = axes
    _check_corners(crs, y, x, attribute("geo_product_corners", geographic), source)
    return crs, y, x


def _dims(geographic: Any) -> list[str]:
    given = str(attribute("geo_dim_pixel", geographic) or "KM,KM").split(",")
    return given * 2 if len(given) == 1 else given


def _check_corners(crs: str, y: Doubles, x: Doubles, corners: Any, source: str) -> None:
    """Refuse offsets that disagree with the corners (lower left, upper left, upper right, lower right) by 2 cells."""
    if not isinstance(corners, list) or len(corners) != 8 or y.size < 2 or x.size < 2:
        return
    at_x, at_y = project(crs, np.array(corners[::2]), np.array(corners[1::2]))
    step = 2 * max(abs(x[1] - x[0]), abs(y[1] - y[0]))
    off = max(
        abs(at_x.min() - x.min()), abs(at_x.max() - x.max()), abs(at_y.min() - y.min()), abs(at_y.max() - y.max())
    )
    if not off <= step:
        raise SourceError(
            f"the corners of {source!r} lie {off / 1000:.1f} km from where its offsets put them",
            allowed="geo_row_offset and geo_column_offset that fit geo_product_corners",
            advice="correct the file",
        )
