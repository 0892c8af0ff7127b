"""Bodies that attract each other keep their energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr
from pydantic import Field, NonNegativeFloat, PositiveFloat
from thalweg import DifferentiableLaw, Fields, HandshakeError, Signature, quantities
from thalweg.laws import aligned, like

Array = Any


class Energy(DifferentiableLaw):
    r"""The energy of bodies at every lead is that of the last input: $E = \sum_i v_i^2 / 2 + \sum_{i<j} \Phi_{ij}$.

    Of unit mass, with $\Phi_{ij} = G \sqrt{\lVert x_i - x_j \rVert^2 + s^2}$, the potential of `nbody-mnist`. Positions
    and velocities are `(sample, lead, body, axis)`, the last two dims of any name. The truth of that dataset
    keeps it within 1e-4 with `law: conservative`, and does not with `published`. In units of the velocity squared.
    Raises `HandshakeError` for variables of other dims than each other's.
    """

    variables: tuple[str, str] = Field(
        ("position", "velocity"), description="names of the positions and of the velocities of the bodies"
    )
    attraction: NonNegativeFloat = Field(
        0.05, description="strength of the attraction, $G$: acceleration by a body that is far away"
    )
    softening: PositiveFloat = Field(
        10.0, description="distance within which the attraction fades, $s$, in the units of the position"
    )

    def check(self, given: Signature) -> None:
        found = [given[name] for name in self.variables if name in given]
        dims = {each.dims for each in found}
        if len(dims) > 1 or any(len(each.dims) < 3 for each in found):
            raise HandshakeError(
                f"{self.name} is of {' and '.join(repr(str(each)) for each in found)}",
                allowed="positions and velocities (sample, lead, body, axis)",
                advice="name variables with the same dims in `variables`",
            )

    def reads(self) -> tuple[str, ...]:
        return self.variables

    def known(self, context: xr.Dataset, grid: xr.Dataset) -> Mapping[str, xr.DataArray]:  # noqa: ARG002
        position, velocity = (
            context[name].isel(lead=-1).transpose("sample", ...).astype("float64") for name in self.variables
        )
        velocity = velocity.transpose(*position.dims)
        return {"energy": xr.DataArray(self.energy(position.values, velocity.values), dims="sample")}

    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:  # noqa: ARG002
        position, velocity = (fields.values[name] for name in self.variables)
        found = self.energy(position, velocity)
        return found - like(aligned(known["energy"], ("sample",), fields.dims[self.variables[0]][:-2]), found)

    def energy(self, position: Array, velocity: Array) -> Array:
        """Of arrays or tensors (..., body, axis), (...)."""
        apart = position[..., None, :, :] - position[..., :, None, :]
        potential = ((apart**2).sum(-1) + self.softening**2) ** 0.5
        bodies = position.shape[-2]
        # Each pair twice, and each body with itself.
        pairs = (potential.sum((-2, -1)) - bodies * self.softening) / 2.0
        return (velocity**2).sum((-2, -1)) / 2.0 + self.attraction * pairs

    def labelled(self, residual: Array, fields: xr.Dataset, context: xr.Dataset, /) -> xr.Dataset:  # noqa: ARG002
        velocity = fields[self.variables[1]]
        dims = velocity.dims[:-2]
        coords = {name: each.variable for name, each in velocity.coords.items() if set(each.dims) <= set(dims)}
        units = quantities.squared(str(velocity.attrs.get("units", "1")))
        return xr.DataArray(residual, coords, dims, attrs={"units": units}).to_dataset(name="energy")
