"""g2o: the text format of pose graphs.

    VERTEX_SE2 id x y angle                     EDGE_SE2 i j  x y angle  I11 I12 I13 I22 I23 I33
    VERTEX_SE3:QUAT id x y z qx qy qz qw        EDGE_SE3:QUAT i j  x y z qx qy qz qw  I11 I12 ... I66
    PARAMS_SE2OFFSET id x y angle               EDGE_SE2_OFFSET i j offset_i offset_j  ...
    PARAMS_SE3OFFSET id x y z qx qy qz qw       EDGE_SE3_OFFSET i j offset_i offset_j  ...
    FIX id ...                                  EDGE_PRIOR_SE2 id ...,  EDGE_SE3_PRIOR id offset ...
                                                EDGE_PRIOR_SE2_XY id x y I11 I12 I22
                                                EDGE_SE3_XYZ_PRIOR id offset  x y z  I11 I12 ... I33

An edge measures $T_i^{-1} T_j$, or, where it names offsets of sensors, from sensor to sensor. In 3-D g2o weighs the
vector part of the quaternion (half the angle) where GTSAM, Ceres and SE-Sync weigh the rotation vector with the same
numbers; a file does not say which is meant, so a reader is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from thalweg import SourceError

from ..graph import LOOP, POSITION, PRIOR, Convention, Graph
from ._assembly import Part, Parts, Unknown, assemble, triangle, unit, upper
from ._offsets import Offsets, between_poses
from ._order import check_order
from ._tables import Lines, by_tag, place, read_bytes, table, write_text

Array = np.ndarray[Any, np.dtype[Any]]
Order = Literal["xyzw", "wxyz"]
Invalid = Literal["refuse", "keep"]
"""Numbers that are not finite and quaternions that are zero are refused, or kept for `repair` to leave out."""


@dataclass(frozen=True)
class _Edge:
    dims: int
    ends: int
    offsets: int = 0
    kind: int = LOOP
    """LOOP stands for an edge between two poses."""


_VERTEX = {2: "VERTEX_SE2", 3: "VERTEX_SE3:QUAT"}
_OFFSET = {2: "PARAMS_SE2OFFSET", 3: "PARAMS_SE3OFFSET"}
_EDGES = {
    "EDGE_SE2": _Edge(2, 2),
    "EDGE_SE2_OFFSET": _Edge(2, 2, 2),
    "EDGE_PRIOR_SE2": _Edge(2, 1, kind=PRIOR),
    "EDGE_PRIOR_SE2_XY": _Edge(2, 1, kind=POSITION),
    "EDGE_SE3:QUAT": _Edge(3, 2),
    "EDGE_SE3_OFFSET": _Edge(3, 2, 2),
    "EDGE_SE3_PRIOR": _Edge(3, 1, 1, kind=PRIOR),
    "EDGE_SE3_XYZ_PRIOR": _Edge(3, 1, 1, kind=POSITION),
}
_WRITTEN = {
    (2, PRIOR): "EDGE_PRIOR_SE2",
    (2, POSITION): "EDGE_PRIOR_SE2_XY",
    (3, PRIOR): "EDGE_SE3_PRIOR",
    (3, POSITION): "EDGE_SE3_XYZ_PRIOR",
}


def read_g2o(
    path: str | Path,
    *,
    convention: Convention = "log",
    quaternion: Order = "xyzw",
    unknown: Unknown = "refuse",
    invalid: Invalid = "refuse",
    odometry: int | None = None,
) -> Graph:
    """The pose graph of a g2o file, gzipped or not; its first pose is the gauge if the file holds none.

    `convention` tells what the information of a 3-D file weighs: `log` as GTSAM, Ceres and SE-Sync read it, `vector` as
    g2o does. `odometry` tells how many edges at the beginning of the file are odometry; if None, one edge is between
    each two poses whose ids follow one another (`graph.kinds`). Landmarks are no poses: `unknown` "skip" leaves their
    lines out. What was left out or changed is logged, and kept in `attrs["notes"]`. Raises `SourceError` that names the
    line.
    """
    path = str(path)
    lines = by_tag(read_bytes(path), path=path)
    skipped = _skipped(lines, path=path, unknown=unknown)
    dims = {tag.dims for name, tag in _EDGES.items() if name in lines}
    dims |= {d for d, tag in _VERTEX.items() if tag in lines}
    if len(dims) != 1:
        raise SourceError(
            f"{path!r} has {'poses in 2-D and in 3-D' if dims else 'no poses'}", allowed="SE(2) or SE(3), not both"
        )
    reader = _Reader(lines, dims.pop(), path, convention, quaternion, invalid)
    attrs: dict[str, Any] = {"source": Path(path).name}
    if skipped:
        attrs |= {"skipped": skipped}
        reader.parts.notes.append("left out: " + ", ".join(f"{count} lines of {tag}" for tag, count in skipped.items()))
    return assemble(reader.read(), path=path, convention=convention, attrs=attrs, odometry=odometry)


def _skipped(lines: dict[str, Lines], *, path: str, unknown: str) -> dict[str, int]:
    known = {*_VERTEX.values(), *_OFFSET.values(), *_EDGES, "FIX"}
    strange = {tag: len(each) for tag, each in lines.items() if tag not in known}
    if strange and unknown == "refuse":
        tag = next(iter(strange))
        more = f" ({', '.join(strange)} in all)" if len(strange) > 1 else ""
        raise SourceError(
            f"{place(path, lines[tag].numbers[0])}: lines of {tag!r}{more}",
            allowed=", ".join(sorted(known)),
            advice="leave them out with unknown='skip'; read TORO's EDGE2 and EDGE3 with `read_toro`",
        )
    return strange


@dataclass
class _Reader:
    lines: dict[str, Lines]
    dims: int
    path: str
    convention: Convention
    order: Order
    invalid: Invalid

    def __post_init__(self) -> None:
        self.pose, self.size = (3, 6) if self.dims == 2 else (7, 21)
        self.parts = Parts(self.dims, keep=self.invalid == "keep")

    def read(self) -> Parts:
        lines, vertex = self.lines, _VERTEX[self.dims]
        if vertex in lines:
            ids, values = self._table(vertex, ids=1, values=self.pose)
            self.parts.nodes.append(Part(ids[:, 0], *self._split(values), np.array(lines[vertex].numbers)))
        offsets = self._offsets()
        for tag, edge in _EDGES.items():
            if tag in lines and edge.dims == self.dims:
                self._edges(tag, edge, offsets)
        fixed = lines.get("FIX", Lines())
        for line, number in zip(fixed.text, fixed.numbers, strict=True):
            self._fixed(line, number)
        return self.parts

    def _table(self, tag: str, *, ids: int, values: int) -> tuple[Array, Array]:
        finite = self.invalid == "refuse"
        return table(self.lines[tag], tag=tag, ids=ids, values=values, path=self.path, finite=finite)

    def _split(self, values: Array) -> tuple[Array, Array]:
        if self.dims == 2:
            return values[:, :2], values[:, 2]
        return values[:, :3], values[:, 3:7] if self.order == "xyzw" else values[:, [4, 5, 6, 3]]

    def _offsets(self) -> Offsets:
        tag = _OFFSET[self.dims]
        found = Offsets(self.dims, self.path, tag)
        if tag not in self.lines:
            return found
        lines = self.lines[tag]
        ids, values = table(lines, tag=tag, ids=1, values=self.pose, path=self.path, finite=True)
        found.ids, (found.translation, turn) = ids[:, 0], self._split(values)
        found.rotation = unit(turn, lines=np.array(lines.numbers), path=self.path)
        _, first, counts = np.unique(found.ids, return_index=True, return_counts=True)
        if (counts > 1).any():
            again = int(found.ids[first[counts > 1][0]])
            number = lines.numbers[int(np.flatnonzero(found.ids == again)[1])]
            raise SourceError(
                f"{place(self.path, number)}: offset {again} is given before",
                allowed="each id once",
                advice="rename it",
            )
        return found

    def _edges(self, tag: str, edge: _Edge, offsets: Offsets) -> None:
        lines, position = self.lines[tag], edge.kind == POSITION
        pose, size = ((2, 3) if self.dims == 2 else (3, 6)) if position else (self.pose, self.size)
        ids, values = self._table(tag, ids=edge.ends + edge.offsets, values=pose + size)
        numbers, information = np.array(lines.numbers), upper(values[:, pose:])
        ends = ids[:, [0, edge.ends - 1]]
        if position:
            # g2o names an offset here as well, and does not use it.
            for k in range(edge.offsets):
                offsets.of(ids[:, edge.ends + k], lines)
            shift = values[:, :pose]
            turn = np.zeros(len(ids)) if self.dims == 2 else np.tile([0.0, 0.0, 0.0, 1.0], (len(ids), 1))
            whole = np.zeros((len(ids), *[3 * (self.dims - 1)] * 2))
            whole[:, :pose, :pose] = information
            information = whole
        else:
            shift, turn = self._split(values)
            if edge.offsets:
                sensors = [offsets.of(ids[:, edge.ends + k], lines) for k in range(edge.offsets)]
                # A quaternion must be one before it is turned.
                turn = unit(turn, lines=numbers, path=self.path, keep=self.parts.keep, notes=self.parts.notes)
                first = sensors[0] if edge.offsets == 2 else None
                try:
                    shift, turn, information = between_poses(
                        (shift, turn), information, first=first, second=sensors[-1], convention=self.convention
                    )
                except ValueError:
                    raise SourceError(
                        f"{place(self.path, lines.numbers[0])}: {tag} of a sensor that is not where the pose is",
                        allowed="convention 'log', or offsets that turn only",
                        advice="read the file with convention='log'",
                    ) from None
        kind = np.full(len(ids), 0 if edge.ends == 2 else edge.kind, np.uint8)
        self.parts.edges.append(Part(ends, shift, turn, numbers, information, kind))

    def _fixed(self, line: bytes, number: int) -> None:
        for word in line.split()[1:]:
            try:
                value = int(word)
                if not -(2**63) <= value < 2**63:
                    raise ValueError
            except ValueError:
                raise SourceError(
                    f"{place(self.path, number)}: FIX {word.decode(errors='replace')!r}, which is no id of a pose",
                    allowed="FIX with ids of poses",
                    advice="mend the line, or take it out",
                ) from None
            self.parts.fixed.append((value, number))


def write_g2o(path: str | Path, graph: Graph) -> None:
    """Write a graph, to be read back as it is (but for the kinds of its edges, and its convention).

    `FIX` comes last: GTSAM reads no further than the first line that it does not know.
    """
    check_order(path, graph, kind=Graph, call="write_g2o(path, graph)")
    names = graph.ids[graph.edges]
    lines = _vertices(graph)
    measured = _measured(graph)
    if graph.dims == 3 and graph.priors.any():
        lines.insert(0, f"{_OFFSET[3]} 0 0 0 0 0 0 0 1")
    for row, ((first, second), kind) in enumerate(zip(names.tolist(), graph.kind.tolist(), strict=True)):
        if kind < PRIOR:
            lines.append(
                f"{'EDGE_SE2' if graph.dims == 2 else 'EDGE_SE3:QUAT'} {first} {second} {_text(measured[row])}"
            )
        else:
            ends = f"{first}" if graph.dims == 2 else f"{first} 0"
            values = _position(graph, row) if kind == POSITION else _text(measured[row])
            lines.append(f"{_WRITTEN[graph.dims, kind]} {ends} {values}")
    lines += [f"FIX {name}" for name in graph.ids[graph.fixed]]
    write_text(str(path), "\n".join(lines) + "\n")


def _vertices(graph: Graph) -> list[str]:
    turned = graph.rotation[:, None] if graph.dims == 2 else graph.rotation
    poses = np.concatenate([graph.translation, turned], axis=1)
    return [f"{_VERTEX[graph.dims]} {name} {_text(pose)}" for name, pose in zip(graph.ids, poses, strict=True)]


def _measured(graph: Graph) -> Array:
    turned = graph.edge_rotation[:, None] if graph.dims == 2 else graph.edge_rotation
    return np.concatenate([graph.edge_translation, turned, triangle(graph.information)], axis=1)


def _position(graph: Graph, row: int) -> str:
    """A position and its information, in the axes of the world."""
    from ..geometry import matrix

    d = graph.dims
    turn = matrix(graph.edge_rotation[row], d)
    information = turn @ graph.information[row, :d, :d] @ turn.T
    return _text(np.concatenate([graph.edge_translation[row], triangle(information)]))


def _text(values: Array) -> str:
    return " ".join(map(repr, values.tolist()))
