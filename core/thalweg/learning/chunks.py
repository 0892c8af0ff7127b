"""Chunks of zarr arrays, decoded into memory of the reader's own.

zarr reads any array; but each of its reads starts tasks, allocates, and copies twice, which costs more than to decode
8-bit radar. So chunks of local files with the codecs that thalweg writes (Zstandard or Blosc, and CRC-32C) are read and
decoded here straight into a buffer, without the interpreter's lock; chunks that are not compressed are mapped, and not
copied at all; all others are read by zarr. With `keep_on_disk` each is decoded once, and mapped from then on.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .chunk_files import Array, ChunkFiles, Key
from .decoded import DecodedChunks

if TYPE_CHECKING:
    import xarray as xr
    import zarr


def zarr_array(variable: xr.Variable) -> zarr.Array[Any] | None:
    """The zarr array behind a lazy variable that is all of it, untransformed; None if there is none such."""
    import zarr
    from xarray.core.indexing import BasicIndexer, OuterIndexer

    data: Any = variable._data
    if isinstance(data, zarr.Array):
        return data
    while hasattr(data, "array") and not isinstance(data, np.ndarray):
        key = getattr(data, "key", None)
        if isinstance(key, BasicIndexer | OuterIndexer) and any(each != slice(None) for each in key.tuple):
            return None
        data = data.array
    array = getattr(data, "_array", None)
    same = isinstance(array, zarr.Array) and array.shape == variable.shape and array.dtype == variable.dtype
    return array if same else None


class Chunks:
    """The chunks of a zarr array, each a full one: edges are padded."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self.array, self.shape, self.chunks, self.dtype = array, array.shape, array.chunks, array.dtype
        self._files = ChunkFiles.of(array)
        self._decoded: DecodedChunks | None = None

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    def keep_on_disk(self, folder: Path) -> None:
        """Keep decoded chunks in a temporary file in a folder; those that are stored as they are need none."""
        if not self.mappable:
            self._decoded = DecodedChunks(folder, grid=self.grid, chunks=self.chunks, dtype=self.dtype)

    def close(self) -> None:
        """Give the space of the temporary file back."""
        if self._decoded is not None:
            self._decoded.close()

    @property
    def nbytes(self) -> int:
        """Bytes of one chunk."""
        return int(np.prod(self.chunks)) * self.dtype.itemsize

    @property
    def decoded_nbytes(self) -> int:
        """Bytes of all chunks in memory; 0 of those that are stored so."""
        return 0 if self.mappable else self.nbytes * prod(self.grid)

    @property
    def mappable(self) -> bool:
        """Whether chunks are mapped: stored as they are in memory, or kept on disk once they are decoded."""
        return self._decoded is not None or (self._files is not None and self._files.decode is None)

    def map(self, key: Key) -> Array:
        """A chunk, mapped; one that is kept on disk is decoded when it is first asked for."""
        if self._decoded is not None:
            place, there = self._decoded.place(key)
            if not there:
                self.read(key, place)
                self._decoded.done(key)
            return place
        stored = self._files.stored(key) if self._files is not None else None
        if stored is not None and stored.nbytes == self.nbytes:
            return stored.view(self.dtype).reshape(self.chunks)
        out = np.empty(self.chunks, self.dtype)
        self._by_zarr(key, out)
        return out

    def read(self, key: Key, out: Array) -> None:
        """Decode one chunk into `out`, C-contiguous, of the chunk's shape."""
        decode = self._files.decode if self._files is not None else None
        stored = self._files.stored(key) if self._files is not None and decode is not None else None
        if stored is None or decode is None:
            self._by_zarr(key, out)
        else:
            decode(stored, out.reshape(-1).view(np.uint8))

    def _by_zarr(self, key: Key, out: Array) -> None:
        """Also where a chunk is missing, or its checksum does not match: zarr knows what to say."""
        at = tuple(
            slice(i * n, min((i + 1) * n, size)) for i, n, size in zip(key, self.chunks, self.shape, strict=True)
        )
        out[tuple(slice(0, each.stop - each.start) for each in at)] = self.array[at]
