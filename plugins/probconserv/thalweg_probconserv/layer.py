"""Networks that end in the solve: one graph, of tensors only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from thalweg import Held
from thalweg.laws import System
from thalweg.learning import InUnits, layouts
from torch import Tensor, nn

By = Literal["additive", "multiplicative"]

REFINEMENTS = 2


class Ended(nn.Module):
    """A network whose output obeys laws, all of a variable at once."""

    def __init__(self, network: InUnits, held: Held, prefix: str, *, by: By) -> None:
        super().__init__()
        self.network: nn.Module = network  # type: ignore[assignment]
        self.given, self.wanted = layouts(network)
        self.scales = getattr(network, "scales", {})
        self.by, self._prefix, self._systems = by, prefix, dict(held.systems)

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """Fields in their units; of a mean and a variance, the mean obeys."""
        output: Tensor = self.network(inputs, known)
        names = self.wanted.names
        members = ("member",) if output.ndim > len(self.wanted.dims) + 2 else ()
        channels = list(torch.unbind(output, -1))
        for name, system in self._systems.items():
            start = f"{self._prefix}/{name}/"
            own = {key.removeprefix(start): each for key, each in known.items() if key.startswith(start)}
            at = names.index(name)
            channels[at] = nearest(channels[at], ("sample", *members, *self.wanted.dims), system, own, by=self.by)
        return torch.stack(channels, -1)


def nearest(field: Tensor, dims: tuple[str, ...], system: System, known: Mapping[str, Tensor], /, *, by: By) -> Tensor:
    r"""The nearest field that obeys, $\mu - V G^T (G V G^T + R)^{-1} (G \mu - b)$, in float64 inside.

    Rows that say nothing, or that no cell can move, are left out: their `share` is 0.
    """
    flat, before = system.arrange(field.double(), dims)
    mean, gap, share = system.gap(flat, before, known)
    there = system.fitted(known["there"], before) if "there" in known else None
    if by == "multiplicative":
        variance = mean.abs()
    else:
        variance = torch.ones_like(mean[(slice(0, 1),) * (mean.ndim - 1)]) if there is None else there.double()
    rows = system.rows_matrix
    noise = share**2 * system.fitted(known["noise"], before) if "noise" in known else torch.zeros_like(share)
    multiplier = _solved(rows.gram(variance), gap, share, noise=noise, disjoint=rows.disjoint)
    moved: Tensor = system.back((flat - variance * rows.back(multiplier)).to(field.dtype), before, dims)
    return moved


def _solved(gram: Tensor, gap: Tensor, share: Tensor, *, noise: Tensor, disjoint: bool) -> Tensor:
    """The multipliers of the rows, `(..., k)`; 0 where nothing moves."""
    spread = (gram if disjoint else gram.diagonal(dim1=-2, dim2=-1)) + noise
    moving = (share > 0.0) & (spread > 0.0)
    if disjoint:
        return gap.masked_fill(~moving, 0.0) / spread.masked_fill(~moving, 1.0)
    scale = moving / spread.masked_fill(~moving, 1.0).sqrt()
    system = gram + torch.diag_embed(noise + torch.zeros_like(spread))
    inner = system * scale[..., :, None] * scale[..., None, :] + torch.diag_embed((~moving).double())
    root = torch.linalg.cholesky(inner)
    value = torch.zeros_like(gap)
    for _ in range(1 + REFINEMENTS):
        left = (gap - (system @ value[..., None])[..., 0]) * scale
        value = value + torch.cholesky_solve(left[..., None], root)[..., 0] * scale
    return value
