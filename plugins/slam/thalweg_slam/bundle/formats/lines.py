"""Numbers of a text file, gzipped or not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from thalweg import SourceError

from ...formats._tables import place, read_bytes
from ..problem import Array


def content(path: str | Path) -> bytes:
    """The bytes of a file, unpacked."""
    return read_bytes(str(path))


Invalid = Literal["refuse", "keep"]
"""Numbers that are not finite are refused, or kept for `repair` to leave out."""


def numbers(path: str | Path, *, invalid: Invalid = "refuse") -> Array:
    """Every number of a text file; lines that begin with # are comments. Raises `SourceError` that names the line."""
    text = content(path)
    if b"\0" in text[:4096]:
        raise SourceError(f"{str(path)!r} is a binary file", allowed="a text file of numbers, gzipped or not")
    lines = [b"" if line.lstrip().startswith(b"#") else line for line in text.splitlines()]
    words = b"\n".join(lines).split()
    try:
        # Python takes 1_0 for 10.
        if any(b"_" in line for line in lines):
            raise ValueError
        found = np.array(words, dtype=np.float64)
    except ValueError:
        wrong = next(number for number, word in enumerate(words) if not _number(word))
        raise SourceError(
            f"{_place(path, lines, wrong)}: {words[wrong].decode(errors='replace')[:40]!r}, which is not a number",
            allowed="a file of numbers",
            advice="mend the line, or look at the path and the format",
        ) from None
    wrong = int(np.argmax(~np.isfinite(found))) if len(found) else 0
    if invalid == "refuse" and len(found) and not np.isfinite(found[wrong]):
        raise SourceError(
            f"{_place(path, lines, wrong)}: {words[wrong].decode()!r}, which is not finite",
            allowed="numbers that are finite",
            advice="mend the line; or leave them out: invalid='keep' and `repair`, `repair: true` in a recipe",
        )
    return found


def _number(word: bytes) -> bool:
    try:
        np.array([word], dtype=np.float64)
    except ValueError:
        return False
    return b"_" not in word


def _place(path: str | Path, lines: list[bytes], word: int) -> str:
    """The line of a word, counted from 0."""
    ends = np.cumsum([len(line.split()) for line in lines])
    return place(str(path), int(np.searchsorted(ends, word, side="right")) + 1)


def counts(path: str | Path, values: Array, *, head: int, size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Cameras, points and observations as the first line has them; `size` is how many numbers each of them takes."""
    # A count of observations beyond 2^53 is none that a file can hold, and infinity is no number of them.
    if (
        len(values) < head
        or not ((values[:3] == np.floor(values[:3])) & (values[:3] >= 1) & (values[:3] < 2**53)).all()
    ):
        raise SourceError(
            f"{str(path)!r} begins with {values[:3].tolist()!r}",
            allowed="counts of cameras, points, observations",
            advice="look at the path and the format",
        )
    cameras, points, observations = (int(value) for value in values[:3])
    wanted = head + cameras * size[0] + points * size[1] + observations * size[2]
    if len(values) != wanted:
        raise SourceError(
            f"{str(path)!r} has {len(values)} numbers; its first line says {cameras} cameras, {points} points, "
            f"{observations} observations",
            allowed=f"{wanted} numbers",
            advice="look whether the file was cut off, or is of another format",
        )
    return cameras, points, observations


def pairs(path: str | Path, values: Array, *, cameras: int, points: int) -> Array:
    """Camera and point of every observation, as int32."""
    # Beyond 32 bits a number would be another one.
    found = np.nan_to_num(values, nan=-1).clip(-1, 2**31 - 1).astype(np.int32)
    wrong = np.flatnonzero((found != values).any(1) | (found < 0).any(1) | (found >= (cameras, points)).any(1))
    if len(wrong):
        raise SourceError(
            f"{str(path)!r}: observation {wrong[0]} is of camera, point {values[wrong[0]].tolist()!r}",
            allowed=f"cameras 0 to {cameras - 1}, points 0 to {points - 1}",
            advice="mend the line, or take it out and count one observation less",
        )
    return found
