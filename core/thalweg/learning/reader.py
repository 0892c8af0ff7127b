"""Batches of samples as raw arrays: straight from the chunks of zarr arrays where they are, by `Samples` otherwise."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..samples import Samples
from ..stores.arrays import reading
from .chunk_files import Array
from .chunks import Chunks, zarr_array
from .decoded import room_for
from .windows import Source

Buffers = dict[str, Array]
Sides = tuple[dict[str, Array], dict[str, Array]]
"""Inputs and truth by name, with `sample` first and the dims of the signatures."""


class Reader(ABC):
    """Reads the samples at any positions into buffers, in their own types."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.given, self.wanted = samples.given, samples.wanted

    @property
    @abstractmethod
    def homes(self) -> Array:
        """Of each sample, the number of the block that it lies in: what is read together."""

    @abstractmethod
    def together(self, batch: int) -> int:
        """How many blocks fit into the memory of a batch."""

    @abstractmethod
    def buffers(self, count: int, empty: Callable[[tuple[int, ...], Any], Array] = np.empty) -> Buffers:
        """Memory for a batch, to be used again."""

    @abstractmethod
    def read(self, at: Array, buffers: Buffers) -> Sides:
        """The samples at these positions: views of the buffers."""

    def nbytes(self, count: int) -> int:
        """Bytes of a batch."""
        return sum(each.nbytes for each in self.buffers(1).values()) * count

    @property
    @abstractmethod
    def places(self) -> list[str]:
        """URLs of what it reads."""

    def close(self) -> None:  # noqa: B027
        """End its threads, if it has any."""


def reader_of(
    samples: Samples, *, batch: int, threads: int | None = None, folder: Path | None = None, sharing: int = 1
) -> Reader:
    """The fastest reader for these samples; with `batch` samples to a batch, it keeps decoded chunks of as many.

    With a `folder` on a disk that has room, which so many are `sharing`, it keeps all of them there.
    """
    moving = [name for name in (*samples.given.names, *samples.wanted.names) if _moves(samples, name)]
    arrays = {name: zarr_array(samples.data[name].variable) for name in moving}
    if samples.index.dim is None or any(each is None for each in arrays.values()):
        return SampleReader(samples)
    chunks = {name: Chunks(each) for name, each in arrays.items() if each is not None}
    if folder is not None and room_for(folder, sharing * sum(each.decoded_nbytes for each in chunks.values())):
        for each in chunks.values():
            each.keep_on_disk(folder)
    return ZarrReader(samples, chunks, batch=batch, threads=threads or max(2, os.cpu_count() or 2))


def _moves(samples: Samples, name: str) -> bool:
    return samples.index.dim in samples.data[name].dims


class SampleReader(Reader):
    """Any samples, as `Samples` reads them."""

    @property
    def homes(self) -> Array:
        return np.arange(len(self.samples))

    def together(self, batch: int) -> int:  # noqa: ARG002
        return len(self.samples)

    def buffers(self, count: int, empty: Callable[[tuple[int, ...], Any], Array] = np.empty) -> Buffers:  # noqa: ARG002
        return {}

    def nbytes(self, count: int) -> int:
        one = sum(each.nbytes(set(each.sizes) - {"sample"}) for each in (self.given, self.wanted))
        return one * count

    @property
    def places(self) -> list[str]:
        found = self.samples.data.encoding.get("source")
        return [str(found)] if found else []

    def read(self, at: Array, buffers: Buffers) -> Sides:  # noqa: ARG002
        sides = (self.samples.inputs(at.tolist()), self.samples.truth(at.tolist()))
        inputs, truth = ({str(name): np.ascontiguousarray(each.values) for name, each in d.items()} for d in sides)
        return inputs, truth


class ZarrReader(Reader):
    """Samples of zarr-backed data. A field that is both observed and predicted is read once, inputs and truth at once.

    Decoded chunks are kept, up to the bytes of a batch, so that windows of one block share them.
    """

    def __init__(self, samples: Samples, chunks: dict[str, Chunks], *, batch: int, threads: int) -> None:
        super().__init__(samples)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._threads = threads
        self._sources = [Source.of(samples, name, each) for name, each in chunks.items()]
        for source in self._sources:
            source.keep(batch * prod(source.shape) * source.chunks.dtype.itemsize)
        index, data = samples.index, samples.data
        self._begin, self._rows = index.begin[samples.numbers], index.row[samples.numbers]
        series = index.series
        still = [name for name in self.given.names if name not in chunks]
        self._still = {n: data[n].transpose(*filter(None, [series]), ..., missing_dims="ignore").values for n in still}
        self._of_series = {name for name in still if series in data[name].dims}

    @property
    def places(self) -> list[str]:
        found = {str(each.chunks.array.store_path).removesuffix(f"/{each.name}") for each in self._sources}
        return sorted(found)

    @property
    def _stretch(self) -> int:
        """Steps of a block: whole chunks, and at least twice a window, so that little is read for two blocks."""
        chunk = max(source.chunks.chunks[source.axis] for source in self._sources)
        return chunk * -(-max(chunk, 2 * self._extent if self._extent > 1 else 1) // chunk)

    @property
    def _extent(self) -> int:
        return max(source.extent for source in self._sources)

    @property
    def homes(self) -> Array:
        rows = max((source.rows_per_chunk for source in self._sources), default=1)
        homes = np.stack([self._rows // rows, self._begin // self._stretch])
        return np.asarray(np.unique(homes, axis=1, return_inverse=True)[1]).reshape(-1)

    def together(self, batch: int) -> int:
        steps = self._stretch + self._extent - 1
        home = sum(source.chunks_of(steps) * source.chunks.nbytes for source in self._sources)
        return max(1, self.nbytes(batch) // max(1, home))

    def buffers(self, count: int, empty: Callable[[tuple[int, ...], Any], Array] = np.empty) -> Buffers:
        made = {source.name: empty((count, *source.shape), source.chunks.dtype) for source in self._sources}
        return made | {n: empty((count, *self._still[n].shape[1:]), self._still[n].dtype) for n in self._of_series}

    def read(self, at: Array, buffers: Buffers) -> Sides:
        inputs: dict[str, Array] = {}
        truth: dict[str, Array] = {}
        begin, rows = self._begin[at], self._rows[at]
        with reading(*self.places):
            for source in self._sources:
                out = buffers[source.name][: len(at)]
                source.read(begin, rows, out, pool=self._pool, threads=self._threads)
                source.share(out, inputs, truth)
        for name, array in self._still.items():
            inputs[name] = array
            if name in self._of_series:
                inputs[name] = np.take(array, rows, axis=0, out=buffers[name][: len(at)])
        return inputs, truth

    @property
    def decoded(self) -> int:
        """Chunks decoded so far."""
        return sum(source.cache.decoded for source in self._sources)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for source in self._sources:
            source.chunks.close()
