"""Tours of a robot through rooms, generated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from thalweg import Dataset, OptionError

from ..generate import Settings, size_of, tour
from ..layout import DIMS, dataset, fields, in_rows, packed
from ..poses import Array


class SyntheticTours(Dataset):
    """A robot drives between waypoints of a room, reckons its way, and recognises places where it has been.

    Pose graphs (see `layout`), one a seed. Steps are measured with white noise and a bias that a tour has in common;
    a pose is matched with earlier ones within reach, drawn from all of them. A tour is split into trajectories where a
    run of loops begins (to begin with, where the robot first recognises a place), and where one would be too long.
    """

    example: ClassVar[Mapping[str, Any]] = {"graphs": 4, "poses": (60, 60), "gap": 20, "matches": 1, "reach": 20.0}

    graphs: PositiveInt = Field(800, description="number of samples")
    seed: NonNegativeInt = Field(0, description="seed of the first graph; each other graph has the next one")
    dims: Literal[2, 3] = Field(3, description="dimensions of the space that poses lie in")
    poses: tuple[PositiveInt, PositiveInt] = Field(
        (163, 483), description="least and largest number of poses of a tour"
    )
    room: tuple[PositiveFloat, PositiveFloat] = Field((3.0, 8.0), description="least and largest side of the room, m")
    step: PositiveFloat = Field(0.05, description="distance from pose to pose, m")
    odometry_noise: tuple[PositiveFloat, PositiveFloat] = Field(
        (2e-3, 12e-3), description="standard deviations of the odometry of a step, m and rad"
    )
    bias: NonNegativeFloat = Field(
        6e-3, description="standard deviation of the constant drift of a tour's heading, rad per m"
    )
    reach: PositiveFloat = Field(3.0, description="distance within which a place is recognised, m")
    matches: PositiveInt = Field(6, description="largest number of earlier poses that a pose is matched with")
    gap: PositiveInt = Field(40, description="least number of poses between the ends of a loop")
    loop_noise: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.6e-3, 0.1e-3), description="standard deviations of a loop's measurement, m and rad"
    )
    shortest: PositiveInt = Field(10, description="least number of poses of a trajectory")
    longest: PositiveInt = Field(399, description="largest number of poses of a trajectory")
    chunk: PositiveInt = Field(50, description="graphs that are generated together")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        for name in ("poses", "room"):
            low, high = getattr(self, name)
            if low > high:
                raise OptionError(f"{name} = [{low}, {high}]", allowed="the smaller first")
        if self.shortest > self.longest:
            raise OptionError(f"shortest = {self.shortest}, longest = {self.longest}", allowed="the smaller first")
        if self.poses[0] <= self.gap:
            raise OptionError(
                f"tours of {self.poses[0]} poses, gap = {self.gap}",
                allowed="more poses than that",
                advice="make `gap` smaller",
            )
        return self

    def open(self) -> xr.Dataset:
        import dask.array as da
        from dask.delayed import delayed

        make = delayed(partial(_generate, part=self), pure=True)
        nodes, edges = np.array(_sizes(settings_of(self), self.seed, self.graphs)).T
        starts = range(0, self.graphs, self.chunk)
        made = [(slice(start, start + self.chunk), make(start)) for start in starts]
        parts: dict[str, list[Any]] = {name: [] for name in DIMS}
        for at, each in made:
            known = fields(int(nodes[at].sum()), int(edges[at].sum()), dims=self.dims)
            for name, (_, shape, kind) in known.items():
                parts[name].append(da.from_delayed(each[name], shape, dtype=kind))
        arrays = {name: da.concatenate(each) for name, each in parts.items()}
        return dataset(
            arrays,
            nodes=nodes,
            edges=edges,
            dims=self.dims,
            convention="log",
            attrs={"title": "synthetic tours"},
            chunk=self.chunk,
        )

    def fingerprint(self) -> str:
        return "generated"


@lru_cache(maxsize=4)
def _sizes(settings: Settings, seed: int, count: int) -> tuple[tuple[int, int], ...]:
    """Poses and edges of each tour."""
    return tuple(size_of(seed + i, settings) for i in range(count))


def settings_of(part: SyntheticTours) -> Settings:
    """What a tour is made with, but for its seed."""
    return Settings(
        **{name: getattr(part, name) for name in Settings.__dataclass_fields__ if name in type(part).model_fields}
    )


def _generate(start: int, *, part: SyntheticTours) -> dict[str, Array]:
    settings = settings_of(part)
    numbers = range(start, min(start + part.chunk, part.graphs))
    return in_rows([packed(tour(part.seed + i, settings)) for i in numbers])
