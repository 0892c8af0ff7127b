"""How good an epoch was: mean losses over the validation split, and a metric if one judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from ..components.draw import Draw
from .batches import on_device
from .chunk_files import Array
from .loader import Loader
from .order import batches
from .randomness import aside
from .ranks import Ranks
from .turn import Turn, title

Judged = Callable[[Sequence[Array]], Mapping[str, float]]
"""Scores of what would be solved with the modules as they are, from this rank's batches, over all ranks."""


class Validation:
    """Asked with turns in evaluation mode, with the weights that would be solved with; draws are the same each time."""

    def __init__(
        self,
        loader: Loader,
        *,
        batch: int,
        seed: int,
        judged: Judged | None,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        self._loader, self._judged, self._ranks = loader, judged, ranks
        self._batch, self._seed, self._device = batch, seed, device

    def __call__(self, turns: Sequence[Turn], step: int) -> Mapping[str, float]:
        """Means over the samples of all ranks."""
        every = batches(self._loader.reader, batch=self._batch, seed=0, epoch=0, shuffle="none")
        share = every[self._ranks.rank :: self._ranks.count]
        sums: dict[str, float] = {}
        count = 0
        self._loader.reset()
        with aside(self._seed, self._device):
            for read in self._loader(share):
                # The same in each epoch.
                numbers = self._loader.reader.samples.numbers[read.positions]
                draw = Draw(self._seed, tuple(map(str, numbers.tolist())))
                batch = on_device(read, self._device, step=step, draw=draw)
                count += len(batch.positions)
                for turn in turns:
                    for name, term in turn.objective(batch).items():
                        key = title(turns, turn, f"{name}/validate")
                        sums[key] = sums.get(key, 0.0) + float(term) * len(batch.positions)
            scores = self._judged(share) if self._judged else {}
        names = sorted({name for each in self._ranks.gather(list(sums)) for name in each})
        *totals, samples = self._ranks.total(*(sums.get(name, 0.0) for name in names), count)
        return {**{name: total / samples for name, total in zip(names, totals, strict=True)}, **scores}
