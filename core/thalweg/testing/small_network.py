"""A network for enforcers to wrap: cells take from their neighbours, linearly, between two layers of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..learning import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTH = 4


def small_network(given: Layout, wanted: Layout, *, seed: int) -> nn.Module:
    """`(sample, *given.dims, channel)` to `(sample, *wanted.dims, channel)`, in units, of random weights."""
    import torch
    from torch import nn

    class Across(nn.Module):
        """Each cell, its neighbours before and after along each dim of space, and a mixture of channels."""

        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            for dim in range(1, x.ndim - 1):
                x = x + 0.5 * x.roll(1, dim) - 0.3 * x.roll(-1, dim)
            mixed: Tensor = self.mix(x)
            return mixed

    class SmallNetwork(nn.Module):
        """Between fields, with what enforcers ask of a network."""

        def __init__(self) -> None:
            super().__init__()
            self.given, self.wanted = given, wanted
            self.into, self.out = nn.Linear(_channels(given), WIDTH), nn.Linear(WIDTH, _channels(wanted))
            self.across = Across()

        def linear_layers(self) -> tuple[str, ...]:
            """Those that map fields to fields linearly."""
            return ("across",)

        def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
            cells = inputs.movedim(1, -2).flatten(-2) if "lead" in given.dims else inputs
            output: Tensor = self.out(torch.tanh(self.across(torch.tanh(self.into(cells)))))
            if "lead" not in wanted.dims:
                return output
            return output.reshape(*output.shape[:-1], -1, len(wanted.names)).movedim(-2, 1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallNetwork()


def _channels(layout: Layout) -> int:
    """Of a cell: leads are channels too."""
    leads = layout.sizes[0] if "lead" in layout.dims else 1
    return leads * len(layout.names)
