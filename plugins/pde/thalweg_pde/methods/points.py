"""A process over points, as a network from named inputs to a field on its grid."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..attentive import AttentiveNeuralProcess


class PointsToField(nn.Module):
    """`context_NAME (sample, point)` and coordinates by dim to mean and variance `(sample, *dims, 2)`."""

    def __init__(
        self, process: AttentiveNeuralProcess, *, name: str, dims: tuple[str, ...], spans: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.process, self.name, self.dims, self.spans = process, name, dims, spans

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        context, places = self._context(inputs), self._places(inputs)
        mean, variance = self.process(context, self._spanned(places.flatten(1, -2)))
        return torch.stack([mean, variance], -1).reshape(*places.shape[:-1], 2)

    def learned(
        self, inputs: Mapping[str, Tensor], truth: Tensor, *, count: int, collocated: int
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        """The mean of the negative evidence bound at `count` random points; at the first `collocated` of them, the
        field, and the coordinates that it can be differentiated by."""
        places, values = self._places(inputs).flatten(1, -2), truth.flatten(1)
        chosen = torch.rand(values.shape, device=values.device).argsort(1)[:, :count]
        # A law in the loss takes derivatives, also where a validation has none.
        with torch.enable_grad():
            all_ = places.gather(1, chosen.unsqueeze(-1).expand(-1, -1, len(self.dims)))
            at = [each.contiguous().requires_grad_() for each in all_[:, :collocated].unbind(-1)]
            sets = tuple(each for each in (torch.stack(at, -1), all_[:, collocated:]) if each.shape[1])
            means, bound = self.process.evidence(
                self._context(inputs), tuple(map(self._spanned, sets)), values.gather(1, chosen)
            )
        return {self.name: means[0], **dict(zip(self.dims, at, strict=True))}, bound.mean()

    def _context(self, inputs: Mapping[str, Tensor]) -> Tensor:
        places = self._spanned(torch.stack([inputs[f"context_{dim}"] for dim in self.dims], -1))
        return torch.cat([places, inputs[f"context_{self.name}"].unsqueeze(-1)], -1)

    def _places(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Coordinates of the field `(sample, *dims, dim)`: each sample's own, or those that all share."""
        count = len(inputs[f"context_{self.name}"])
        axes = []
        for i, dim in enumerate(self.dims):
            own = inputs.get(f"target_{dim}")
            axis = inputs[dim].expand(count, -1) if own is None else own
            axes.append(axis.reshape(count, *(-1 if j == i else 1 for j in range(len(self.dims)))))
        return torch.stack(torch.broadcast_tensors(*axes), -1)

    def _spanned(self, places: Tensor) -> Tensor:
        return places / places.new_tensor(self.spans)
