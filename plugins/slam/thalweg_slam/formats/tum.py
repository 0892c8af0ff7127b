"""TUM: a trajectory as lines of `time x y z qx qy qz qw`, s and m."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..trajectory import Trajectory
from ._assembly import rounded
from ._tables import read_bytes, table, write_text


def read_tum(path: str | Path) -> Trajectory:
    """A trajectory in the format of the TUM RGB-D benchmark. Raises `SourceError` that names the line."""
    lines = [line for line in read_bytes(str(path)).splitlines() if line.strip() and not line.startswith(b"#")]
    _, values = table(lines, tag="", ids=0, values=8, path=str(path))
    return Trajectory(values[:, 1:4], rounded(values[:, 4:]), values[:, 0])


def write_tum(path: str | Path, trajectory: Trajectory) -> None:
    """Write a trajectory in 3-D; its poses are numbered if they have no times."""
    stamps = np.arange(len(trajectory)) if trajectory.stamps is None else trajectory.stamps
    rows = np.column_stack([stamps, trajectory.translation, trajectory.rotation])
    write_text(str(path), "".join(" ".join(map(repr, row.tolist())) + "\n" for row in rows))
