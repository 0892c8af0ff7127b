"""Decoded chunks, kept on a local disk for as long as they are read.

To decode 8-bit radar takes four times as long as to copy it. A training reads each chunk in every epoch, so the first
one leaves what it decoded in a file, which all others map. The file has no name: its space is free again when the
process ends, however it ends.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from math import prod
from pathlib import Path
from threading import Lock

import numpy as np

from .chunk_files import Array, Key

SHARE = 0.5
"""Of the free space of a disk, the most that is taken."""


class DecodedChunks:
    """The chunks of one array, each in a place of its own; what was not written takes no space."""

    def __init__(
        self, folder: Path, *, grid: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> None:
        self._grid, self._chunks, self._dtype = grid, chunks, dtype
        self._nbytes = prod(chunks) * dtype.itemsize
        # A map begins at a whole page.
        self._stride = -(-self._nbytes // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._file = tempfile.TemporaryFile(dir=folder, prefix="decoded-")  # noqa: SIM115
        os.truncate(self._file.fileno(), self._stride * prod(grid))
        self._written: set[int] = set()
        self._lock = Lock()

    def place(self, key: Key) -> tuple[Array, bool]:
        """Memory of a chunk, mapped from the file, and whether the chunk is there."""
        number = int(np.ravel_multi_index(key, self._grid))
        with self._lock:
            there = number in self._written
        # All pages at once, where the system can: one by one they take longer than the copy.
        flags = mmap.MAP_SHARED | (getattr(mmap, "MAP_POPULATE", 0) if there else 0)
        content = mmap.mmap(self._file.fileno(), self._nbytes, flags=flags, offset=number * self._stride)
        return np.frombuffer(content, self._dtype).reshape(self._chunks), there

    def done(self, key: Key) -> None:
        """The chunk is whole from now on."""
        with self._lock:
            self._written.add(int(np.ravel_multi_index(key, self._grid)))

    def close(self) -> None:
        """Give its space back, once the last map of it is gone."""
        self._file.close()


def room_for(folder: Path, nbytes: int) -> bool:
    """Whether a disk has room for so many bytes, and as many again; the folder is made if it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return nbytes <= SHARE * shutil.disk_usage(folder).free
