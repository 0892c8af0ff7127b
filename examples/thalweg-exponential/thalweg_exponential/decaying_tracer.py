"""A dataset whose law is known."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Dataset


class DecayingTracer(Dataset):
    r"""A tracer on a periodic plane, blown around while it decays, one step an hour.

    $c(t, y, x) = e^{-t/\tau} (1 + \tfrac12 \sin(k_x (x - ut)) \cos(k_y y))$ in ug m-3: the area mean is $e^{-t/\tau}$.
    """

    hours: int = Field(120, ge=24, description="length of the series, in hours")
    cells: int = Field(16, ge=4, description="grid cells along each side")
    lifetime: float = Field(40.0, gt=0, description="lifetime tau of the tracer, in hours")

    def open(self) -> xr.Dataset:
        hours, turn = np.arange(self.hours), 2 * np.pi * np.arange(self.cells) / self.cells
        blown = np.sin(turn - 0.1 * hours[:, None])[:, None, :] * np.cos(turn)[None, :, None]
        values = np.exp(-hours / self.lifetime)[:, None, None] * (1 + 0.5 * blown)
        data = xr.Dataset(
            {"concentration": (("time", "y", "x"), values.astype("float32"), {"units": "ug m-3"})},
            {
                "time": np.datetime64("2000-01-01", "ns") + hours * np.timedelta64(1, "h"),
                "y": ("y", np.arange(self.cells) * 1e3, {"units": "m", "axis": "Y"}),
                "x": ("x", np.arange(self.cells) * 1e3, {"units": "m", "axis": "X"}),
            },
        )
        return data.chunk(time=24)

    def fingerprint(self) -> str:
        return "a formula: the options say it all"
