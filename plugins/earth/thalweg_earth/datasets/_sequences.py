"""Sequences that are made or read in numbered chunks, with a fixed split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from thalweg import SPLITS

if TYPE_CHECKING:
    import dask.array as da

PER_CHUNK = 20

Array = np.ndarray[Any, Any]


def in_chunks(
    make: Callable[..., Array], count: int, *, shape: tuple[int, ...], dtype: str, options: Mapping[str, Any]
) -> da.Array:
    """`(sequence, *shape)`, of which `make(numbers, **options)` gives the sequences with these numbers."""
    import dask.array as da

    array: Any = da
    numbers = array.arange(count, chunks=PER_CHUNK)
    lazy: da.Array = array.map_blocks(
        make,
        numbers,
        **options,
        new_axis=list(range(1, len(shape) + 1)),
        chunks=(numbers.chunks[0], *((size,) for size in shape)),
        meta=np.empty((0,) * (len(shape) + 1), dtype),
    )
    return lazy


def in_order(*sizes: int) -> Array:
    """Split labels of sequences of which the first ones are to train, the next to validate, the last to test on."""
    return np.repeat(np.arange(len(sizes)), sizes)


def split_coordinate(labels: Array) -> tuple[str, Array, dict[str, Any]]:
    """`split(sequence)`: positions in `SPLITS`."""
    attrs = {
        "long_name": "split of the sequence",
        "flag_values": list(range(len(SPLITS))),
        "flag_meanings": " ".join(SPLITS),
    }
    return "sequence", labels.astype(np.int8), attrs


def random_stream(seed: int, number: int) -> np.random.RandomState:
    """A stream for one sequence alone; those of `RandomState` never change between releases of numpy."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, number))))
