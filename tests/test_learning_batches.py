"""What a step is made of: the same samples and draws on any number of micro-batches."""

from __future__ import annotations

from typing import Any

import torch
from thalweg import Samples
from thalweg.learning.batches import SampleBatches
from thalweg.learning.loader import Loader
from thalweg.learning.ranks import Alone
from thalweg.learning.reader import reader_of
from thalweg.testing import series, windowed

SAMPLES = Samples.of(windowed(series()).load(), "train")


Drawn = dict[tuple[int, int], Any]


class One(Alone):
    """A rank of several, which exchanges nothing."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count  # type: ignore[misc]


def drawn(batch: int = 7, *, accumulate: int = 1, ranks: int = 1, start: int = 0, shuffle: Any = "windows") -> Drawn:
    """What the samples of two epochs draw, by epoch and sample."""
    found = {}
    reader = reader_of(SAMPLES, batch=batch)
    for rank in range(ranks):
        batches = SampleBatches(
            Loader(reader, largest=batch), batch=batch, accumulate=accumulate, seed=1, shuffle=shuffle,
            ranks=One(rank, ranks), device=torch.device("cpu"),
        )  # fmt: skip
        for epoch in (0, 1):
            for one in (each for share in batches.epoch(epoch, start) for each in share if each.weight):
                for sample, row in zip(one.positions, one.draw.normal("z", (2,)), strict=True):
                    found[epoch, int(sample)] = tuple(row.tolist())
    reader.close()
    return found


def test_a_draw_is_of_a_sample_and_an_epoch_however_batches_are_cut() -> None:
    whole = drawn()
    assert len(set(whole.values())) == len(whole) == 2 * len(SAMPLES)
    assert drawn(4) == drawn(accumulate=3) == drawn(shuffle="none") == drawn(ranks=2) == whole
    rest = drawn(start=2)
    assert 0 < len(rest) < len(whole)
    assert rest.items() <= whole.items()
