"""Pose graphs as fields along `sample`: what the pipeline maps over.

    inputs    node_id, fixed, trajectory, initial_position, initial_rotation (sample, node, ...)
              edge_ends, edge_kind, edge_position, edge_rotation, edge_information (sample, edge, ...)
    truth     position (sample, node, axis), rotation (sample, node, turn), trajectory (sample, node)

`turn` is a quaternion (x, y, z, w), or one angle in 2-D; `triangle` the upper triangle of the information, row by row.
Graphs are padded to the largest: poses after the last lie at the origin and have -1 as `trajectory`, edges after the
last have -1 as `edge_ends`. A truth that is not known is NaN.

An estimate may say how sure it is of its steps, `step_information(sample, node, triangle)` from each pose to the next:
these are then the graph's odometry, in place of what the inputs measure.

Rectangles, because a sample is then a slice of every field: Dask maps over problems, and core's stores, batches and
plans know all sizes beforehand. Padding costs memory in proportion to the largest graph (on disk it is compressed
away), so graphs of very different sizes belong in runs of their own, or in the ragged form of `formats.store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from thalweg import HandshakeError, Pairs, Signature, SourceError

from .formats._assembly import triangle, upper
from .graph import ODOMETRY, Graph
from .poses import Array, between, identity
from .problem import Problem

INPUTS = (
    "node_id",
    "fixed",
    "trajectory",
    "initial_position",
    "initial_rotation",
    "edge_ends",
    "edge_kind",
    "edge_position",
    "edge_rotation",
    "edge_information",
)
TRUTH = ("position", "rotation", "trajectory")
NOT_FINITE = float("nan")

DIMS = {
    "node_id": ("node",),
    "fixed": ("node",),
    "trajectory": ("node",),
    "initial_position": ("node", "axis"),
    "initial_rotation": ("node", "turn"),
    "edge_ends": ("edge", "end"),
    "edge_kind": ("edge",),
    "edge_position": ("edge", "axis"),
    "edge_rotation": ("edge", "turn"),
    "edge_information": ("edge", "triangle"),
    "position": ("node", "axis"),
    "rotation": ("node", "turn"),
}
_TYPES = {
    "node_id": "int64",
    "fixed": "uint8",
    "trajectory": "int32",
    "edge_ends": "int32",
    "edge_kind": "uint8",
}


def fields(nodes: int, edges: int, *, dims: int) -> dict[str, tuple[tuple[str, ...], tuple[int, ...], str]]:
    """Dims, shape and dtype of one sample of every field."""
    sizes = {
        "node": nodes,
        "edge": edges,
        "end": 2,
        "axis": dims,
        "turn": turns(dims),
        "triangle": 6 if dims == 2 else 21,
    }
    return {name: (each, tuple(sizes[dim] for dim in each), _TYPES.get(name, "float64")) for name, each in DIMS.items()}


def attributes(*, dims: int, convention: str, loops: int) -> dict[str, dict[str, Any]]:
    """Units and names of the fields; `edge_kind` says how many loops a graph has at most."""
    length, turn = {"units": "m"}, {"units": "rad" if dims == 2 else "1"}
    return {
        "node_id": {"units": "1", "long_name": "name of the pose"},
        "fixed": {"units": "1", "long_name": "whether the pose is part of the gauge"},
        "trajectory": {"units": "1", "long_name": "number of the trajectory, -1 where there is no pose"},
        "initial_position": {**length, "long_name": "position that the source gives"},
        "initial_rotation": {**turn, "long_name": "rotation that the source gives"},
        "edge_ends": {"units": "1", "long_name": "numbers of two poses, -1 where there is no edge"},
        "edge_kind": {"units": "1", "flag_meanings": "odometry loop prior position_prior", "loops": loops},
        "edge_position": {**length, "long_name": "measured shift"},
        "edge_rotation": {**turn, "long_name": "measured turn"},
        "edge_information": {"units": "1", "convention": convention, "long_name": "inverse covariance, m and rad"},
        "position": {**length, "long_name": "position"},
        "rotation": {**turn, "long_name": "rotation"},
    }


def needs_graphs(given: Signature, *, by: str) -> None:
    """Raise `HandshakeError` unless pose graphs are given."""
    _needs(given, INPUTS, by=by)


def needs_poses(given: Signature, *, by: str) -> None:
    """Raise `HandshakeError` unless trajectories are."""
    _needs(given, TRUTH, by=by)


def _needs(given: Signature, names: tuple[str, ...], *, by: str) -> None:
    for name in names:
        if name not in given:
            raise HandshakeError(
                f"{by} needs {name!r}, which is not there",
                allowed=str(given),
                advice="ingest pose graphs: `pose-graph`, `synthetic-tours`",
            )


def turns(dims: int) -> int:
    """Numbers that a rotation takes."""
    return 1 if dims == 2 else 4


def packed(problem: Problem, *, nodes: int, edges: int) -> dict[str, Array]:
    """One graph, and its truth, as padded arrays. Raises `SourceError` if it is larger than that."""
    graph, truth = problem.graph, problem.truth
    dims, count = graph.dims, len(graph)
    if count > nodes or len(graph.edges) > edges:
        raise SourceError(f"a graph of {count} poses, {len(graph.edges)} edges", allowed=f"{nodes} and {edges}")
    made = {name: np.zeros(shape, dtype=kind) for name, (_, shape, kind) in fields(nodes, edges, dims=dims).items()}
    blank = _flat(identity(nodes, dims=dims)[1])
    made["rotation"][:] = made["initial_rotation"][:] = blank
    made["edge_rotation"][:] = _flat(identity(edges, dims=dims)[1])
    made["trajectory"][:] = made["edge_ends"][:] = made["node_id"][:] = -1
    at, along = slice(0, count), slice(0, len(graph.edges))
    made["node_id"][at], made["fixed"][at] = graph.ids, graph.fixed
    made["trajectory"][at] = 0 if problem.trajectory is None else problem.trajectory
    made["initial_position"][at] = graph.translation
    made["initial_rotation"][at] = _flat(graph.rotation)
    made["edge_ends"][along], made["edge_kind"][along] = graph.edges, graph.kind
    made["edge_position"][along], made["edge_rotation"][along] = graph.edge_translation, _flat(graph.edge_rotation)
    made["edge_information"][along] = triangle(graph.information)
    made["position"][at] = NOT_FINITE if truth is None else truth.translation
    made["rotation"][at] = NOT_FINITE if truth is None else _flat(truth.rotation)
    return made


def graph_of(inputs: xr.Dataset, number: int) -> Graph:
    """The graph of one sample, without its padding. Raises `HandshakeError` if the inputs are not pose graphs."""
    missing = [name for name in INPUTS if name not in inputs]
    if missing:
        raise HandshakeError(
            f"the inputs have no {missing[0]!r}",
            allowed=", ".join(INPUTS),
            advice="ingest pose graphs: `pose-graph`, `synthetic-tours`",
        )
    one = {name: inputs[name].isel(sample=number).values for name in INPUTS}
    nodes, edges = one["trajectory"] >= 0, one["edge_ends"][:, 0] >= 0
    return Graph(
        translation=one["initial_position"][nodes],
        rotation=unflat(one["initial_rotation"][nodes]),
        edges=one["edge_ends"][edges].astype(np.int64),
        edge_translation=one["edge_position"][edges],
        edge_rotation=unflat(one["edge_rotation"][edges]),
        information=upper(one["edge_information"][edges]),
        kind=one["edge_kind"][edges],
        ids=one["node_id"][nodes],
        fixed=one["fixed"][nodes].astype(bool),
        convention=inputs["edge_information"].attrs.get("convention", "log"),
        attrs={"source": f"sample {inputs['sample'].values[number] if 'sample' in inputs.coords else number}"},
    )


def poses_of(estimate: xr.Dataset, number: int, *, count: int | None = None) -> tuple[Array, Array]:
    """Translations and rotations of one sample, the first `count` of them."""
    at = slice(0, count)
    position = estimate["position"].transpose("sample", "node", "axis").values[number, at]
    rotation = estimate["rotation"].transpose("sample", "node", "turn").values[number, at]
    return position, unflat(rotation)


def estimate_of(poses: Sequence[tuple[Array, Array]], inputs: xr.Dataset) -> xr.Dataset:
    """Poses of every sample as an estimate: padded, with the attributes and coordinates of the inputs."""
    dims = inputs.sizes["axis"]
    at, turned = identity(inputs.sizes["node"], dims=dims)
    positions, rotations = [], []
    for translation, rotation in poses:
        positions.append(np.concatenate([translation, at[len(translation) :]]))
        rotations.append(np.concatenate([_flat(rotation), _flat(turned)[len(translation) :]]))
    units = attributes(dims=dims, convention="log", loops=0)
    coords = {name: each for name, each in inputs.coords.items() if each.dims == ("sample",)}
    return xr.Dataset(
        {
            "position": (("sample", "node", "axis"), np.stack(positions), units["position"]),
            "rotation": (("sample", "node", "turn"), np.stack(rotations), units["rotation"]),
            "trajectory": inputs["trajectory"].variable,
        },
        coords,
    )


def with_steps(graph: Graph, information: Array) -> Graph:
    """The graph with the steps between its own poses as odometry, weighed by (N, triangle), in place of any other."""
    count = len(graph)
    steps = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    now, then = ((graph.translation[at], graph.rotation[at]) for at in (slice(0, -1), slice(1, None)))
    shift, turn = between(now, then)
    rest = graph.kind != ODOMETRY

    def joined(own: Array, given: Array) -> Array:
        return np.concatenate([own, given[rest]])

    return replace(
        graph,
        edges=joined(steps, graph.edges),
        edge_translation=joined(shift, graph.edge_translation),
        edge_rotation=joined(turn, graph.edge_rotation),
        information=joined(upper(information[: count - 1]), graph.information),
        kind=joined(np.full(count - 1, ODOMETRY, np.uint8), graph.kind),
    )


def dataset(
    parts: Mapping[str, Any], *, dims: int, convention: str, loops: int, attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Arrays (sample, ...) as the dataset that the pipeline takes."""
    named = attributes(dims=dims, convention=convention, loops=loops)
    variables = {name: (("sample", *DIMS[name]), parts[name], named[name]) for name in DIMS}
    count = parts["position"].shape[0]
    data = xr.Dataset(variables, {"sample": np.arange(count)}, dict(attrs))
    return Pairs.over("sample", count, inputs=tuple(INPUTS), truth=tuple(TRUTH)).on(data)


def _flat(rotation: Array) -> Array:
    return rotation[:, None] if rotation.ndim == 1 else rotation


def unflat(rotation: Array) -> Array:
    """Angles (N,) of (N, 1); quaternions as they are."""
    return rotation[:, 0] if rotation.shape[-1] == 1 else rotation
