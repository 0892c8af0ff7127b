"""Pose graphs from files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, Self

import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from thalweg import Dataset, OptionError, SourceError

from ..formats._assembly import Unknown
from ..formats._gate import Rows, Unit
from ..formats._tables import by_tag, marks, read_bytes
from ..formats.euroc import read_euroc
from ..formats.from_trajectory import graph_of_trajectory
from ..formats.g2o import Invalid, Order, read_g2o
from ..formats.kitti import read_kitti
from ..formats.store import read_store
from ..formats.toro import read_toro
from ..formats.tum import read_tum
from ..graph import Convention, Graph
from ..layout import dataset, in_rows, packed
from ..poses import Array
from ..priors import with_gauge
from ..problem import Problem
from ..trajectory import LEAST, Axis, Plane, Trajectory
from ._truth import Matching, Pair, by_name, by_row, by_time, check_side, seen

Paths = str | tuple[str, ...]

TRAJECTORIES = ("kitti", "tum", "euroc")
"""Formats of trajectories, one row a pose."""

log = logging.getLogger("thalweg")


class PoseGraph(Dataset):
    """Pose graphs from files: g2o, TORO, or a zarr store of many; or trajectories, as graphs of their steps.

    The truth is a trajectory (KITTI, TUM, EuRoC), or a graph whose poses are the truth (TORO, g2o). Trajectories
    with times are paired by time; a graph and a truth with ids, by id. Of a truth without ids the rows belong to the
    poses in the order of their ids, if these have no gap and there is one row for each; if the ids have gaps
    (keyframes), an id is the number of a row, from 0. How many poses have a truth is said, and scored (`ate`): others
    have none. A truth in 3-D of a graph in 2-D is seen from above, in a plane of its world. Without a truth errors are
    NaN, and violations are still counted. Raises `SourceError` that names the line.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "sphere2500.g2o"}

    path: Paths = Field(description="a file, several, or one store that ends in .zarr")
    truth: Paths = Field((), description="files or URLs of the true poses, one for each of `path`; []: there is none")
    format: Literal["g2o", "toro", "kitti", "tum", "euroc"] | None = Field(
        None, description="format of the graph; if null, g2o or toro, by the first word of the file"
    )
    truth_format: Literal["kitti", "tum", "euroc", "g2o", "toro"] = Field("tum", description="format of the true poses")
    convention: Convention = Field(
        "log",
        description="rotation that a 3-D information matrix weighs: the whole angle (log), or the vector part of "
        "the quaternion, as in g2o (vector)",
    )
    quaternion: Order = Field("xyzw", description="order of quaternions in g2o files")
    unknown: Unknown = Field(
        "refuse",
        description="lines that are not of a pose graph, such as landmarks: an error, or left out and counted (skip)",
    )
    invalid: Invalid = Field(
        "refuse",
        description="format g2o: numbers that are not finite: an error, or kept for `validate-graph` to drop (keep)",
    )
    odometry: NonNegativeInt | None = Field(
        None,
        description="how many edges at the beginning of a file are odometry, all others being loops; if not said, one "
        "between each two poses whose ids follow one another",
    )
    within: PositiveFloat = Field(0.01, description="largest difference in time between a pose and its truth, s")
    offset: float = Field(0.0, description="seconds that are added to the times of an estimated trajectory")
    times: Paths = Field((), description="format kitti: files of times, one for each of `path`, one time a row")
    truth_times: Paths = Field(
        (), description="format kitti: files of times of the truth, one for each of `truth`, one time a row"
    )
    time_unit: Unit | None = Field(None, description="unit of a trajectory's times; if null, s, but ns for euroc")
    truth_time_unit: Unit | None = Field(None, description="unit of the truth's times; if null, s, but ns for euroc")
    rows: Rows = Field(
        "refuse",
        description="trajectories: rows that are not finite, have no rotation or give another pose at a time that was "
        "there: refused, or left out and said (drop)",
    )
    pair: Pair = Field(
        "auto",
        description="how poses and their truths are paired: by time or by id (auto), or row by row in the order "
        "of the poses' ids (order)",
    )
    plane: Plane | None = Field(
        None,
        description="truth in 3-D of a graph in 2-D: the axes of the plane in its world, counterclockwise from "
        "above; if "
        "null, xy (z is up), but xz for kitti (a camera: y is down)",
    )
    forward: Axis | None = Field(
        None,
        description="axis of the body whose heading in `plane` is that of the truth; if null, x, but z in xz and zx",
    )
    chunk: int = Field(16, ge=1, description="graphs that are read together")

    @model_validator(mode="after")
    def _clocks(self) -> Self:
        for name, kind, count in (
            ("times", self.format, len(_paths(self.path))),
            ("truth_times", self.truth_format, len(_paths(self.truth))),
        ):
            given = _paths(getattr(self, name))
            if given and (kind != "kitti" or len(given) != count):
                raise OptionError(
                    f"{len(given)} files of {name} for {count} of format {kind}",
                    allowed="as many as trajectories of KITTI, whose rows have no times",
                )
        return self

    @property
    def matching(self) -> Matching:
        """How poses and their truth are brought together."""
        return Matching(self.within, self.offset, self.plane, self.forward, self.pair)

    def open(self) -> xr.Dataset:
        problems = _read(self, self.fingerprint())
        kinds = {(each.graph.dims, each.graph.convention) for each in problems}
        if len(kinds) != 1:
            raise SourceError("the graphs are in 2-D and in 3-D", allowed="one or the other, in one run")
        dims, convention = kinds.pop()
        names = [str(each.graph.attrs.get("source", "")) for each in problems]
        return dataset(
            in_rows([packed(each) for each in problems]),
            nodes=[len(each.graph) for each in problems],
            edges=[len(each.graph.edges) for each in problems],
            dims=dims,
            convention=convention,
            attrs={"title": ", ".join(names)[:200]},
            chunk=self.chunk,
        )

    def fingerprint(self) -> str:
        found = hashlib.sha256()
        for path in (each for given in (self.path, self.truth, self.times, self.truth_times) for each in _paths(given)):
            if path.rstrip("/").endswith(".zarr"):
                found.update(repr(marks(path)).encode())
            else:
                found.update(read_bytes(path))
        return found.hexdigest()


