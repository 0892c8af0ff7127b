"""Numbers of a text file, gzipped or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg.errors import SourceError

from ...formats._tables import read_bytes
from ..problem import Array


def content(path: str | Path) -> bytes:
    """The bytes of a file, unpacked."""
    return read_bytes(str(path))


def numbers(path: str | Path) -> Array:
    """Every number of a text file; lines that begin with # are comments."""
    text = content(path)
    if b"#" in text:
        text = b"\n".join(line for line in text.splitlines() if not line.lstrip().startswith(b"#"))
    words = text.split()
    try:
        return np.array(words, dtype=np.float64)
    except ValueError as error:
        raise SourceError(f"{str(path)!r} is not a file of numbers: {error}") from error


def counts(path: str | Path, values: Array, *, head: int, size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Cameras, points and observations as the first line has them; `size` is how many numbers each of them takes."""
    if len(values) < head or not (values[:3] == np.floor(values[:3])).all() or (values[:3] < 1).any():
        raise SourceError(
            f"{str(path)!r} begins with {values[:3].tolist()!r}", allowed="counts of cameras, points, observations"
        )
    cameras, points, observations = (int(value) for value in values[:3])
    wanted = head + cameras * size[0] + points * size[1] + observations * size[2]
    if len(values) != wanted:
        raise SourceError(
            f"{str(path)!r} has {len(values)} numbers; its first line says {cameras} cameras, {points} points, "
            f"{observations} observations",
            allowed=f"{wanted} numbers",
            advice="the file was cut off, or is of another format",
        )
    return cameras, points, observations


def pairs(path: str | Path, values: Array, *, cameras: int, points: int) -> Array:
    """Camera and point of every observation, as int32."""
    found = values.astype(np.int32)
    wrong = np.flatnonzero((found != values).any(1) | (found < 0).any(1) | (found >= (cameras, points)).any(1))
    if len(wrong):
        raise SourceError(
            f"{str(path)!r}: observation {wrong[0]} is of camera, point {values[wrong[0]].tolist()!r}",
            allowed=f"cameras 0 to {cameras - 1}, points 0 to {points - 1}",
        )
    return found
