"""What the laws of boundaries share: the sides that they hold, and what is known there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..components import FaceLaw, Line
from ..errors import HandshakeError, OptionError
from ._expressions import evaluated, fields_of
from ._known import INPUTS, Target, given_by
from ._matrix import coordinate

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


class BoundaryLaw(FaceLaw):
    """A line of weights at one end of a dim or both, and what it gives there."""

    slopes: ClassVar[bool] = False
    """Whether targets are in the units of the variable over those of the coordinate."""

    side: Literal["left", "right", "both"] = Field(
        "both",
        description="end of the dim: its first point, its last, or both; not read where `target` names its sides",
    )
    target: Annotated[
        Target | dict[Side, Target],
        Field(
            union_mode="left_to_right",
            description="what the line gives at the face: a number; `last-input` or `mean-input`: what it gives of the "
            "last input or of all; or an expression of names in the context, of which the cell at the face counts and "
            "the last step. One for all sides, or one for each, `{left: 0.0, right: wall}`",
        ),
    ] = 0.0

    @property
    def sides(self) -> tuple[Side, ...]:
        """The ends that it holds."""
        if isinstance(self.target, Mapping):
            return tuple(side for side in SIDES if side in self.target)
        return tuple(side for side in SIDES if self.side in (side, "both"))

    @model_validator(mode="after")
    def _holds_a_side(self) -> Self:
        if not self.sides:
            raise OptionError(
                "`target` names no side", allowed="left, right, or both", advice="give one of them a value"
            )
        return self

    @abstractmethod
    def line(self, grid: xr.Dataset, side: Side) -> Sequence[float]:
        """Weights of the cells nearest to the face, outermost first; `inwards` has their coordinates."""

    @final
    def lines(self, grid: xr.Dataset) -> tuple[Line, ...]:
        return tuple(Line(side, tuple(map(float, self.line(grid, side)))) for side in self.sides)

    def reads(self) -> tuple[str, ...]:
        found = [
            self.variable if each in INPUTS else fields_of(each) for each in self._targets() if isinstance(each, str)
        ]
        return tuple(dict.fromkeys(name for each in found for name in ((each,) if isinstance(each, str) else each)))

    def _targets(self) -> tuple[float | str, ...]:
        if isinstance(self.target, Mapping):
            return tuple(self.target[side] for side in self.sides)
        return (self.target,) * len(self.sides)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        rows = self.rows(grid)

        def given(field: xr.DataArray) -> xr.DataArray:
            return given_by(rows, field, law=self.name)

        found = []
        for number, (side, target) in enumerate(zip(self.sides, self._targets(), strict=True)):
            if target in INPUTS:
                series = given(context[self.variable])
                if "lead" in series.dims:
                    series = series.isel(lead=-1) if target == "last-input" else series.mean("lead")
                one = series.isel(row=number)
            elif isinstance(target, str):
                made = evaluated(target, context, functions={"row": given})
                one = self._at_face(made, side, number) if isinstance(made, xr.DataArray) else xr.DataArray(made)
            else:
                one = xr.DataArray(float(target))
            found.append(one.reset_coords(drop=True).drop_vars(list(one.coords), errors="ignore"))
        whole = xr.concat(xr.broadcast(*found), "row").transpose(..., "row")
        return whole.astype("float64").assign_attrs(units=self._units(grid))

    def _units(self, grid: xr.Dataset) -> str:
        units = str(grid[self.variable].attrs.get("units", "1"))
        per = str(grid[self.dim].attrs.get("units", "1")) if self.slopes and self.dim in grid.coords else "1"
        return units if per == "1" else f"{units} ({per})-1"

    def _at_face(self, found: xr.DataArray, side: Side, number: int, /) -> xr.DataArray:
        """Of what lies along the dim the cell at the face, of what varies in time its last step."""
        if "row" in found.dims:
            found = found.isel(row=number, drop=True)
        if "lead" in found.dims:
            found = found.isel(lead=-1, drop=True)
        if "target_lead" in found.dims:
            found = found.rename(target_lead="lead")
        return found.isel({self.dim: 0 if side == "left" else -1}, drop=True) if self.dim in found.dims else found


def inwards(grid: xr.Dataset, dim: str, side: Side, /) -> NDArray[Any]:
    """The coordinate along a dim, from the face inwards. Raises `HandshakeError` without one."""
    points = coordinate(grid, dim, law="a slope at a boundary")
    return points if side == "left" else points[::-1]


def stencil(points: NDArray[Any], order: int) -> NDArray[Any]:
    """Weights of the derivative at the first of `points`, exact for polynomials of degree `order`.

    Raises `HandshakeError` for too few points.
    """
    if len(points) <= order:
        raise HandshakeError(
            f"a stencil of order {order} takes {order + 1} points, and there are {len(points)}",
            allowed=f"order up to {len(points) - 1}",
            advice="lower `order`",
        )
    near = points[: order + 1]
    scale = float(np.ptp(near))
    powers = np.vander((near - near[0]) / scale, increasing=True).T
    wanted = np.zeros(len(near))
    wanted[1] = 1.0 / scale
    return np.linalg.solve(powers, wanted)