def _paths(given: Paths) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


@lru_cache(maxsize=2)
def _read(part: PoseGraph, fingerprint: str) -> tuple[Problem, ...]:  # noqa: ARG001
    paths, truths = _paths(part.path), _paths(part.truth)
    if not paths:
        raise SourceError("no path is given", allowed="at least one file")
    if truths and len(truths) != len(paths):
        raise SourceError(f"{len(truths)} truths for {len(paths)} graphs", allowed="one for each, or none")
    found: list[Problem] = []
    for i, path in enumerate(paths):
        if path.rstrip("/").endswith(".zarr"):
            if truths:
                raise SourceError(
                    f"truth = {truths[i]!r} of a store, {path!r}",
                    allowed="no truth beside a store",
                    advice="write the truth into the store: write_store(url, [Problem(graph, truth)])",
                )
            found += [replace(each, graph=with_gauge(each.graph)[0]) for each in read_store(path)]
            continue
        if part.format in TRAJECTORIES:
            found.append(_estimate(part, path, truths[i] if truths else None, i))
            continue
        graph = _graph(part, path)
        found.append(Problem(graph, _truth(part, truths[i], graph, i) if truths else None))
    return tuple(found)


def _trajectory(part: PoseGraph, path: str, number: int, *, truth: bool) -> Trajectory:
    """One file of a trajectory, estimated or true, through the gate."""
    kind = part.truth_format if truth else part.format
    unit = part.truth_time_unit if truth else part.time_unit
    clocks = _paths(part.truth_times if truth else part.times)
    if kind == "kitti":
        return read_kitti(path, times=clocks[number] if clocks else "", rows=part.rows, unit=unit or "s")
    if kind == "euroc":
        return read_euroc(path, rows=part.rows, unit=unit or "ns")
    return read_tum(path, rows=part.rows, unit=unit or "s")


def _estimate(part: PoseGraph, path: str, truth_path: str | None, number: int) -> Problem:
    """A trajectory that another program found."""
    estimate, name = _trajectory(part, path, number, truth=False), PurePosixPath(path).name
    if len(estimate) < LEAST:
        raise SourceError(f"{path!r} has {len(estimate)} poses", allowed=f"{LEAST} or more", advice="take a longer one")
    truth = None
    if truth_path is not None:
        how, names = part.matching, (name, PurePosixPath(truth_path).name)
        known = _known(part, truth_path, number)[0]
        timed = how.pair == "auto" and estimate.stamps is not None and known.stamps is not None
        found = (by_time if timed else by_row)(estimate, known, how, names=names)
        truth = seen(found, dims=3, how=how, path=truth_path, camera=False)
    return Problem(graph_of_trajectory(estimate, source=name), truth)


def _graph(part: PoseGraph, path: str) -> Graph:
    word = _first_word(path)
    kind = part.format or ("g2o" if word.startswith(("VERTEX_", "EDGE_", "FIX", "PARAMS")) else "toro")
    return _read_graph(part, path, kind=kind, odometry=part.odometry)


def _read_graph(part: PoseGraph, path: str, *, kind: str, odometry: int | None) -> Graph:
    if kind == "toro":
        return read_toro(path, unknown=part.unknown, odometry=odometry)
    return read_g2o(
        path,
        convention=part.convention,
        quaternion=part.quaternion,
        unknown=part.unknown,
        invalid=part.invalid,
        odometry=odometry,
    )


def _first_word(path: str) -> str:
    """The first word of a pose graph, or else the first."""
    words = list(by_tag(read_bytes(path), path=path))
    known = [word for word in words if word.startswith(("VERTEX", "EDGE", "FIX", "PARAMS", "ODOMETRY"))]
    return (known or words)[0]


def _known(part: PoseGraph, path: str, number: int) -> tuple[Trajectory, Array | None]:
    """The truth that a file has, and the ids of its poses if they have any."""
    if part.truth_format in TRAJECTORIES:
        return _trajectory(part, path, number, truth=True), None
    graph = _read_graph(part, path, kind=part.truth_format, odometry=None)
    if not graph.given:
        log.info("%s: gives no poses; its edges are composed", PurePosixPath(path).name)
    return Trajectory(graph.translation, graph.rotation), graph.ids


def _truth(part: PoseGraph, path: str, graph: Graph, number: int) -> Trajectory:
    known, ids = _known(part, path, number)
    above = seen(known, dims=graph.dims, how=part.matching, path=path, camera=part.truth_format == "kitti")
    truth = by_name(graph, above, ids, part.matching, path=path)
    if known.dims > graph.dims:
        check_side(graph, truth, path=path)
    return truth
