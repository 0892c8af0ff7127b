"""Pose graphs as fields of nodes and edges in rows: what the pipeline maps over.

    inputs    node_id, fixed, trajectory, initial_position, initial_rotation (node, ...)
              edge_ends, edge_kind, edge_position, edge_rotation, edge_information (edge, ...)
    truth     position (node, axis), rotation (node, turn), trajectory (node)

A sample is a graph with nodes and edges of its own number (`thalweg.Ragged`): nothing is padded. `node_sample(node)`
and `edge_sample(edge)` say whose each is; `edge_ends` are numbers of nodes within the graph. `turn` is a quaternion
(x, y, z, w), or one angle in 2-D; `triangle` the upper triangle of the information, row by row. An edge that was left
out has -1 as `edge_ends`. A truth that is not known is NaN.

An estimate may say how sure it is of its steps, `step_information(node, triangle)` from each pose to the next: these
are then the graph's odometry, in place of what the inputs measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from thalweg import HandshakeError, Ragged, Signature, SourceError

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
    """Dims, shape and dtype of every field, of so many nodes and edges in all."""
    sizes = {
        "node": nodes,
        "edge": edges,
        "end": 2,
        "axis": dims,
        "turn": turns(dims),
        "triangle": 6 if dims == 2 else 21,
    }
    return {name: (each, tuple(sizes[dim] for dim in each), _TYPES.get(name, "float64")) for name, each in DIMS.items()}


def attributes(*, dims: int, convention: str) -> dict[str, dict[str, Any]]:
    """Units and names of the fields."""
    length, turn = {"units": "m"}, {"units": "rad" if dims == 2 else "1"}
    return {
        "node_id": {"units": "1", "long_name": "name of the pose"},
        "fixed": {"units": "1", "long_name": "whether the pose is part of the gauge"},
        "trajectory": {"units": "1", "long_name": "number of the trajectory"},
        "initial_position": {**length, "long_name": "position that the source gives"},
        "initial_rotation": {**turn, "long_name": "rotation that the source gives"},
        "edge_ends": {"units": "1", "long_name": "numbers of two poses, -1 of an edge that was left out"},
        "edge_kind": {"units": "1", "flag_meanings": "odometry loop prior position_prior"},
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


def packed(problem: Problem, *, edges: int | None = None) -> dict[str, Array]:
    """One graph, and its truth, as arrays. With `edges` there are so many, of which the last are left out.

    Raises `SourceError` if the graph has more.
    """
    graph, truth = problem.graph, problem.truth
    dims, count = graph.dims, len(graph)
    size = len(graph.edges) if edges is None else edges
    if len(graph.edges) > size:
        raise SourceError(f"a graph of {len(graph.edges)} edges", allowed=f"{size}")
    made = {name: np.zeros(shape, dtype=kind) for name, (_, shape, kind) in fields(count, size, dims=dims).items()}
    made["edge_rotation"][:] = _flat(identity(size, dims=dims)[1])
    made["edge_ends"][:] = -1
    along = slice(0, len(graph.edges))
    made["node_id"][:], made["fixed"][:] = graph.ids, graph.fixed
    made["trajectory"][:] = 0 if problem.trajectory is None else problem.trajectory
    made["initial_position"][:] = graph.translation
    made["initial_rotation"][:] = _flat(graph.rotation)
    made["edge_ends"][along], made["edge_kind"][along] = graph.edges, graph.kind
    made["edge_position"][along], made["edge_rotation"][along] = graph.edge_translation, _flat(graph.edge_rotation)
    made["edge_information"][along] = triangle(graph.information)
    made["position"][:] = NOT_FINITE if truth is None else truth.translation
    made["rotation"][:] = NOT_FINITE if truth is None else _flat(truth.rotation)
    return made


def in_rows(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The fields of several graphs, one after another."""
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}


def own(data: xr.Dataset, dim: str, number: int) -> slice:
    """Where the elements of a sample lie along a ragged dim of a batch."""
    low, high = np.searchsorted(data.coords[f"{dim}_sample"].values, [number, number + 1])
    return slice(int(low), int(high))


