"""TORO, as GTSAM's examples have it: pose graphs with Euler angles.

    VERTEX2 id x y angle                    EDGE2 i j  x y angle  Ixx Ixy Iyy Iaa Ixa Iya
    VERTEX3 id x y z roll pitch yaw         EDGE3 i j  x y z roll pitch yaw  I11 I12 ... I66

Roll, pitch and yaw turn about the fixed x, y and z axis, in that order; information is in the order of the measurement.
(GTSAM reads that of EDGE3 as of rotation first, which the noise in its own sphere contradicts.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from thalweg import SourceError

from ..graph import Graph
from ..poses import Array, euler_of_quaternion, quaternion_of_euler
from ._assembly import Part, Parts, Unknown, assemble, triangle, upper
from ._order import check_order
from ._tables import by_tag, place, read_bytes, table, write_text

_TAGS = {2: (("VERTEX2", "VERTEX"), ("EDGE2", "EDGE", "ODOMETRY")), 3: (("VERTEX3",), ("EDGE3",))}
_PLANAR = (0, 1, 4, 2, 5, 3)
"""Ixx Ixy Iyy Iaa Ixa Iya, as an upper triangle row by row."""


def read_toro(path: str | Path, *, unknown: Unknown = "refuse", odometry: int | None = None) -> Graph:
    """The pose graph of a TORO file, gzipped or not; `unknown` and `odometry` are as in `read_g2o`.

    Raises `SourceError` that names the line.
    """
    path = str(path)
    lines = by_tag(read_bytes(path), path=path)
    known = {tag: dims for dims, kinds in _TAGS.items() for tags in kinds for tag in tags}
    strange = {tag: len(each) for tag, each in lines.items() if tag not in known}
    found = {known[tag] for tag in lines if tag in known}
    if (strange and unknown == "refuse") or len(found) != 1:
        tag = next(iter(strange), "")
        raise SourceError(
            f"{place(path, lines[tag].numbers[0])}: lines of {tag!r}"
            if tag
            else f"{path!r} has poses in both 2-D and 3-D",
            allowed=", ".join(known),
            advice="read EDGE_SE2 and EDGE_SE3:QUAT with `read_g2o`; leave other lines out with unknown='skip'",
        )
    dims = found.pop()
    pose, size = (3, 6) if dims == 2 else (6, 21)
    parts = Parts(dims)
    vertices, edges = _TAGS[dims]
    for tag in (each for each in vertices if each in lines):
        ids, values = table(lines[tag], tag=tag, ids=1, values=pose, path=path, finite=True)
        parts.nodes.append(Part(ids[:, 0], *_split(values, dims=dims), np.array(lines[tag].numbers)))
    for tag in (each for each in edges if each in lines):
        ids, values = table(lines[tag], tag=tag, ids=2, values=pose + size, path=path, finite=True)
        information = upper(values[:, pose:][:, _PLANAR] if dims == 2 else values[:, pose:])
        kind = np.zeros(len(ids), np.uint8)
        parts.edges.append(Part(ids, *_split(values, dims=dims), np.array(lines[tag].numbers), information, kind))
    attrs: dict[str, Any] = {"source": Path(path).name}
    if strange:
        attrs |= {"skipped": strange}
        parts.notes.append("left out: " + ", ".join(f"{count} lines of {tag}" for tag, count in strange.items()))
    return assemble(parts, path=path, convention="log", attrs=attrs, odometry=odometry)


def write_toro(path: str | Path, graph: Graph) -> None:
    """Write a graph, to be read back as it is to rounding. Raises `SourceError` for priors, which TORO does not have.

    TORO holds the first pose; a graph whose gauge is another is read back with that of the first.
    """
    check_order(path, graph, kind=Graph, call="write_toro(path, graph)")
    if graph.priors.any():
        raise SourceError(
            f"{int(graph.priors.sum())} priors", allowed="edges between poses", advice="write them with `write_g2o`"
        )
    vertex, edge = (_TAGS[graph.dims][k][0] for k in (0, 1))
    poses = _flat(graph.translation, graph.rotation)
    information = triangle(graph.information)
    if graph.dims == 2:
        information = information[:, np.argsort(_PLANAR)]
    measured = np.concatenate([_flat(graph.edge_translation, graph.edge_rotation), information], axis=1)
    ends = graph.ids[graph.edges].tolist()
    lines = [f"{vertex} {name} {_text(pose)}" for name, pose in zip(graph.ids, poses, strict=True)]
    lines += [f"{edge} {i} {j} {_text(values)}" for (i, j), values in zip(ends, measured, strict=True)]
    write_text(str(path), "\n".join(lines) + "\n")


def _flat(translation: Array, rotation: Array) -> Array:
    if rotation.ndim == 1:
        return np.column_stack([translation, rotation])
    return np.concatenate([translation, euler_of_quaternion(rotation)], axis=1)


def _text(values: Array) -> str:
    return " ".join(map(repr, values.tolist()))


def _split(values: Array, *, dims: int) -> tuple[Array, Array]:
    if dims == 2:
        return values[:, :2], values[:, 2]
    return values[:, :3], np.asarray(quaternion_of_euler(values[:, 3], values[:, 4], values[:, 5]))
