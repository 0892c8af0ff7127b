"""What is carried out of the domain is all that is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, LinearLaw, Rows, Signature

from ..methods import _motion


class AdvectionBudget(LinearLaw):
    r"""The total of a field is that of the last input, less what its motion has carried out: $\sum_i x_i(m) = b_m$.

    Each cell of the last input travels along the steady motion of the last `frames` inputs, by the midpoint rule, and
    counts by its share over the domain; nothing grows, decays or comes in. Over cells of equal size, of
    fields `(sample, lead, y, x)`, in the units of the variable. Options are those of the method `advection`, whose
    own estimate keeps no total: its motion may diverge. The sum is over the cells that are there, and what moves to a
    cell that is missing in all inputs is out of the domain, too. Without a cell in the last input the total is missing.
    Raises `HandshakeError` for fields of other dims.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2"
    example: ClassVar[Mapping[str, Any]] = {"variable": "field"}

    variable: str = Field(description="the field that the law is about")
    motion_of: str = Field("", description="the input whose motion is used; the variable itself if empty")
    frames: int = Field(5, ge=2, description="last inputs from which the motion is found")
    window: float = Field(4.0, gt=0, description="width of the neighbourhood that shares a motion, in cells")
    stiffness: float = Field(
        0.3, gt=0, description="weight that pulls the motion of a cell towards that of the whole field"
    )

    def check(self, given: Signature) -> None:
        if self.variable in given and len(given[self.variable].dims) != 4:
            raise HandshakeError(
                f"{self.name} moves fields in the plane, but is given {str(given[self.variable])!r}",
                allowed="fields (sample, lead, y, x)",
                advice="select one level or channel in preprocess",
            )

    def reads(self) -> tuple[str, ...]:
        return self.variable, self.motion_of or self.variable

    def rows(self, grid: xr.Dataset) -> Rows:
        dims = tuple(str(dim) for dim in grid[self.variable].dims if dim not in ("sample", "lead", "member"))
        return _Ones(self.variable, dims)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        moving = context[self.motion_of or self.variable].transpose("sample", "lead", ...).values[:, -self.frames :]
        carried = context[self.variable].transpose("sample", "lead", ...).values
        leads = context["target_lead"].values
        if moving.ndim != 4 or moving.shape[1] < self.frames:
            raise HandshakeError(
                f"{self.name} needs the last {self.frames} inputs in the plane, and is given {moving.shape[1:]}",
                allowed="fields (sample, lead, y, x)",
                advice="lengthen `inputs` in windows, or ask for fewer frames",
            )
        totals = np.empty((len(moving), len(leads), 1))
        for number, (frames, fields) in enumerate(zip(moving, carried, strict=True)):
            if not _motion.is_known(frames):
                totals[number] = np.nan
                continue
            motion = _motion.optical_flow(frames.astype(np.float64), window=self.window, stiffness=self.stiffness)
            last, reached = fields[-1].astype(np.float64), ~np.isnan(fields).all(0)
            left = _motion.over_domain(motion, steps=int(leads.max()), there=None if reached.all() else reached)
            inside = np.where(np.isnan(last), 0.0, last) * left
            totals[number, :, 0] = inside.sum((1, 2))[leads - 1] if np.isfinite(last).any() else np.nan
        found = xr.DataArray(totals, {"lead": leads}, ("sample", "lead", "row"))
        return found.assign_attrs(units=grid[self.variable].attrs.get("units", "1"))


class _Ones(Rows):
    """The total over all cells."""

    count = 1

    def __init__(self, variable: str, dims: tuple[str, ...]) -> None:
        self.variable, self.dims = variable, dims

    def block(self, region: Mapping[str, slice]) -> Any:
        from scipy.sparse import csr_array

        cells = int(np.prod([region[dim].stop - region[dim].start for dim in self.dims]))
        return csr_array(np.ones((1, cells)))