def graph_of(inputs: xr.Dataset, number: int) -> Graph:
    """The graph of one sample. Raises `HandshakeError` if the inputs are not pose graphs."""
    missing = [name for name in INPUTS if name not in inputs]
    if missing:
        raise HandshakeError(
            f"the inputs have no {missing[0]!r}",
            allowed=", ".join(INPUTS),
            advice="ingest pose graphs: `pose-graph`, `synthetic-tours`",
        )
    at = {dim: own(inputs, dim, number) for dim in ("node", "edge")}
    one = {name: inputs[name].values[at[DIMS[name][0]]] for name in INPUTS}
    edges = one["edge_ends"][:, 0] >= 0
    return Graph(
        translation=one["initial_position"],
        rotation=unflat(one["initial_rotation"]),
        edges=one["edge_ends"][edges].astype(np.int64),
        edge_translation=one["edge_position"][edges],
        edge_rotation=unflat(one["edge_rotation"][edges]),
        information=upper(one["edge_information"][edges]),
        kind=one["edge_kind"][edges],
        ids=one["node_id"],
        fixed=one["fixed"].astype(bool),
        convention=inputs["edge_information"].attrs.get("convention", "log"),
        attrs={"source": f"sample {inputs['sample'].values[number] if 'sample' in inputs.coords else number}"},
    )


def poses_of(estimate: xr.Dataset, number: int) -> tuple[Array, Array]:
    """Translations and rotations of one sample."""
    at = own(estimate, "node", number)
    position = estimate["position"].transpose("node", "axis").values[at]
    return position, unflat(estimate["rotation"].transpose("node", "turn").values[at])


def estimate_of(poses: Sequence[tuple[Array, Array]], inputs: xr.Dataset) -> xr.Dataset:
    """Poses of every sample as an estimate, with the attributes and coordinates of the inputs."""
    units = attributes(dims=inputs.sizes["axis"], convention="log")
    others = {f"{dim}_count" for dim in inputs.dims if dim != "node"}
    coords = {
        name: each.variable
        for name, each in inputs.coords.items()
        if each.dims in (("sample",), ("node",)) and name not in others
    }
    positions, rotations = zip(*((translation, _flat(rotation)) for translation, rotation in poses), strict=True)
    return xr.Dataset(
        {
            "position": (("node", "axis"), np.concatenate(positions), units["position"]),
            "rotation": (("node", "turn"), np.concatenate(rotations), units["rotation"]),
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
    parts: Mapping[str, Any],
    *,
    nodes: Sequence[int],
    edges: Sequence[int],
    dims: int,
    convention: str,
    attrs: Mapping[str, Any],
    chunk: int,
) -> xr.Dataset:
    """Fields in rows as the dataset that the pipeline takes, in chunks of about `chunk` graphs."""
    named = attributes(dims=dims, convention=convention)
    variables = {name: (DIMS[name], parts[name], named[name]) for name in DIMS}
    data = xr.Dataset(variables, {"sample": np.arange(len(nodes))}, dict(attrs))
    index = Ragged.over("sample", {"node": nodes, "edge": edges}, inputs=tuple(INPUTS), truth=tuple(TRUTH))
    return index.on(chunked(data, ("node", "edge"), pieces=-(-len(nodes) // chunk)))


def chunked(data: xr.Dataset, ragged: Sequence[str], *, pieces: int) -> xr.Dataset:
    """Dask-backed, in so many chunks of one size along each ragged dim."""
    sizes = {dim: max(1, -(-data.sizes[dim] // pieces)) if dim in ragged else -1 for dim in data.dims}
    return data.chunk({dim: size for dim, size in sizes.items() if dim != "sample"})


def _flat(rotation: Array) -> Array:
    return rotation[:, None] if rotation.ndim == 1 else rotation


def unflat(rotation: Array) -> Array:
    """Angles (N,) of (N, 1); quaternions as they are."""
    return rotation[:, 0] if rotation.shape[-1] == 1 else rotation
