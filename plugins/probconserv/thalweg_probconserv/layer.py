"""Networks that end in the solve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from thalweg import Held, LinearLaw, Rows
from thalweg.laws import System, grid_of
from thalweg.learning import Layout, layouts
from torch import Tensor, nn

from .engine import update
from .joint import grouped

By = Literal["additive", "multiplicative"]


def ended(network: nn.Module, law: LinearLaw, *, by: By, spacing: Mapping[str, float]) -> Ended:
    """The network under one more law. Raises `HandshakeError` if it does not say what its channels are."""
    if isinstance(network, Ended) and (network.by, network.spacing) == (by, spacing):
        return Ended(network.network, (*network.laws, law), by=by, spacing=spacing)
    return Ended(network, (law,), by=by, spacing=spacing)


class Ended(nn.Module):
    """A network whose output obeys laws, all at once."""

    def __init__(
        self, network: nn.Module, laws: tuple[LinearLaw, ...], *, by: By, spacing: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.network: nn.Module = network
        self.given, self.wanted = layouts(network)
        self.laws, self.by, self.spacing = laws, by, spacing

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.network(inputs)
        names = self.wanted.names
        found = self._dataset(output, self.wanted, lead=1)
        # The last input is lead 0.
        context = self._dataset(inputs, self.given, lead=1 - inputs.shape[1])
        if "lead" in self.wanted.dims:
            context = context.assign_coords(target_lead=np.arange(1, found.sizes["lead"] + 1))
        grid = grid_of(found, context)
        channels = list(torch.unbind(output, -1))
        for name, laws in grouped(Held(self.laws, grid)).items():
            at = names.index(name)
            system = _Spread.of([law for law in laws if isinstance(law, LinearLaw)], grid)
            channels[at] = self._held(channels[at], system, system.targets(context, grid))
        return torch.stack(channels, -1)

    def _held(self, field: Tensor, system: System, targets: np.ndarray[Any, Any]) -> Tensor:
        dims = ("sample", *self.wanted.dims)
        flat, before = system.arrange(field, dims)
        variance = torch.ones_like(flat) if self.by == "additive" else flat.abs()
        wanted = np.broadcast_to(system.fitted(targets, before), (*flat.shape[:-1], system.count))
        held = update(flat, variance, rows=system.matrix, targets=wanted, noise=system.noise).mean
        moved: Tensor = system.back(held.to(field.dtype), before, dims)
        return moved

    def _dataset(self, tensor: Tensor, layout: Layout, *, lead: int) -> xr.Dataset:
        """What laws read: values are known here, and nothing is learned through them."""
        dims = ("sample", *layout.dims)
        values = tensor.detach().cpu().numpy()
        sizes = dict(zip(dims, values.shape[:-1], strict=True))
        coords = {dim: np.arange(size) * self.spacing.get(dim, 1.0) for dim, size in sizes.items() if dim != "sample"}
        if "lead" in sizes:
            coords["lead"] = lead + np.arange(sizes["lead"])
        return xr.Dataset({name: (dims, values[..., i]) for i, name in enumerate(layout.names)}, coords)


class _Spread(System):
    """Laws whose context came as channels: what has one value for a sample lies along all dims there."""

    def told(self, law: LinearLaw, rows: Rows, context: xr.Dataset, grid: xr.Dataset, /) -> xr.DataArray:
        found = law.targets(context, grid)
        spread = {dim: 0 for dim in found.dims if dim in rows.dims or (dim == "lead" and dim not in self.outer)}
        return found.isel(spread, drop=True)
