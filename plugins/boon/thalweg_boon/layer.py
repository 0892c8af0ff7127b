"""A linear layer whose output obeys boundary laws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import columns, published, spectral
from .across import Across
from .closures import Closure, Faces, Side


class Boundary:
    """What the lines of a law give in the layers of one network; set by the network before it calls them."""

    values: Faces
    said: Sequence[Tensor | None]

    def __init__(self) -> None:
        self.values, self.said = (), ()


class Corrected(nn.Module):
    """A linear layer, channels last, under one law or several across different dims.

    With `compat` the published correction of one dim of space. What depends on the weights and the resolution alone is
    kept while no gradient is asked for.
    """

    def __init__(self, layer: nn.Module, *, damping: float, compat: bool = False) -> None:
        super().__init__()
        self.layer, self._damping, self._compat = layer, damping, compat
        self._laws: list[tuple[Closure, Boundary]] = []
        self._kept: tuple[Any, Any] | None = None
        self._across: tuple[Any, tuple[Across, ...]] | None = None

    def add(self, closure: Closure, boundary: Boundary) -> None:
        """One more law; `closure.axis` counts from the first dim of space."""
        self._laws.append((closure, boundary))
        self._kept = self._across = None

    def forward(self, x: Tensor) -> Tensor:
        if self._compat:
            output = x
            for closure, boundary in self._laws:
                output = published.corrected(self.layer, x, _shifted(closure), boundary.values)
            return output
        output = self._eliminated(x)
        for closure, boundary in self._laws:
            output = _shifted(closure).overwrite(output, boundary.values, boundary.said)
        return output

    def _eliminated(self, x: Tensor) -> Tensor:
        held: dict[int, tuple[Side, ...]] = {}
        for closure, _ in self._laws:
            both = {*held.get(closure.axis, ()), *closure.sides}
            held[closure.axis] = tuple(side for side in ("left", "right") if side in both)
        # A layer that acts on each cell by itself has nothing to eliminate: the output there is of the input there.
        if isinstance(self.layer, nn.Linear) or not any(held.values()):
            product: Tensor = self.layer(x)
            return product
        if isinstance(self.layer, spectral.Spectral):
            return spectral.corrected(self.layer, x, self._prepared(x, held))
        return columns.corrected(self.layer, x, self._prepared(x, held))

    def _prepared(self, x: Tensor, held: dict[int, tuple[Side, ...]]) -> Any:
        sizes = tuple(x.shape[1:-1])
        key = (sizes, x.dtype, x.device, *((each.data_ptr(), each._version) for each in self.layer.parameters()))
        if not torch.is_grad_enabled() and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        made: Any
        if isinstance(self.layer, spectral.Spectral):
            # What was made in inference mode is of no use to a gradient.
            same = (*key[:3], torch.is_inference_mode_enabled())
            if self._across is None or self._across[0] != same:
                frequencies = self.layer.frequencies(sizes)
                axes = tuple(Across(frequencies, sizes, axis, sides, x.dtype) for axis, sides in held.items() if sides)
                self._across = same, axes
            made = spectral.Prepared.of(self.layer, self._across[1], damping=self._damping)
        else:
            made = [
                columns.Columns.of(self.layer, x, axis=axis, sides=sides, damping=self._damping)
                for axis, sides in held.items()
                if sides
            ]
        self._kept = None if torch.is_grad_enabled() else (key, made)
        return made


def _shifted(closure: Closure) -> Closure:
    """For tensors whose first dim is the sample."""
    return closure.at(closure.axis + 1)
