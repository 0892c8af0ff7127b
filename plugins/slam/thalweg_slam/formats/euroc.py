"""EuRoC: a trajectory as comma-separated `time x y z qw qx qy qz ...`, ns and m, quaternions scalar first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..trajectory import Trajectory
from ._assembly import rounded
from ._tables import read_bytes, table


def read_euroc(path: str | Path) -> Trajectory:
    """A trajectory in the format of EuRoC's ground truth, velocities and biases left out. Raises `SourceError`.

    Times count from the first, so that ns of an epoch do not lose their digits; `origin` is that first, in ns.
    """
    content = read_bytes(str(path)).replace(b",", b" ")
    lines = [b" ".join(line.split()[:8]) for line in content.splitlines() if line.strip() and not line.startswith(b"#")]
    stamps, values = table(lines, tag="", ids=1, values=7, path=str(path))
    first = int(stamps[0, 0]) if len(stamps) else 0
    return Trajectory(
        values[:, :3], rounded(values[:, [4, 5, 6, 3]]), np.asarray((stamps[:, 0] - first) * 1e-9), origin=first
    )
