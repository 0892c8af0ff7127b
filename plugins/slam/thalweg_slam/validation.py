"""What is wrong with a pose graph, by name.

print(validate(graph))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from .graph import LOOP, ODOMETRY, PRIOR, Graph
from .poses import Array
from .priors import free as free_directions
from .priors import parts

TINY = 1e-9
"""An eigenvalue below minus this part of the largest is negative, not rounded."""
SHOWN = 3


class Defect(StrEnum):
    """What can be wrong."""

    NOT_FINITE_EDGE = "edges that are not finite"
    NOT_FINITE_POSE = "poses that are not finite"
    ZERO_QUATERNION = "quaternions that are zero"
    NOT_UNIT = "quaternions that are not of norm 1"
    SCALAR_FIRST = "quaternions with w first, it seems"
    ASYMMETRIC = "asymmetric information matrices"
    INDEFINITE = "indefinite information matrices"
    SINGULAR = "singular information matrices"
    SELF = "edges from a pose to itself"
    COPY = "edges given twice"
    PARALLEL = "edges between poses that have one already"
    DISCONNECTED = "disconnected parts"
    NO_GAUGE = "parts without a gauge"
    PARTIAL_GAUGE = "parts that priors do not hold in all directions"
    NO_LOOP = "graphs without a loop"


@dataclass(frozen=True)
class Finding:
    """One defect: how often it was found, where first, and what was done."""

    defect: Defect
    count: int
    where: str
    done: str = ""
    note: bool = False
    """Whether an optimiser can live with it."""

    def __str__(self) -> str:
        return f"{self.defect}: {self.count} ({self.where}){f'; {self.done}' if self.done else ''}"


@dataclass(frozen=True)
class Report:
    """All findings on a graph."""

    findings: tuple[Finding, ...] = ()
    size: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found that an optimiser cannot live with, or all of it was repaired."""
        return all(each.note or each.done for each in self.findings)

    @property
    def counts(self) -> dict[Defect, int]:
        """How often each defect was found."""
        return {each.defect: each.count for each in self.findings}

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.size}: nothing wrong"
        return "\n".join([f"{self.size}:", *(f"  {each}" for each in self.findings)])


def validate(graph: Graph) -> Report:
    """What is wrong with a graph; reads all of it, changes nothing."""
    return Report(tuple(findings(graph)), summary(graph))


def pose_name(name: int) -> str:
    """The name of a pose; GTSAM's symbols, a letter in the top byte of 64 bits, as `a12`."""
    letter = name >> 56
    return f"{chr(letter)}{name & ((1 << 56) - 1)}" if 33 <= letter <= 126 else str(name)


def edge_name(graph: Graph, number: int) -> str:
    """`edge 12 (0 -> 7)`, or of what a prior holds."""
    first, second = (pose_name(int(graph.ids[end])) for end in graph.edges[number])
    return f"prior {number} on {first}" if graph.kind[number] >= PRIOR else f"edge {number} ({first} -> {second})"


