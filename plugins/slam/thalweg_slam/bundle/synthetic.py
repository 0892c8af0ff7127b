"""Drives of a stereo camera, generated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from thalweg import Dataset

from .drive import Road, drive
from .layout import dataset


class SyntheticDrives(Dataset):
    """A stereo camera goes round a block more than once, past landmarks that it knows again.

    Bundles (see `bundle.layout`), one a seed, with the loops that two cameras `gap` apart close when they share points.
    Poses begin where noisy steps lead; all begin at the truth's first.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "drives": 3,
        "cameras": 24,
        "radius": 3.0,
        "landmarks": 400,
        "loops": 6,
        "gap": 15,
    }

    drives: PositiveInt = Field(8, description="number of samples")
    seed: NonNegativeInt = Field(0, description="seed of the first drive; each other drive has the next one")
    cameras: PositiveInt = Field(150, description="cameras of a drive, a step apart")
    radius: PositiveFloat = Field(20.0, description="radius of the block that is driven around, m")
    step: PositiveFloat = Field(1.0, description="distance from camera to camera, m")
    landmarks: PositiveInt = Field(1500, description="number of landmarks along a drive")
    noise: PositiveFloat = Field(0.5, description="standard deviation of a measurement, px")
    start_noise: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.02, 5e-3), description="standard deviations of the steps that the initial poses are composed of, m and rad"
    )
    loops: PositiveInt = Field(20, description="least number of points that two cameras share where a loop closes")
    gap: PositiveInt = Field(30, description="least number of cameras between the two ends of a loop")

    def open(self) -> xr.Dataset:
        # Not at the top: it loads numba.
        from .loops import loop_graph

        road = Road(**{name: getattr(self, name) for name in Road.__dataclass_fields__})
        made = [drive(self.seed + number, road) for number in range(self.drives)]
        bundles, truths = [each for each, _ in made], [truth for _, truth in made]
        return dataset(
            bundles,
            truths,
            first=[0] * self.drives,
            attrs={"title": "synthetic drives"},
            loops=[loop_graph(each, shared=self.loops, gap=self.gap) for each in bundles],
        )

    def fingerprint(self) -> str:
        return "generated"
