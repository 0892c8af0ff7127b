"""Values at points are known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from ..components import LinearLaw, Rows
from ..errors import HandshakeError
from ._matrix import MatrixRows, coordinate, space_of


class PointObservations(LinearLaw):
    """A variable is known at points, up to `noise`: (multi)linear interpolation to each point is its value.

    `values` are numbers, or the name of a variable in the context with one value per point along its last dim.
    Raises `HandshakeError` for points outside the grid, or not as many values as points.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "variable": "field",
        "points": [{"y": 1500.0, "x": 2000.0}, {"y": 4000.0, "x": 6500.0}],
        "values": [0.5, 0.6],
    }

    variable: str = Field(description="the field that the law is about")
    points: Annotated[
        tuple[Mapping[str, float], ...],
        Field(min_length=1, description="the points: the coordinates of each by dim, in the grid's units"),
    ]
    values: tuple[float, ...] | str = Field(
        description="values at the points, in the units of the variable; or the name of a variable of the "
        "context that holds them"
    )

    def rows(self, grid: xr.Dataset) -> Rows:
        from scipy.sparse import coo_array

        dims = space_of(grid[self.variable], tuple(self.points[0]), law="point-observations")
        sizes = {dim: grid.sizes[dim] for dim in dims}
        axes = {dim: coordinate(grid, dim, law="point-observations") for dim in dims}
        rows, cells, weights = [], [], []
        for row, point in enumerate(self.points):
            if set(point) != set(dims):
                raise HandshakeError(f"point {row} has {', '.join(point)}", allowed=", ".join(dims))
            corners = [_between(axes[dim], point[dim], dim) for dim in dims]
            for corner in product(*corners):
                rows.append(row)
                cells.append(int(np.ravel_multi_index([at for at, _ in corner], tuple(sizes.values()))))
                weights.append(float(np.prod([weight for _, weight in corner])))
        shape = len(self.points), int(np.prod(list(sizes.values())))
        matrix = coo_array((weights, (rows, cells)), shape=shape).tocsr()
        matrix.eliminate_zeros()
        return MatrixRows(self.variable, sizes=sizes, matrix=matrix, gaps="void")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        units = grid[self.variable].attrs.get("units", "1")
        if isinstance(self.values, str):
            if self.values not in context:
                raise HandshakeError(
                    f"point-observations needs {self.values!r}",
                    allowed=", ".join(map(str, context.data_vars)),
                    advice="name a variable that is known beforehand",
                )
            found = context[self.values]
            found = found.rename({found.dims[-1]: "row"}).reset_coords(drop=True)
            found = found.rename(target_lead="lead") if "target_lead" in found.dims else found
        else:
            found = xr.DataArray(np.array(self.values), dims="row")
        if found.sizes["row"] != len(self.points):
            raise HandshakeError(
                f"there are {found.sizes['row']} values for {len(self.points)} points", allowed="one value per point"
            )
        return found.astype("float64").assign_attrs(units=units)


def _between(axis: Any, at: float, dim: str) -> list[tuple[int, float]]:
    """The points before and after, and how much each counts."""
    order = np.argsort(axis)
    ordered = axis[order]
    if not ordered[0] <= at <= ordered[-1]:
        raise HandshakeError(
            f"a point at {dim} = {at:g} is outside the grid",
            allowed=f"{ordered[0]:g} to {ordered[-1]:g}",
            advice="leave the point out",
        )
    high = min(max(int(np.searchsorted(ordered, at)), 1), len(axis) - 1) if len(axis) > 1 else 0
    low = max(high - 1, 0)
    if high == low:
        return [(0, 1.0)]
    share = float((at - ordered[low]) / (ordered[high] - ordered[low]))
    return [(int(order[low]), 1.0 - share), (int(order[high]), share)]
