"""g2o: the text format of pose graphs.

    VERTEX_SE2 id x y angle                     EDGE_SE2 i j  x y angle  I11 I12 I13 I22 I23 I33
    VERTEX_SE3:QUAT id x y z qx qy qz qw        EDGE_SE3:QUAT i j  x y z qx qy qz qw  I11 I12 ... I66
    FIX id                                      EDGE_PRIOR_SE2 id ...,  EDGE_SE3_PRIOR id parameter ...

An edge measures $T_i^{-1} T_j$. In 3-D g2o weighs the vector part of the quaternion (half the angle) where GTSAM, Ceres
and SE-Sync weigh the rotation vector with the same numbers; a file does not say which is meant, so a reader is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from thalweg.errors import SourceError

from ..graph import PRIOR, Convention, Graph
from ._assembly import Parts, assemble, triangle, upper
from ._tables import by_tag, read_bytes, table, write_text

Array = np.ndarray[Any, np.dtype[Any]]
Order = Literal["xyzw", "wxyz"]

_IGNORED = ("PARAMS_SE2OFFSET", "PARAMS_SE3OFFSET")
_TAGS = {
    2: ("VERTEX_SE2", "EDGE_SE2", "EDGE_PRIOR_SE2"),
    3: ("VERTEX_SE3:QUAT", "EDGE_SE3:QUAT", "EDGE_SE3_PRIOR"),
}


def read_g2o(path: str | Path, *, convention: Convention = "log", quaternion: Order = "xyzw") -> Graph:
    """The pose graph of a g2o file, gzipped or not; its first pose is the gauge if the file fixes none.

    `convention` tells what the information of a 3-D file weighs: `log` as GTSAM, Ceres and SE-Sync read it, `vector` as
    g2o does. Raises `SourceError` that names the line.
    """
    path = str(path)
    lines = by_tag(read_bytes(path))
    known = {tag for tags in _TAGS.values() for tag in tags}
    strange = [tag for tag in lines if tag not in known and tag not in ("FIX", *_IGNORED)]
    if strange:
        raise SourceError(
            f"{path!r} has lines of {strange[0]!r}",
            allowed=", ".join(sorted(known | {"FIX"})),
            advice="read TORO's EDGE2 and EDGE3 with `read_toro`; take landmarks out",
        )
    dims = {d for d, tags in _TAGS.items() if any(tag in lines for tag in tags)}
    if len(dims) != 1:
        raise SourceError(
            f"{path!r} has {'poses in 2-D and in 3-D' if dims else 'no poses'}", allowed="SE(2) or SE(3), not both"
        )
    parts = _parts(lines, dims=dims.pop(), path=path, order=quaternion)
    return assemble(parts, path=path, convention=convention, attrs={"source": Path(path).name})


def _parts(lines: dict[str, list[bytes]], *, dims: int, path: str, order: Order) -> Parts:
    vertex, edge, prior = _TAGS[dims]
    pose, size = (3, 6) if dims == 2 else (7, 21)
    parts = Parts(dims)

    def split(values: Array) -> tuple[Array, Array]:
        if dims == 2:
            return values[:, :2], values[:, 2]
        return values[:, :3], values[:, 3:7] if order == "xyzw" else values[:, [4, 5, 6, 3]]

    if vertex in lines:
        ids, values = table(lines[vertex], tag=vertex, ids=1, values=pose, path=path)
        parts.nodes.append((ids[:, 0], *split(values)))
    if edge in lines:
        ids, values = table(lines[edge], tag=edge, ids=2, values=pose + size, path=path)
        parts.edges.append((ids, *split(values), upper(values[:, pose:])))
    if prior in lines:
        # In 3-D the second id is that of a sensor's offset, which is the identity unless a file says otherwise.
        ids, values = table(lines[prior], tag=prior, ids=dims - 1, values=pose + size, path=path)
        parts.edges.append((ids[:, [0, 0]], *split(values), upper(values[:, pose:])))
    for line in lines.get("FIX", ()):
        parts.fixed.append(np.array(line.split()[1:], dtype=np.int64))
    return parts


def write_g2o(path: str | Path, graph: Graph) -> None:
    """Write a graph, to be read back as it is (but for the kinds of its edges, and its convention)."""
    vertex, edge, prior = _TAGS[graph.dims]
    flat = (graph.rotation[:, None] if graph.dims == 2 else graph.rotation, graph.edge_rotation)
    turned = flat[1][:, None] if graph.dims == 2 else flat[1]
    poses = np.concatenate([graph.translation, flat[0]], axis=1)
    measured = np.concatenate([graph.edge_translation, turned, triangle(graph.information)], axis=1)
    names = graph.ids[graph.edges]
    lines = [f"{vertex} {name} {_text(pose)}" for name, pose in zip(graph.ids, poses, strict=True)]
    lines += [f"FIX {name}" for name in graph.ids[graph.fixed]]
    for (first, second), kind, values in zip(names, graph.kind, measured, strict=True):
        ends = f"{first} {second}" if kind != PRIOR else f"{first}" if graph.dims == 2 else f"{first} 0"
        lines.append(f"{prior if kind == PRIOR else edge} {ends} {_text(values)}")
    write_text(str(path), "\n".join(lines) + "\n")


def _text(values: Array) -> str:
    return " ".join(map(repr, values.tolist()))
