"""KITTI: a trajectory as lines of the first three rows of a pose's matrix, row by row; times in a file of their own."""

from __future__ import annotations

from pathlib import Path

from thalweg.errors import SourceError

from ..poses import quaternion_of
from ..trajectory import Trajectory
from ._tables import read_bytes, table


def read_kitti(path: str | Path, *, times: str | Path = "") -> Trajectory:
    """A trajectory in the format of the KITTI odometry benchmark. Raises `SourceError` that names the line."""
    _, values = table(_lines(str(path)), tag="", ids=0, values=12, path=str(path))
    matrix = values.reshape(-1, 3, 4)
    stamps = None
    if times:
        _, read = table(_lines(str(times)), tag="", ids=0, values=1, path=str(times))
        stamps = read[:, 0]
        if len(stamps) != len(matrix):
            raise SourceError(
                f"{str(times)!r} has {len(stamps)} times", allowed=f"{len(matrix)}, one per pose of {str(path)!r}"
            )
    return Trajectory(matrix[:, :, 3], quaternion_of(matrix[:, :, :3]), stamps)


def _lines(path: str) -> list[bytes]:
    return [line for line in read_bytes(path).splitlines() if line.strip()]
