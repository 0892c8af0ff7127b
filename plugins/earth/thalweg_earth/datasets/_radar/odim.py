"""ODIM HDF5: composites and images of OPERA and the national services.

Michelson et al., EUMETNET OPERA weather radar information model for implementation with the HDF5 file format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from thalweg import SourceError

from .._projection import is_geographic, metres, project, projection
from ._hdf5 import attribute, number
from ._header import Doubles, Header, Packing, Wanted, Window, settled, spelled

if TYPE_CHECKING:
    import h5py

_UNITS = {
    **dict.fromkeys(("TH", "TV", "DBZ", "DBZH", "DBZV", "TX", "DBZX", "ET_DBZ"), "dBZ"),
    **dict.fromkeys(("ZDR", "UZDR", "SNR", "SNRH", "SNRV", "SQI_DB"), "dB"),
    **dict.fromkeys(("QIND", "RHOHV", "URHOHV", "SQI", "SQIH", "SQIV", "CLASS", "BRDR", "BLOCK", "CCOR"), "1"),
    **dict.fromkeys(("VRAD", "VRADH", "VRADV", "VRADDH", "WRAD", "WRADH", "WRADV"), "m s-1"),
    "RATE": "mm h-1",
    "ACRR": "mm",
    "VIL": "kg m-2",
    "LWE": "mm",
    "HGHT": "km",
    "MESH": "mm",
    "PHIDP": "degree",
    "KDP": "degree km-1",
    "POR": "1",
    "POH": "1",
    "PROB": "1",
}
_QUALITY = ("QIND",)
_CORNERS = {"LL": (0, 0), "LR": (1, 0), "UL": (0, 1), "UR": (1, 1)}


@dataclass(frozen=True)
class _Field:
    """One `data` array, and the groups above it, the nearest first."""

    place: str
    data: Any
    above: tuple[Any, ...]

    def groups(self, name: str) -> tuple[Any, ...]:
        """The groups `what`, `where` or `how` that speak for this field: the nearest says it."""
        return tuple(each[name] for each in self.above if name in each)

    @property
    def quantity(self) -> str:
        return str(attribute("quantity", *self.groups("what")) or "")


def is_odim(file: h5py.File) -> bool:
    """Whether an HDF5 file is ODIM, by what it says or, failing that, by its groups."""
    says = str(attribute("Conventions", file) or "").upper()
    return says.startswith("ODIM") or ("what" in file and any(re.fullmatch(r"dataset\d+", name) for name in file))


def header(path: Path, wanted: Wanted, *, source: str) -> Header:
    """The header of the quantity. Raises `SourceError`."""
    import h5py

    with h5py.File(path, "r") as file:
        field = _chosen(file, wanted.quantity, source)
        crs, y, x = _grid(field, source)
        start, end = _moment("startdate", "starttime", field), _moment("enddate", "endtime", field)
        nominal = _moment("date", "time", field)
        units = wanted.units or _units(field, source)
        adds_up = units in ("mm", "kg m-2") and field.quantity == "ACRR"
        return Header(
            quantity=field.quantity,
            units=units,
            y=y,
            x=x,
            crs=crs,
            # What adds up is valid at its end; an image at its nominal time.
            time=next((each for each in ((end, nominal) if adds_up else (nominal, end, start)) if each), None),
            packing=settled(_packing(field), wanted, source=source),
            place=field.place,
            seconds=float((end - start) / np.timedelta64(1, "s")) if adds_up and start and end else None,
            about={"origin": str(attribute("source", *field.groups("what")) or "")},
        )


def raw(path: Path, header: Header, window: Window) -> NDArray[Any]:
    """Packed values of a window."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file[header.place][window])


def _fields(file: h5py.File) -> Iterator[_Field]:
    for name in _numbered(file, "dataset"):
        dataset = file[name]
        for inner in _numbered(dataset, "data"):
            if "data" in dataset[inner]:
                yield _Field(f"{name}/{inner}/data", dataset[inner]["data"], (dataset[inner], dataset, file))
        # Some services write the array straight into the dataset.
        if "data" in dataset and hasattr(dataset["data"], "shape"):
            yield _Field(f"{name}/data", dataset["data"], (dataset, file))


def _numbered(group: Any, stem: str) -> list[str]:
    found = [name for name in group if re.fullmatch(rf"{stem}\d+", name)]
    return sorted(found, key=lambda name: int(name[len(stem) :]))


def _chosen(file: h5py.File, quantity: str, source: str) -> _Field:
    kind = str(attribute("object", *([file["what"]] if "what" in file else [])) or "")
    fields = list(_fields(file))
    there = ", ".join(f"{each.quantity or '(no quantity)'} ({each.place})" for each in fields) or "no field"
    if kind in ("PVOL", "SCAN", "RAY", "AZIM", "ELEV", "VP", "XSEC", "RHI", "PIC"):
        raise SourceError(
            f"{source!r} is {kind} of ODIM, which is not on a map",
            allowed="objects COMP, IMAGE and CVOL",
            advice="make a composite of it first",
        )
    if quantity:
        path = quantity.strip("/").removesuffix("/data")
        found = [each for each in fields if quantity == each.quantity or each.place.removesuffix("/data") == path]
    else:
        found = [each for each in fields if each.quantity not in _QUALITY] or fields
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            f"{source!r} holds no quantity {quantity!r}" if quantity else f"{source!r} holds no field of ODIM",
            allowed=there,
            advice="name one of these in `quantity`" if fields else "check that the file is whole",
        )
    names = [each.quantity for each in found]
    alike = len(set(names)) < len(names)
    raise SourceError(
        f"{source!r} holds {len(found)} fields{f' of {names[0]!r}' if alike else ''}, and `quantity` is {quantity!r}",
        allowed=there,
        advice="name one of these in `quantity`" + (", by its place" if alike else ""),
    )


