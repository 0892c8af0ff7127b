"""TUM: a trajectory as lines of `time x y z qx qy qz qw`, s and m."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg import OptionError

from ..trajectory import Trajectory
from ._gate import Rows, Unit, clock, gate, rows_of
from ._order import check_order
from ._tables import table, write_text


def read_tum(path: str | Path, *, rows: Rows = "refuse", unit: Unit = "s") -> Trajectory:
    """A trajectory in the format of the TUM RGB-D benchmark, parted by blanks or commas, in order of time.

    `unit` is that of the file's times. Raises `SourceError` that names the line of what is wrong with it.
    """
    lines = rows_of(str(path))
    _, values = table(lines, tag="", ids=0, values=8, path=str(path))
    words = [line.split(None, 1)[0] for line in lines.text]
    times = clock(words, unit=unit, lines=lines, path=str(path), rows=rows)
    stamps = values[:, 0] if unit == "s" else None
    return gate(values[:, 1:4], values[:, 4:], times, lines=lines, path=str(path), rows=rows, stamps=stamps)


def write_tum(path: str | Path, trajectory: Trajectory) -> None:
    """Write a trajectory in 3-D; its poses are numbered if they have no times. Times keep their last ns."""
    check_order(path, trajectory, kind=Trajectory, call="write_tum(path, trajectory)")
    if trajectory.dims != 3:
        raise OptionError("a trajectory in 2-D", allowed="poses in 3-D, as TUM has them")
    rows = np.column_stack([trajectory.translation, trajectory.rotation]).tolist()
    lines = (" ".join([time, *map(repr, row)]) for time, row in zip(_times(trajectory), rows, strict=True))
    write_text(str(path), "".join(line + "\n" for line in lines))


def _times(trajectory: Trajectory) -> list[str]:
    if trajectory.stamps is None:
        return [repr(float(i)) for i in range(len(trajectory))]
    if trajectory.exact is None and not trajectory.origin:
        return [repr(each) for each in trajectory.stamps.tolist()]
    times = trajectory.nanoseconds.tolist()
    return [f"{'-' if each < 0 else ''}{abs(each) // 10**9}.{abs(each) % 10**9:09d}" for each in times]
