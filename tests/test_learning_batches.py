"""What a step is made of: the same samples and draws on any number of micro-batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from thalweg import Samples
from thalweg.learning.batches import SampleBatches
from thalweg.learning.loader import Loader
from thalweg.learning.ranks import Alone
from thalweg.learning.reader import reader_of
from thalweg.testing import series, windowed

SAMPLES = Samples.of(windowed(series()).load(), "train")


@pytest.mark.parametrize("accumulate", [1, 3])
def test_batches_draw_by_sample_and_step(accumulate: int) -> None:
    def drawn(accumulate: int) -> dict[tuple[int, int], Any]:
        reader = reader_of(SAMPLES, batch=7)
        batches = SampleBatches(
            Loader(reader, largest=7), batch=7, accumulate=accumulate, seed=1, shuffle="windows", ranks=Alone(),
            device=torch.device("cpu"),
        )  # fmt: skip
        found = {}
        for epoch in (0, 1):
            for share in batches.epoch(epoch, 0):
                for batch in share:
                    for sample, row in zip(batch.positions, batch.draw.normal("z", (2,)), strict=True):
                        found[batch.step, int(sample)] = tuple(row.tolist())
        reader.close()
        return found

    whole = drawn(1)
    assert drawn(accumulate) == whole
    assert len(set(whole.values())) == len(whole) == 2 * len(SAMPLES)
