"""Reading ahead: while one batch is learned from, the next is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .reader import Reader, Sides

if TYPE_CHECKING:
    import xarray as xr

    from .chunk_files import Array

Context = Callable[[list[int], Mapping[str, "Array"], Mapping[str, "Array"]], "xr.Dataset"]
"""Of the positions of a batch and its two sides, what laws may know of it."""
Known = Callable[["xr.Dataset"], Mapping[str, "Array"]]
"""Of the context of a batch, what laws know; computed on the thread that reads, and never differentiated."""


@dataclass(frozen=True)
class Read:
    """Raw arrays of a batch, valid until the next one is taken."""

    positions: Array
    inputs: dict[str, Array]
    truth: dict[str, Array]
    known: Mapping[str, Array] = field(default_factory=dict)
    """What laws know of the samples."""


class Loader:
    """Batches at given positions, in two sets of buffers.

    Memory beyond the batch in use: the one that is read, the reader's decoded chunks, of at most another.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        largest: int,
        pinned: bool = False,
        context: Context | None = None,
        known: Known | None = None,
    ) -> None:
        self.reader = reader
        self.reset()
        self._ring = [reader.buffers(largest, _pinned if pinned else np.empty) for _ in range(2)]
        self._context, self._known = context, known

    def reset(self) -> None:
        """Start the measurements of speed again."""
        self.bytes, self.busy, self.waited, self.elapsed = 0, 0.0, 0.0, 0.0

    def __call__(self, batches: Sequence[Array]) -> Iterator[Read]:
        """The batches, in order."""
        began = time.perf_counter()
        with ThreadPoolExecutor(1, thread_name_prefix="read") as ahead:
            coming: Future[Read] | None = ahead.submit(self._read, batches[0], 0) if len(batches) else None
            try:
                for number in range(len(batches)):
                    assert coming is not None
                    start = time.perf_counter()
                    batch = coming.result()
                    self.waited += time.perf_counter() - start
                    following = number + 1
                    # Into the buffers that its taker has just given back.
                    coming = (
                        ahead.submit(self._read, batches[following], following % 2)
                        if following < len(batches)
                        else None
                    )
                    yield batch
            finally:
                self.elapsed += time.perf_counter() - began

    @property
    def megabytes_per_second(self) -> float:
        """Speed of reading: megabytes of raw arrays by the seconds that reading took."""
        return self.bytes / 1e6 / self.busy if self.busy else 0.0

    @property
    def stall_share(self) -> float:
        """Share of the time that was spent waiting for a batch."""
        return self.waited / self.elapsed if self.elapsed else 0.0

    def _read(self, at: Array, slot: int) -> Read:
        start = time.perf_counter()
        sides: Sides = self.reader.read(at, self._ring[slot])
        self.busy += time.perf_counter() - start
        self.bytes += sum(array.nbytes for side in sides for array in side.values())
        if self._context is None:
            return Read(at, *sides)
        known = {} if self._known is None else self._known(self._context(at.tolist(), *sides))
        return Read(at, *sides, known)


def _pinned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory that a GPU reads by itself."""
    import torch

    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    flat: Array = torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
    return np.asarray(flat.view(dtype).reshape(shape))
