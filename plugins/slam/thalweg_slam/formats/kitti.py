"""KITTI: a trajectory as lines of the first three rows of a pose's matrix, row by row; times in a file of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg import SourceError

from ..poses import Array, quaternion_of
from ..trajectory import Trajectory
from ._gate import Rows, Unit, clock, gate, rows_of
from ._tables import Lines, place, table

APART = 1e-2
"""Of what is no rotation: the largest entry of R^T R - 1. Files with six digits are off by 1e-5, poses that were
composed in single precision by 1e-3."""


def read_kitti(path: str | Path, *, times: str | Path = "", rows: Rows = "refuse", unit: Unit = "s") -> Trajectory:
    """A trajectory in the format of the KITTI odometry benchmark. Raises `SourceError` that names the line.

    A row is a frame: without `times` none may be dropped, and with them rows are in order of time.
    """
    lines = rows_of(str(path))
    _, values = table(lines, tag="", ids=0, values=12, path=str(path))
    matrix = values.reshape(-1, 3, 4)
    stamps, seconds = None, None
    if times:
        read = rows_of(str(times))
        _, values = table(read, tag="", ids=0, values=1, path=str(times))
        seconds = values[:, 0] if unit == "s" else None
        stamps = clock([line.strip() for line in read.text], unit=unit, lines=read, path=str(times), rows=rows)
        if len(stamps) != len(matrix):
            raise SourceError(
                f"{str(times)!r} has {len(stamps)} times", allowed=f"{len(matrix)}, one per pose of {str(path)!r}"
            )
    rotation = _rotations(matrix[:, :, :3], lines=lines, path=str(path), refuse=rows == "refuse" or not times)
    return gate(matrix[:, :, 3], rotation, stamps, lines=lines, path=str(path), rows=rows, stamps=seconds)


def _rotations(matrix: Array, *, lines: Lines, path: str, refuse: bool) -> Array:
    """Quaternions; zero of what is no rotation. Raises `SourceError` for these if they are refused."""
    finite = np.asarray(np.isfinite(matrix).all(axis=(1, 2)))
    known = np.where(finite[:, None, None], matrix, np.eye(3))
    off = np.abs(known.transpose(0, 2, 1) @ known - np.eye(3)).max(axis=(1, 2))
    right = np.asarray(np.linalg.det(known))
    wrong = (off > APART) | (right <= 0)
    if wrong.any() and refuse:
        first = int(np.flatnonzero(wrong)[0])
        more = int(wrong.sum()) - 1
        raise SourceError(
            f"{place(path, lines.numbers[first])}: no rotation{f' ({more} more such lines)' if more else ''}: "
            f"{lines.text[first].decode(errors='replace')[:60]!r}",
            allowed="three rows of a rotation and a position, right-handed, row by row",
            advice="mend the line, or take it out of all files",
        )
    rotation = quaternion_of(np.where(wrong[:, None, None], np.eye(3), known))
    rotation[wrong] = 0.0
    rotation[~finite] = np.nan
    return rotation
