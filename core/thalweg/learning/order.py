"""In which order samples are learned from: the same for the same seed and epoch, on any number of ranks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .reader import Reader

Positions = np.ndarray[Any, Any]


def batches(
    reader: Reader, *, batch: int, seed: int, epoch: int, shuffle: Literal["blocks", "windows", "once", "none"]
) -> list[Positions]:
    """The positions of each batch of an epoch; the last batch may be smaller.

    `blocks` shuffles blocks (stretches of whole chunks), takes as many as fit into the memory of a batch, and shuffles
    their windows: each chunk is decoded once in an epoch, where `windows`, the uniform order, decodes it for almost
    each window that it holds. Windows of one block are near in time, so a batch is drawn from several blocks, and
    blocks meet others in each epoch. benchmarks/loader.py measures both. `once` shuffles blocks only, their windows in
    sequence, and alike in every epoch: the order of published trainings that shuffle events when they begin.
    """
    count, homes = len(reader.samples), reader.homes
    random = np.random.default_rng([seed, 0 if shuffle == "once" else epoch])
    blocks = int(homes.max(initial=-1)) + 1
    group = np.zeros(blocks, dtype=np.int64)
    if shuffle == "none":
        order = np.arange(count)
    elif shuffle == "windows":
        order = random.permutation(count)
    elif shuffle == "once":
        order = np.lexsort((np.arange(count), random.permutation(blocks)[homes]))
    else:
        # Groups of one size, so that none is left with few blocks.
        groups = -(-blocks // reader.together(batch))
        group = random.permutation(blocks) * groups // max(1, blocks)
        order = np.lexsort((random.random(count), group[homes]))
    cut = [order[i : i + batch] for i in range(0, count, batch)]
    # Within a batch the order is free: by blocks, so that pieces and ranks share few chunks, those of the last group
    # first, so that its chunks are done with.
    return [each[np.lexsort((each, homes[each], group[homes[each]]))] for each in cut]


def pieces(batch: Positions, *, rank: int, ranks: int, accumulate: int) -> list[tuple[Positions, float]]:
    """A rank's share of a batch in `accumulate` pieces, each with its weight in the mean over the batch.

    Weights are such that the mean over ranks of the sums over pieces is the batch's mean. A rank without a share of a
    last, small batch goes along with one sample of no weight.
    """
    parts = np.array_split(batch, ranks * accumulate)[rank * accumulate : (rank + 1) * accumulate]
    kept = [(part, len(part) * ranks / len(batch)) for part in parts if len(part)]
    return kept or [(batch[:1], 0.0)]
