"""Pose graphs from files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat
from thalweg import Dataset
from thalweg.errors import SourceError

from ..formats._assembly import Unknown
from ..formats._tables import by_tag, marks, read_bytes
from ..formats.euroc import read_euroc
from ..formats.from_trajectory import graph_of_trajectory
from ..formats.g2o import Invalid, Order, read_g2o
from ..formats.kitti import read_kitti
from ..formats.store import read_store
from ..formats.toro import read_toro
from ..formats.tum import read_tum
from ..graph import LOOP, Convention, Graph
from ..layout import dataset, packed
from ..priors import with_gauge
from ..problem import Problem
from ..trajectory import Trajectory, associate, planar

Paths = str | tuple[str, ...]

READERS: dict[str, Callable[[str], Trajectory]] = {"kitti": read_kitti, "tum": read_tum, "euroc": read_euroc}
"""Of trajectories."""


class PoseGraph(Dataset):
    """Pose graphs from files: g2o, TORO, or a zarr store of many; or trajectories, as graphs of their steps.

    The truth, where there is one, has a pose per pose of the graph, in order: a trajectory (KITTI, TUM, EuRoC), or a
    graph whose poses are the truth (TORO, g2o). Trajectories with times are scored where the truth has a pose at the
    same time. A truth in 3-D of a graph in 2-D is seen from above. Without a truth errors are NaN, and violations are
    still counted. Raises `SourceError` that names the line.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "sphere2500.g2o"}

    path: Paths = Field(description="a file, several, or one store that ends in .zarr")
    truth: Paths = Field((), description="as many files")
    format: Literal["g2o", "toro", "kitti", "tum", "euroc"] | None = Field(
        None, description="g2o or toro, by its first word, if not said"
    )
    truth_format: Literal["kitti", "tum", "euroc", "g2o", "toro"] = Field("tum", description="format of the true poses")
    convention: Convention = Field("log", description="what 3-D information weighs: the whole angle, or as g2o")
    quaternion: Order = Field("xyzw", description="order of quaternions in g2o files")
    unknown: Unknown = Field(
        "refuse", description="lines that are no pose graph's, as of landmarks: refused, or left out and counted (skip)"
    )
    invalid: Invalid = Field(
        "refuse", description="g2o: numbers that are not finite: refused, or kept for `validate-graph` to drop (keep)"
    )
    odometry: NonNegativeInt | None = Field(
        None,
        description="how many edges at the beginning of a file are odometry, all others being loops; if not said, one "
        "between each two poses whose ids follow one another",
    )
    within: PositiveFloat = Field(0.01, description="s between a pose and its truth, at most")
    chunk: int = Field(16, ge=1, description="graphs that are read together")

    def open(self) -> xr.Dataset:
        problems = _read(self, self.fingerprint())
        kinds = {(each.graph.dims, each.graph.convention) for each in problems}
        if len(kinds) != 1:
            raise SourceError("the graphs are in 2-D and in 3-D", allowed="one or the other, in one run")
        dims, convention = kinds.pop()
        nodes = max(len(each.graph) for each in problems)
        edges = max(len(each.graph.edges) for each in problems)
        loops = max(int((each.graph.kind == LOOP).sum()) for each in problems)
        made = [packed(each, nodes=nodes, edges=edges) for each in problems]
        arrays = {name: np.stack([each[name] for each in made]) for name in made[0]}
        names = [str(each.graph.attrs.get("source", "")) for each in problems]
        data = dataset(arrays, dims=dims, convention=convention, loops=loops, attrs={"title": ", ".join(names)[:200]})
        return data.chunk({"sample": self.chunk, **{dim: -1 for dim in data.dims if dim != "sample"}})

    def fingerprint(self) -> str:
        found = hashlib.sha256()
        for path in (*_paths(self.path), *_paths(self.truth)):
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
            found += [replace(each, graph=with_gauge(each.graph)[0]) for each in read_store(path)]
            continue
        if part.format in READERS:
            found.append(_estimate(part, path, truths[i] if truths else None))
            continue
        graph = _graph(part, path)
        found.append(Problem(graph, _truth(part, truths[i], graph) if truths else None))
    return tuple(found)


def _estimate(part: PoseGraph, path: str, truth_path: str | None) -> Problem:
    """A trajectory that another program found."""
    estimate, truth = READERS[str(part.format)](path), None
    if truth_path is not None and part.truth_format in READERS:
        known = READERS[part.truth_format](truth_path)
        if estimate.stamps is not None and known.stamps is not None:
            estimate, truth = associate(estimate, known, within=part.within)
    if len(estimate) < 2:
        raise SourceError(f"{path!r} has {len(estimate)} poses", allowed="two or more")
    graph = graph_of_trajectory(estimate, source=PurePosixPath(path).name)
    if truth is None and truth_path is not None:
        truth = _truth(part, truth_path, graph)
    return Problem(graph, truth)


def _graph(part: PoseGraph, path: str) -> Graph:
    word = _first_word(path)
    kind = part.format or ("g2o" if word.startswith(("VERTEX_", "EDGE_", "FIX", "PARAMS")) else "toro")
    if kind == "toro":
        return read_toro(path, unknown=part.unknown, odometry=part.odometry)
    return read_g2o(
        path,
        convention=part.convention,
        quaternion=part.quaternion,
        unknown=part.unknown,
        invalid=part.invalid,
        odometry=part.odometry,
    )


def _first_word(path: str) -> str:
    """The first word of a pose graph, or else the first."""
    words = list(by_tag(read_bytes(path), path=path))
    known = [word for word in words if word.startswith(("VERTEX", "EDGE", "FIX", "PARAMS", "ODOMETRY"))]
    return (known or words)[0]


def _truth(part: PoseGraph, path: str, graph: Graph) -> Trajectory:
    if part.truth_format in READERS:
        truth = READERS[part.truth_format](path)
    else:
        known = read_toro(path) if part.truth_format == "toro" else read_g2o(path, quaternion=part.quaternion)
        truth = Trajectory(known.translation, known.rotation)
    if graph.dims == 2 and truth.dims == 3:
        truth = planar(truth)
    if len(truth) != len(graph) or truth.dims != graph.dims:
        raise SourceError(
            f"{path!r} has {len(truth)} poses in {truth.dims}-D",
            allowed=f"{len(graph)} in {graph.dims}-D, one per pose of {graph.attrs.get('source')!r}",
            advice="cut the truth to the poses of the graph (`associate` finds them by time)",
        )
    return truth
