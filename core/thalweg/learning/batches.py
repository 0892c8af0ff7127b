"""Batches of samples: read ahead in their order, on the device, a rank's share of each step in micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from ..components.draw import Draw
from .batch import Batch, own
from .loader import Loader, Read
from .order import batches, pieces
from .ranks import Ranks

if TYPE_CHECKING:
    from torch import Tensor

    from .chunk_files import Array

Shuffle = Literal["blocks", "windows", "once", "none"]


@dataclass(frozen=True)
class Share:
    """A rank's micro-batches of one step, as they are read."""

    coming: Iterator[Read]
    weights: tuple[float, ...]
    step: int
    device: torch.device
    ranks: Ranks
    draw: Draw
    numbers: Array
    """Of all samples of the split, by position."""

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[Batch]:
        for weight in self.weights:
            read = next(self.coming)
            draw = replace(self.draw, ids=tuple(map(str, self.numbers[read.positions].tolist())))
            yield on_device(read, self.device, weight=weight, step=self.step, ranks=self.ranks, draw=draw)


class SampleBatches:
    """The samples of a loader, in steps of `batch` over all ranks; the same steps on any number of them."""

    def __init__(
        self,
        loader: Loader,
        *,
        batch: int,
        accumulate: int,
        seed: int,
        shuffle: Shuffle,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        self._loader, self._batch, self.accumulate = loader, batch, accumulate
        self._seed, self._shuffle, self._ranks, self._device = seed, shuffle, ranks, device

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self._loader.reader.samples) // self._batch)

    def epoch(self, number: int, start: int) -> Iterator[Share]:
        """The shares of this rank, a step each, from step `start` on."""
        order = batches(self._loader.reader, batch=self._batch, seed=self._seed, epoch=number, shuffle=self._shuffle)
        rank, count = self._ranks.rank, self._ranks.count
        shares = [pieces(each, rank=rank, ranks=count, accumulate=self.accumulate) for each in order[start:]]
        self._loader.reset()
        coming = self._loader([part for share in shares for part, _ in share])
        for step, share in enumerate(shares, number * len(order) + start):
            weights = tuple(weight for _, weight in share)
            draw = Draw(self._seed, (), stream=number)
            yield Share(coming, weights, step, self._device, self._ranks, draw, self._loader.reader.samples.numbers)

    def speed(self) -> Mapping[str, float]:
        """Megabytes a second over all ranks, and the share of the time that this one waited."""
        (megabytes,) = self._ranks.total(self._loader.megabytes_per_second)
        return {"loader/megabytes_per_second": megabytes, "loader/stall_share": self._loader.stall_share}


def on_device(
    read: Read,
    device: torch.device,
    *,
    draw: Draw,
    weight: float = 1.0,
    step: int = 0,
    ranks: Ranks | None = None,
) -> Batch:
    """What was read, as tensors; arrays of no numbers are left out. Without `ranks` it is not gathered over them."""
    return Batch(
        read.positions,
        _tensors(read.inputs, device),
        _tensors(read.truth, device),
        weight,
        step,
        draw,
        _tensors(read.known, device),
        own if ranks is None else ranks.rows,
    )


def _tensors(arrays: Mapping[str, Array], device: torch.device) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items() if array.dtype.kind in "fiub"}
