"""TAASRAD19: weather radar over Trentino."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import Dataset, SourceError

from ._source import fingerprint_of, open_netcdf

NEEDED = ("refl", "sequence", "event_start", "event_wet_fraction", "event_split")


class TAASRAD19(Dataset):
    """Radar frames of 64 x 64 cells of 3.75 km, every 5 min, and the starts of windows of 25 that do not overlap.

    `reflectivity(time, y, x)` uint8, units 1: dBZ = value x 52.5 / 255, so SEVIR's thresholds apply as they are.
    Coordinates: `sequence(time)` numbers the unbroken runs of frames; along `event`, `event_start` is the position of a
    window's first frame, `event_wet_fraction` its share of pixels at 15 dBZ or more, and `event_split` its period.
    Values below about 10 dBZ are clutter: score at 74 (15 dBZ) and above. Raises `SourceError`.
    """

    cite: ClassVar[str] = "10.1038/s41597-020-0574-8"
    example: ClassVar[Mapping[str, Any]] = {"path": "taasrad19_64_2015-10_2016-07.nc"}

    path: str = Field(description="file or URL of the source")
    minimum_wet_fraction: float = Field(0.0, ge=0, le=1, description="leave out events with a smaller wet fraction")
    frames_per_chunk: PositiveInt = Field(500, description="steps of a stored chunk")
    storage_options: dict[str, Any] = Field(
        {}, description="options of fsspec, if `path` is a URL: credentials, endpoint"
    )

    def open(self) -> xr.Dataset:
        data = open_netcdf(self.path, storage_options=self.storage_options)
        missing = [name for name in NEEDED if name not in data]
        if missing:
            raise SourceError(
                f"{self.path!r} has no {', '.join(map(repr, missing))}",
                allowed=f"a file with {', '.join(NEEDED)}",
                advice="use the 64 x 64 TAASRAD19 file with its events, or the dataset `array` for other radar files",
            )
        wet = data["event_wet_fraction"].values >= np.float32(self.minimum_wet_fraction)
        if not wet.any():
            raise SourceError(
                f"no event has a wet fraction of {self.minimum_wet_fraction!r}",
                allowed=f"up to {float(data['event_wet_fraction'].max()):.3f} in this file",
                advice="lower `minimum_wet_fraction`",
            )
        events = {name: data[name].load() for name in NEEDED if name.startswith("event_")}
        field = data["refl"].chunk({"time": self.frames_per_chunk, "y": -1, "x": -1})
        field.attrs = {
            "long_name": "maximum reflectivity on the vertical, 8-bit scale",
            "units": "1",
            "valid_range": [0, 255],
            "comment": "dBZ = reflectivity * 52.5 / 255; 0: no echo, or out of the radar's reach",
        }
        coords = {name: each[wet].assign_attrs(_ATTRS[name]) for name, each in events.items()}
        opened = xr.Dataset({"reflectivity": field}, {"sequence": data["sequence"].load(), **coords}, data.attrs)
        return opened.drop_encoding()

    def fingerprint(self) -> str:
        return fingerprint_of(self.path, self.storage_options)


_ATTRS: dict[str, dict[str, Any]] = {
    "event_start": {"long_name": "position along time of the event's first frame", "units": "1"},
    "event_wet_fraction": {"long_name": "share of pixels of 15 dBZ or more in the event's 25 frames", "units": "1"},
    "event_split": {
        "long_name": "period of the event",
        "flag_values": [0, 1],
        "flag_meanings": "until_june_2016 july_2016",
    },
}
