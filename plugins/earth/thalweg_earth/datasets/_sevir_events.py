"""What `sevir` and `sevir-lr` share: a catalogue and a tree of HDF5 files as one lazy dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from thalweg import SourceError

from ._sevir_catalog import PLACE, catalog_url, choose_events, read_catalog
from ._sevir_files import Array, EventFiles
from ._source import Options, fingerprint_of

if TYPE_CHECKING:
    import pandas as pd

SPLIT: dict[str, tuple[str | None, str | None]] = {
    "train": (None, "2019-01-01"),
    "validate": ("2019-01-01", "2019-06-01"),
    "test": ("2019-06-01", None),
}
"""The published periods of `time_utc`: `start < time_utc <= end`."""

SIDE = 384.0  # km, of every image
ATTRS: dict[str, dict[str, Any]] = {
    "vil": {"long_name": "vertically integrated liquid, 8-bit scale", "valid_range": [0, 255]},
    "vis": {"long_name": "visible reflectance (0.64 um), packed", "comment": "reflectance = vis / 10000"},
    "ir069": {"long_name": "infrared brightness temperature (6.9 um), packed", "comment": "degC = ir069 / 100"},
    "ir107": {"long_name": "infrared brightness temperature (10.7 um), packed", "comment": "degC = ir107 / 100"},
    "lght": {"long_name": "lightning flashes from this frame to the next"},
}


def event_files(events: pd.DataFrame, image_type: str, root: str, storage_options: Options) -> EventFiles:
    """Where each event's images of one type lie."""
    rows = _rows(events, image_type)
    return EventFiles(
        key=image_type,
        files=tuple(f"{root.rstrip('/')}/data/{name}" for name in rows["file_name"]),
        places=tuple(rows.index if image_type == "lght" else map(int, rows["file_index"])),
        storage_options=storage_options or None,
    )


def open_events(
    root: str,
    image_types: Sequence[str],
    *,
    frames: int,
    chunk: int,
    pattern: str,
    storage_options: Options,
    finish: Callable[[Array], Array] | None = None,
    finished: Callable[[tuple[int, int, int]], tuple[int, int, int]] | None = None,
) -> xr.Dataset:
    """`TYPE(event, frame, y, x)` of the events that the catalogue gives for all types.

    `finish` reduces an event once it is read, `finished` its shape. The first type lies on `(y, x)`; one of another
    size on `(y_SIZE, x_SIZE)`. Raises `SourceError` unless each event has `frames` frames in the file.
    """
    events = choose_events(read_catalog(catalog_url(root), storage_options), image_types, files=pattern)
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]] = {}
    coords = _coordinates(_rows(events, image_types[0]))
    size = 0
    for image_type in image_types:
        source = event_files(events, image_type, root, storage_options)
        source.require()
        shape, dtype = source.layout()
        if shape[-1] != frames:
            raise SourceError(
                f"{source.files[0]!r} has {shape[-1]} frames to an event",
                allowed=f"{frames} frames: SEVIR has 49, SEVIR-LR 25",
                advice="use the dataset `sevir` for SEVIR and `sevir-lr` for SEVIR-LR",
            )
        shape = finished(shape) if finished else shape
        size = size or shape[0]
        suffix = "" if shape[0] == size else f"_{shape[0]}"
        dims = ("event", "frame", f"y{suffix}", f"x{suffix}")
        array = source.frames(chunk, finish=finish, shape=shape, dtype=dtype)
        variables[image_type] = (dims, array, {"units": "1", **ATTRS.get(image_type, {})})
        for axis, cells in zip(dims[2:], shape[:2], strict=True):
            centres = (np.arange(cells) + 0.5) * (SIDE / cells)
            coords[axis] = (axis, centres, {"units": "km", "long_name": "distance from the image's first edge"})
        step = 240 // (shape[-1] - 1)
        # "min", because xarray takes whole "minutes" for a timedelta.
        attrs = {"units": "min", "long_name": "nominal time after the event's"}
        coords["frame"] = ("frame", np.arange(shape[-1], dtype=np.int16) * np.int16(step) - np.int16(120), attrs)
    return xr.Dataset(variables, coords, {"title": "SEVIR", "source": root})


def fingerprint_events(root: str, image_types: Sequence[str], *, pattern: str, storage_options: Options) -> str:
    """Changes when the catalogue or a file that it names for these types does."""
    catalog = read_catalog(catalog_url(root), storage_options)
    events = choose_events(catalog, image_types, files=pattern)
    marks = [fingerprint_of(catalog_url(root), storage_options)]
    for image_type in image_types:
        source = event_files(events, image_type, root, storage_options)
        source.require()
        marks.append(source.fingerprint())
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()


def _rows(events: pd.DataFrame, image_type: str) -> pd.DataFrame:
    return events[events.index.get_level_values("img_type") == image_type].droplevel("img_type")


def _coordinates(rows: pd.DataFrame) -> dict[str, Any]:
    # Text as objects: fixed-width text has no specification in zarr v3.
    coords: dict[str, Any] = {
        "id": ("event", rows.index.to_numpy(dtype=object), {"long_name": "SEVIR's name of the event"}),
        "time_utc": ("event", rows["time_utc"].to_numpy("datetime64[ns]"), {"long_name": "time of the event, UTC"}),
    }
    if "event_type" in rows:
        kinds = rows["event_type"].fillna("").to_numpy(dtype=object)
        coords["event_type"] = ("event", kinds, {"long_name": "kind of storm; empty for a random event"})
    if "minute_offsets" in rows:
        first = rows["minute_offsets"].str.partition(":")[0].astype("float64").fillna(-120.0)
        attrs = {"units": "min", "long_name": "how much later than its nominal time each frame was taken"}
        coords["frame_delay"] = ("event", (first + 120).to_numpy("int16"), attrs)
    for name in PLACE:
        if name in rows:
            corner = "lower left" if name.startswith("ll") else "upper right"
            axis = "latitude" if name.endswith("lat") else "longitude"
            attrs = {"units": "degrees_north" if axis == "latitude" else "degrees_east"}
            coords[name] = ("event", rows[name].to_numpy("float64"), {**attrs, "long_name": f"{axis}, {corner} corner"})
    return coords
