"""TORO, as GTSAM's examples have it: pose graphs with Euler angles.

    VERTEX2 id x y angle                    EDGE2 i j  x y angle  Ixx Ixy Iyy Iaa Ixa Iya
    VERTEX3 id x y z roll pitch yaw         EDGE3 i j  x y z roll pitch yaw  I11 I12 ... I66

Roll, pitch and yaw turn about the fixed x, y and z axis, in that order; information is in the order of the measurement.
(GTSAM reads that of EDGE3 as of rotation first, which the noise in its own sphere contradicts.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg.errors import SourceError

from ..graph import Graph
from ..poses import Array, quaternion_of_euler
from ._assembly import Parts, assemble, upper
from ._tables import by_tag, read_bytes, table

_TAGS = {2: (("VERTEX2", "VERTEX"), ("EDGE2", "EDGE", "ODOMETRY")), 3: (("VERTEX3",), ("EDGE3",))}
_PLANAR = (0, 1, 4, 2, 5, 3)
"""Ixx Ixy Iyy Iaa Ixa Iya, as an upper triangle row by row."""


def read_toro(path: str | Path) -> Graph:
    """The pose graph of a TORO file, gzipped or not. Raises `SourceError` that names the line."""
    path = str(path)
    lines = by_tag(read_bytes(path))
    known = {tag: dims for dims, kinds in _TAGS.items() for tags in kinds for tag in tags}
    strange = [tag for tag in lines if tag not in known]
    found = {known[tag] for tag in lines if tag in known}
    if strange or len(found) != 1:
        raise SourceError(
            f"{path!r} has {f'lines of {strange[0]!r}' if strange else 'no poses in either 2-D or 3-D'}",
            allowed=", ".join(known),
            advice="read EDGE_SE2 and EDGE_SE3:QUAT with `read_g2o`; take landmarks out",
        )
    dims = found.pop()
    pose, size = (3, 6) if dims == 2 else (6, 21)
    parts = Parts(dims)
    vertices, edges = _TAGS[dims]
    for tag in (each for each in vertices if each in lines):
        ids, values = table(lines[tag], tag=tag, ids=1, values=pose, path=path)
        parts.nodes.append((ids[:, 0], *_split(values, dims=dims)))
    for tag in (each for each in edges if each in lines):
        ids, values = table(lines[tag], tag=tag, ids=2, values=pose + size, path=path)
        information = values[:, pose:]
        parts.edges.append(
            (ids, *_split(values, dims=dims), upper(information[:, _PLANAR] if dims == 2 else information))
        )
    return assemble(parts, path=path, convention="log", attrs={"source": Path(path).name})


def _split(values: Array, *, dims: int) -> tuple[Array, Array]:
    if dims == 2:
        return values[:, :2], values[:, 2]
    return values[:, :3], np.asarray(quaternion_of_euler(values[:, 3], values[:, 4], values[:, 5]))
