"""Networks that end in the solve."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

import numpy as np
import torch
import xarray as xr
from thalweg import LinearLaw, Rows
from thalweg.learning import Layout, layouts
from torch import Tensor, nn

from .engine import update
from .joint import Joint, grouped

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
        channels = list(torch.unbind(output, -1))
        for name, laws in grouped(found, self.laws).items():
            at = names.index(name)
            channels[at] = self._held(channels[at], _Spread(found[name], laws, context=context, members=False))
        return torch.stack(channels, -1)

    def _held(self, field: Tensor, joint: Joint) -> Tensor:
        own = ("sample", *self.wanted.dims)
        order = [own.index(dim) for dim in (*joint.outer, *joint.dims)]
        ordered = field.permute(order)
        flat = ordered.reshape(prod(joint.batch), joint.cells)
        variance = torch.ones_like(flat) if self.by == "additive" else flat.abs()
        held = update(flat, variance, rows=joint.matrix, targets=joint.targets(), noise=joint.noise).mean
        back = [order.index(number) for number in range(len(own))]
        moved: Tensor = held.to(field.dtype).reshape(ordered.shape).permute(back)
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


class _Spread(Joint):
    """Laws whose context came as channels: what has one value for a sample lies along all dims there."""

    def known(self, law: LinearLaw, rows: Rows) -> xr.DataArray:
        found = law.targets(self.context)
        spread = {dim: 0 for dim in found.dims if dim in rows.dims or (dim == "lead" and dim not in self.outer)}
        return found.isel(spread, drop=True)