def findings(graph: Graph) -> list[Finding]:
    found = []

    def edges(defect: Defect, bad: Array, *, note: bool = False) -> None:
        if bad.any():
            found.append(replace(finding(graph, defect, bad), note=note))

    def poses(defect: Defect, numbers: Array, count: int, *, note: bool = False) -> None:
        if count:
            shown = ", ".join(f"pose {pose_name(int(each))}" for each in graph.ids[numbers[:SHOWN]])
            found.append(Finding(defect, count, shown + (", ..." if count > SHOWN else ""), note=note))

    finite = finite_edges(graph)
    sound = np.isfinite(graph.translation).all(axis=1) & np.isfinite(graph.rotation.reshape(len(graph), -1)).all(axis=1)
    edges(Defect.NOT_FINITE_EDGE, ~finite)
    poses(Defect.NOT_FINITE_POSE, np.flatnonzero(~sound), int((~sound).sum()))
    if graph.dims == 3:
        norm = np.linalg.norm(np.nan_to_num(graph.edge_rotation, nan=1.0), axis=1)
        edges(Defect.ZERO_QUATERNION, finite & (norm == 0))
        off = np.flatnonzero(sound & (np.abs(np.linalg.norm(graph.rotation, axis=1) - 1) > 1e-3))
        edges(Defect.NOT_UNIT, finite & (norm > 0) & (np.abs(norm - 1) > 1e-3))
        poses(Defect.NOT_UNIT, off, len(off))
        if scalar_first(graph, finite):
            edges(Defect.SCALAR_FIRST, finite & (graph.kind == ODOMETRY))
    information = np.where(finite[:, None, None], graph.information, np.eye(graph.information.shape[1]))
    skew = np.abs(information - information.transpose(0, 2, 1)).max(axis=(1, 2), initial=0)
    edges(Defect.ASYMMETRIC, skew > 1e-9 * np.abs(information).max(axis=(1, 2), initial=0))
    values = np.linalg.eigvalsh((information + information.transpose(0, 2, 1)) / 2)
    negative = values[:, 0] < -TINY * np.abs(values).max(axis=1)
    edges(Defect.INDEFINITE, negative)
    edges(Defect.SINGULAR, ~negative & (values[:, 0] <= 1e-15 * values[:, -1]), note=True)
    edges(Defect.SELF, self_edges(graph))
    again = copies(graph)
    edges(Defect.COPY, again, note=True)
    edges(Defect.PARALLEL, _parallel(graph) & ~again, note=True)
    part, count = parts(graph)
    if count > 1:
        poses(
            Defect.DISCONNECTED,
            np.array([np.flatnonzero(part == i)[0] for i in range(min(count, SHOWN))]),
            count,
            note=True,
        )
    loose = loose_parts(graph, part, count)
    poses(Defect.NO_GAUGE, np.array([np.flatnonzero(part == i)[0] for i in loose[:SHOWN]], dtype=np.int64), len(loose))
    free = free_directions(graph)
    if free:
        shown = "; ".join(f"pose {pose_name(int(graph.ids[each.first]))}: {each.names}" for each in free[:SHOWN])
        found.append(Finding(Defect.PARTIAL_GAUGE, len(free), shown + ("; ..." if len(free) > SHOWN else "")))
    if not (graph.kind == LOOP).any():
        found.append(Finding(Defect.NO_LOOP, 1, "there is nothing to optimise", note=True))
    return found


def finding(graph: Graph, defect: Defect, bad: Array) -> Finding:
    numbers = np.flatnonzero(bad)
    shown = ", ".join(edge_name(graph, int(each)) for each in numbers[:SHOWN])
    return Finding(defect, len(numbers), shown + (", ..." if len(numbers) > SHOWN else ""))


def finite_edges(graph: Graph) -> Array:
    flat = [each.reshape(len(graph.edges), -1) for each in (graph.edge_translation, graph.edge_rotation)]
    flat.append(graph.information.reshape(len(graph.edges), -1))
    finite: Array = np.isfinite(np.concatenate(flat, axis=1)).all(axis=1)
    return finite


def scalar_first(graph: Graph, finite: Array) -> bool:
    """A robot turns little from pose to pose, so w is near 1; here it is the first number that is."""
    steps = np.abs(graph.edge_rotation[finite & (graph.kind == ODOMETRY)])
    return len(steps) > 2 and bool(np.median(steps[:, 0]) > 0.95 and np.median(steps[:, 3]) < 0.3)


def indefinite_edges(information: Array) -> Array:
    values = np.linalg.eigvalsh(information)
    negative: Array = values[:, 0] < -TINY * np.abs(values).max(axis=1)
    return negative


def self_edges(graph: Graph) -> Array:
    """Edges between two poses that are one, which are no priors: they move nothing."""
    found: Array = (graph.edges[:, 0] == graph.edges[:, 1]) & ~graph.priors
    return found


def copies(graph: Graph) -> Array:
    """Edges that say exactly what an earlier one says."""
    flat = np.column_stack(
        [
            graph.edges,
            graph.edge_translation,
            graph.edge_rotation.reshape(len(graph.edges), -1),
            graph.information.reshape(len(graph.edges), -1),
        ]
    )
    _, first = np.unique(flat, axis=0, return_index=True)
    copies = np.ones(len(graph.edges), dtype=bool)
    copies[first] = False
    return copies


def _parallel(graph: Graph) -> Array:
    """Edges between two poses that an earlier edge joins."""
    real = ~graph.priors
    ends = np.sort(graph.edges, axis=1)
    _, first = np.unique(ends, axis=0, return_index=True)
    later: Array = real.copy()
    later[first] = False
    return later


def loose_parts(graph: Graph, part: Array, count: int) -> list[int]:
    """Parts without a pose that is fixed or has a prior."""
    held = set(part[graph.fixed].tolist()) | set(part[graph.edges[graph.priors, 0]].tolist())
    return [number for number in range(count) if number not in held]


def summary(graph: Graph) -> str:
    loops = int((graph.kind == LOOP).sum())
    return f"{source_of(graph)}: {len(graph)} poses in {graph.dims}-D, {len(graph.edges)} edges, {loops} of them loops"


def source_of(graph: Graph) -> str:
    return str(graph.attrs.get("source", "graph"))
