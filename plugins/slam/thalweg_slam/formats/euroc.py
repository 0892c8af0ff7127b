"""EuRoC: a trajectory as comma-separated `time x y z qw qx qy qz ...`, ns and m, quaternions scalar first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..trajectory import Trajectory
from ._gate import Rows, Unit, clock, gate, rows_of
from ._tables import Lines, table


def read_euroc(path: str | Path, *, rows: Rows = "refuse", unit: Unit = "ns") -> Trajectory:
    """A trajectory in the format of EuRoC's ground truth, velocities and biases left out, in order of time.

    Times count from the first, so that ns of an epoch do not lose their digits; `origin` is that first, in ns. `unit`
    is that of the file's times. Raises `SourceError` that names the line of what is wrong with it.
    """
    read = rows_of(str(path))
    lines = Lines([b" ".join(line.split()[:8]) for line in read.text], read.numbers)
    _, values = table(lines, tag="", ids=0, values=8, path=str(path))
    words = [line.split(None, 1)[0] for line in lines.text]
    times = clock(words, unit=unit, lines=lines, path=str(path), rows=rows)
    found = gate(values[:, 1:4], values[:, [5, 6, 7, 4]], times, lines=lines, path=str(path), rows=rows)
    first = int(found.nanoseconds[0])
    stamps = np.asarray((found.nanoseconds - first) * 1e-9)
    return replace(found, stamps=stamps, origin=first, exact=found.nanoseconds)
