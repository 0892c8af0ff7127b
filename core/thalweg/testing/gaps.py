"""Fields with missing cells, and how exactly a law can be held: to the rounding of the sum that each row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..components import LinearLaw
from ..components.context import context_of
from ..components.grid import grid_of
from ..components.signature import Signature

EPS = float(np.finfo(np.float32).eps)

SAMPLES, INPUTS, TARGETS = 3, 2, 2

_SPHERE = {
    "latitude": ("latitude", np.arange(40.0, 80.0, 10.0), {"units": "degrees_north", "standard_name": "latitude"}),
    "longitude": ("longitude", np.arange(0.0, 80.0, 10.0), {"units": "degrees_east", "standard_name": "longitude"}),
}
_PLANE = {"y": ("y", np.arange(4) * 2e3, {"units": "m"}), "x": ("x", np.arange(8) * 1e3, {"units": "m"})}


@dataclass(frozen=True)
class Gaps:
    """Which cells `(row, column)` are missing: in all that is known (land), by sample, or in the estimate alone."""

    name: str
    land: tuple[tuple[int, int], ...] = ()
    by_sample: Mapping[int, tuple[tuple[int, int], ...]] | None = None
    own: tuple[tuple[int, int], ...] = ()
    sphere: bool = True


GAPS = (
    Gaps("plane", sphere=False),
    Gaps("sphere"),
    Gaps("land inside", land=((1, 3),)),
    Gaps("land on a face", land=((1, 3), (2, 0), (0, 5))),
    Gaps("gaps by sample", by_sample={0: ((1, 3),), 2: ((2, 0), (1, 4))}),
    Gaps("gaps of the estimate", own=((1, 3), (2, 0))),
)


@dataclass(frozen=True)
class Scene:
    """Three samples of a field of about 280 K, what a law may know of them, and the grid's static field `area`."""

    gaps: Gaps
    estimate: xr.Dataset
    context: xr.Dataset

    @property
    def grid(self) -> xr.Dataset:
        """That of the estimate."""
        return grid_of(self.estimate, self.context)

    @classmethod
    def of(cls, gaps: Gaps, *, seed: int = 0) -> Scene:
        """A scene with missing cells."""
        draw = np.random.default_rng(seed)
        axes: dict[str, Any] = _SPHERE if gaps.sphere else _PLANE
        sizes = tuple(len(values) for _, values, _ in axes.values())

        def field(first: int, count: int) -> xr.Dataset:
            values = (280 + 3 * draw.normal(size=(SAMPLES, count, *sizes))).astype(np.float32)
            for row, column in gaps.land:
                values[..., row, column] = np.nan
            for sample, cells in (gaps.by_sample or {}).items():
                for row, column in cells:
                    values[sample, :, row, column] = np.nan
            coords = {**axes, "lead": np.arange(first, first + count)}
            return xr.Dataset({"field": (("sample", "lead", *axes), values, {"units": "K"})}, coords)

        inputs, estimate = field(1 - INPUTS, INPUTS), field(1, TARGETS)
        for row, column in gaps.own:
            estimate["field"].values[..., row, column] = np.nan
        area = (tuple(axes), draw.uniform(1.0, 2.0, sizes), {"units": "m2"})
        wall = ("sample", (280 + draw.normal(size=SAMPLES)).astype(np.float32), {"units": "K"})
        context = context_of(inputs.assign(area=area, wall=wall), Signature.of(estimate))
        return cls(gaps, estimate, context)


def rounding(law: LinearLaw, fields: xr.Dataset, grid: xr.Dataset) -> np.ndarray[Any, Any]:
    r"""What rounding the values to single precision leaves of each row, `(row)`: $4 \epsilon \sum_i |g_i x_i|$.

    Of the largest field of all samples; cells that are missing weigh nothing.
    """
    rows = law.rows(grid)
    array = fields[rows.variable].transpose(..., *rows.dims)
    matrix = abs(rows.block({dim: slice(0, array.sizes[dim]) for dim in rows.dims}))
    flat = np.nan_to_num(np.abs(array.values.reshape(-1, matrix.shape[1]).astype(np.float64)))
    found: np.ndarray[Any, Any] = 4 * EPS * (matrix @ flat.T).max(axis=1)
    return found
