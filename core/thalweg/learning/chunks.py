"""Chunks of zarr arrays, decoded into memory of the reader's own, and kept while they are needed.

zarr reads any array; but each of its reads starts tasks, allocates, and copies twice, which costs more than to decode
8-bit radar. So chunks of local files with the codecs that thalweg writes (Zstandard or Blosc, CRC-32C, or none) are
read and decoded here straight into a buffer, without the interpreter's lock; all others by zarr.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    import zarr

Array = np.ndarray[Any, Any]
Key = tuple[int, ...]


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
        self._decode = None if getattr(array, "shards", None) else _decoder(array)
        self._scratch = threading.local()

    @property
    def nbytes(self) -> int:
        """Bytes of one chunk."""
        return int(np.prod(self.chunks)) * self.dtype.itemsize

    def read(self, key: Key, out: Array) -> None:
        """Decode one chunk into `out`, C-contiguous, of the chunk's shape."""
        if self._decode is not None and self._direct(key, out):
            return
        # Also where a checksum does not match: zarr knows how to say so.
        at = tuple(
            slice(i * n, min((i + 1) * n, size)) for i, n, size in zip(key, self.chunks, self.shape, strict=True)
        )
        out[tuple(slice(0, each.stop - each.start) for each in at)] = self.array[at]

    def _direct(self, key: Key, out: Array) -> bool:
        assert self._decode is not None
        root, name, decode, checked = self._decode
        try:
            with Path(root, name(key)).open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                stored = size - (4 if checked else 0)
                flat = out.reshape(-1).view(np.uint8)
                if decode is None and stored == flat.nbytes:
                    body, tail = flat, np.empty(size - stored, np.uint8)
                    into: Any = [body, tail]
                    read = os.readv(file.fileno(), into)
                else:
                    scratch = self._buffer(size)
                    read = file.readinto(scratch.data)
                    body, tail = scratch[:stored], scratch[stored:]
        except FileNotFoundError:
            return False
        if read != size or (checked and _crc32c(body) != int.from_bytes(tail.tobytes(), "little")):
            return False
        if decode is not None:
            decode(body, flat)
        return decode is not None or stored == flat.nbytes

    def _buffer(self, size: int) -> Array:
        """Memory of this thread, so that compressed bytes are not allocated for each chunk."""
        kept = getattr(self._scratch, "buffer", None)
        if kept is None or len(kept) < size:
            self._scratch.buffer = kept = np.empty(size, np.uint8)
        return np.asarray(kept[:size])


def _decoder(array: zarr.Array[Any]) -> tuple[Path, Callable[[Key], str], Callable[..., Any] | None, bool] | None:
    """Where the chunks are files, and how to decode one, if we can."""
    from zarr.storage import LocalStore

    metadata: Any = array.metadata
    store: Any = array.store
    if not isinstance(store, LocalStore) or metadata.zarr_format != 3:
        return None
    codecs = [each.to_dict() for each in metadata.codecs]
    names = [each["name"] for each in codecs]
    endian = (codecs[0].get("configuration") or {}).get("endian", "little")
    if names[0] != "bytes" or getattr(endian, "value", endian) not in ("little", None):
        return None
    checked = names[-1] == "crc32c"
    middle = names[1 : len(names) - checked]
    if len(middle) > 1 or (middle and middle[0] not in ("zstd", "blosc")):
        return None
    decode: Callable[..., Any] | None = None
    if middle:
        from numcodecs import blosc, zstd  # type: ignore[import-untyped]

        decode = zstd.decompress if middle[0] == "zstd" else blosc.decompress
    return Path(store.root, array.path), metadata.encode_chunk_key, decode, checked


def _crc32c(data: Array) -> int:
    import google_crc32c

    return int(google_crc32c.value(data))


class ChunkCache:
    """The last chunks that were asked for, in `slots` buffers of one chunk each; one thread asks at a time."""

    def __init__(self, chunks: Chunks, slots: int) -> None:
        self.chunks, self.slots = chunks, max(1, slots)
        self._kept: OrderedDict[Key, Array] = OrderedDict()
        self.decoded = 0
        """Chunks decoded so far."""

    def get(self, keys: Iterable[Key], pool: Executor) -> dict[Key, Array]:
        """These chunks, decoded side by side where they are not kept; valid until the next call.

        More than `slots` of them are held only while they are in use.
        """
        wanted = dict.fromkeys(keys)
        for key in wanted.keys() & self._kept.keys():
            self._kept.move_to_end(key)
        missing = [key for key in wanted if key not in self._kept]
        free = []
        while self._kept and len(self._kept) + len(missing) > self.slots:
            key = next(iter(self._kept))
            if key in wanted:
                break
            free.append(self._kept.pop(key))
        fresh = [free.pop() if free else np.empty(self.chunks.chunks, self.chunks.dtype) for _ in missing]
        list(pool.map(self.chunks.read, missing, fresh))
        self.decoded += len(missing)
        self._kept.update(zip(missing, fresh, strict=True))
        return {key: self._kept[key] for key in wanted}
