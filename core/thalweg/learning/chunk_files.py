"""Chunks that are files of their own, with codecs that are known here."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import zarr

Array = np.ndarray[Any, Any]
Key = tuple[int, ...]


class ChunkFiles:
    """The files of an array's chunks: bytes, perhaps compressed by `decode`, perhaps with a CRC-32C at their end."""

    def __init__(
        self, root: str, *, name: Callable[[Key], str], decode: Callable[..., Any] | None, checked: bool
    ) -> None:
        self._root, self._name, self.decode, self._checked = root, name, decode, checked
        self._sound: set[Key] = set()

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> ChunkFiles | None:
        """The files of an array; None if there are none, or not by codecs that are known here."""
        from zarr.storage import LocalStore

        metadata: Any = array.metadata
        store: Any = array.store
        if not isinstance(store, LocalStore) or metadata.zarr_format != 3 or getattr(array, "shards", None):
            return None
        codecs = [each.to_dict() for each in metadata.codecs]
        names = [each["name"] for each in codecs]
        endian = (codecs[0].get("configuration") or {}).get("endian", "little")
        checked = names[-1] == "crc32c"
        middle = names[1 : len(names) - checked]
        if names[0] != "bytes" or getattr(endian, "value", endian) not in ("little", None) or len(middle) > 1:
            return None
        if middle and middle[0] not in ("zstd", "blosc"):
            return None
        decode: Callable[..., Any] | None = None
        if middle:
            from numcodecs import blosc, zstd  # type: ignore[import-untyped]

            decode = zstd.decompress if middle[0] == "zstd" else blosc.decompress
        root = os.path.join(store.root, array.path)  # noqa: PTH118
        return cls(root, name=metadata.encode_chunk_key, decode=decode, checked=checked)

    def stored(self, key: Key) -> Array | None:
        """The bytes of a chunk, mapped, without their checksum; None if they are not there, or not sound.

        The checksum is looked at once in the life of a reader.
        """
        try:
            # pathlib takes longer than to copy a small chunk.
            with io.FileIO(f"{self._root}/{self._name(key)}") as file:
                content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        except (FileNotFoundError, ValueError):  # an empty file cannot be mapped
            return None
        if not self._checked:
            return content
        content, checksum = content[:-4], content[-4:]
        if key not in self._sound:
            import google_crc32c

            if google_crc32c.value(content) != int.from_bytes(checksum.tobytes(), "little"):
                return None
            self._sound.add(key)
        return content