def _units(field: _Field, source: str) -> str:
    declared = attribute("units", *field.groups("what")[:1], field.data)
    units = _UNITS.get(field.quantity) or (spelled(str(declared)) if declared else "")
    if units:
        return units
    raise SourceError(
        f"the units of {field.quantity!r} in {source!r} are not known",
        allowed=f"quantities of ODIM: {', '.join(_UNITS)}",
        advice="give `units` in `declare`",
    )


def _packing(field: _Field) -> Packing:
    what = field.groups("what")
    gain, offset = number("gain", *what), number("offset", *what)
    nodata, undetect = number("nodata", *what), number("undetect", *what)
    return Packing(
        gain=1.0 if gain is None else gain,
        offset=0.0 if offset is None else offset,
        nodata=() if nodata is None else (nodata,),
        undetect=() if undetect is None else (undetect,),
    )


def _moment(date: str, time: str, field: _Field) -> np.datetime64 | None:
    what = field.groups("what")
    day, clock = attribute(date, *what), attribute(time, *what)
    if day in (None, "") or clock in (None, ""):
        return None
    digits, hours = re.sub(r"\D", "", str(day)), re.sub(r"\D", "", str(clock).split(".")[0])
    # HHMMSS by the standard; HHMM is met with as text, and numbers have lost their zeros.
    hours = hours.zfill(6) if not isinstance(clock, str) else hours.ljust(6, "0")
    text = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{hours[:2]}:{hours[2:4]}:{hours[4:6]}"
    return np.datetime64(text, "s")


def _grid(field: _Field, source: str) -> tuple[str | None, Doubles, Doubles]:
    where = field.groups("where")
    rows, columns = (int(each) for each in field.data.shape[-2:])
    for name, size in (("ysize", rows), ("xsize", columns)):
        said = number(name, *where)
        if said is not None and int(said) != size:
            raise SourceError(
                f"{source!r} declares {name} {int(said)}, but {field.place} is {rows} x {columns}",
                allowed="a file whose header fits its values",
                advice="fetch the file again",
            )
    definition = attribute("projdef", *where)
    if not definition:
        raise SourceError(
            f"{source!r} has no `projdef` in `where`", allowed="a composite on a map", advice="make a composite first"
        )
    crs = projection(str(definition), source=source)
    (left, right), (bottom, top) = _edges(crs, where, source)
    step_x, first_x = _axis("xscale", columns, left, right, crs, where, source)
    step_y, first_y = _axis("yscale", rows, bottom, top, crs, where, source)
    # The first row is the northernmost.
    y = first_y + step_y * np.arange(rows, dtype=np.float64)[::-1]
    return crs, y, first_x + step_x * np.arange(columns, dtype=np.float64)


def _edges(crs: str, where: Any, source: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Left and right, bottom and top of the image, from the corners that the file gives."""
    sides: tuple[tuple[list[float], list[float]], ...] = (([], []), ([], []))
    for name, ends in _CORNERS.items():
        longitude, latitude = number(f"{name}_lon", *where), number(f"{name}_lat", *where)
        if longitude is not None and latitude is not None:
            at = project(crs, longitude, latitude)
            for side, end, value in zip(sides, ends, at, strict=True):
                side[end].append(float(value))
    if not all(each and np.isfinite(each).all() for side in sides for each in side):
        raise SourceError(
            f"{source!r} does not give the corners of its grid in `where`",
            allowed="LL_lon, LL_lat, UR_lon, UR_lat (or UL and LR) inside the projection",
            advice="correct the file",
        )
    (left, right), (bottom, top) = (tuple(float(np.mean(each)) for each in side) for side in sides)
    if is_geographic(crs) and right < left:
        right += 360.0
    return (left, right), (bottom, top)


def _axis(name: str, count: int, first: float, last: float, crs: str, where: Any, source: str) -> tuple[float, float]:
    """Step between cells and the centre of the first: corners are the outer edges or, in old files, the centres."""
    length = last - first
    said = number(name, *where)
    if said is None:
        return length / count, first + length / count / 2
    # Scales are in metres by the standard; planes in km, and degrees, are met with either.
    for scale in (said, said * metres(crs)):
        for cells, start in ((count, 0.5), (count - 1, 0.0)):
            if abs(length - cells * scale) <= 0.5 * abs(scale):
                step = length / cells
                return step, first + start * step
    if is_geographic(crs):
        return length / count, first + length / count / 2
    raise SourceError(
        f"the corners of {source!r} are {length:.6g} m apart, but {name} {said!r} times {count} cells is "
        f"{said * count:.6g}",
        allowed="corners that fit the scale",
        advice="correct `where` in the file",
    )
