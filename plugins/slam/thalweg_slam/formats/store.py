"""Pose graphs in one zarr store, ragged: one graph, or a thousand of any sizes, without padding.

problems/node_ptr, problems/edge_ptr (P + 1)            where each graph begins
nodes/t, nodes/q | nodes/theta, nodes/id, nodes/fixed, nodes/trajectory
edges/ij (local), edges/t, edges/q | edges/theta, edges/info (upper triangle), edges/kind
truth/t, truth/q | truth/theta                          if it is known
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from thalweg import SourceError

from ..graph import Graph
from ..poses import Array
from ..problem import Problem
from ..trajectory import Trajectory
from ._assembly import triangle, upper
from ._order import check_order

SCHEMA = "pgo/1"
NODES, EDGES = 65_536, 16_384
"""Rows of a chunk."""


def write_store(url: str | Path, problems: Sequence[Problem]) -> None:
    """Write graphs of one convention, in as many dims. Raises `SourceError` for others."""
    import zarr

    for each in problems if isinstance(problems, Sequence) else [problems]:
        check_order(url, each, kind=Problem, call="write_store(path, [Problem(graph), ...])")
    graphs = [each.graph for each in problems]
    kinds = {(each.dims, each.convention) for each in graphs}
    if len(kinds) != 1:
        raise SourceError(
            f"{len(graphs)} graphs of {sorted(kinds)}", allowed="one number of dims, one convention, in a store"
        )
    dims, convention = kinds.pop()
    turn = "theta" if dims == 2 else "q"
    known = all(each.truth is not None for each in problems)
    root = zarr.open_group(str(url), mode="w", zarr_format=3)
    root.attrs.update(
        schema=SCHEMA,
        dim=dims,
        quat="xyzw",
        info_convention=convention,
        units={"t": "m", turn: "rad" if dims == 2 else "1"},
        source=[str(each.attrs.get("source", "")) for each in graphs],
    )
    zeros = [np.zeros(len(each), dtype=np.int32) for each in graphs]
    trajectory = [
        each.trajectory if each.trajectory is not None else z for each, z in zip(problems, zeros, strict=True)
    ]
    arrays: dict[str, tuple[Array, int]] = {
        "problems/node_ptr": (_pointer([len(each) for each in graphs]), NODES),
        "problems/edge_ptr": (_pointer([len(each.edges) for each in graphs]), NODES),
        "problems/given": (np.array([each.given for each in graphs]), NODES),
        "nodes/t": (np.concatenate([each.translation for each in graphs]), NODES),
        f"nodes/{turn}": (np.concatenate([each.rotation for each in graphs]), NODES),
        "nodes/id": (np.concatenate([each.ids for each in graphs]), NODES),
        "nodes/fixed": (np.concatenate([each.fixed for each in graphs]), NODES),
        "nodes/trajectory": (np.concatenate(trajectory).astype(np.int32), NODES),
        "edges/ij": (np.concatenate([each.edges for each in graphs]).astype(np.int32), EDGES),
        "edges/t": (np.concatenate([each.edge_translation for each in graphs]), EDGES),
        f"edges/{turn}": (np.concatenate([each.edge_rotation for each in graphs]), EDGES),
        "edges/info": (np.concatenate([triangle(each.information) for each in graphs]), EDGES),
        "edges/kind": (np.concatenate([each.kind for each in graphs]), EDGES),
    }
    if known:
        truths = [each.truth for each in problems if each.truth is not None]
        arrays["truth/t"] = np.concatenate([each.translation for each in truths]), NODES
        arrays[f"truth/{turn}"] = np.concatenate([each.rotation for each in truths]), NODES
    for name, (values, rows) in arrays.items():
        chunks = (max(1, min(rows, len(values))), *values.shape[1:])
        root.create_array(name, data=np.ascontiguousarray(values), chunks=chunks)


def read_store(url: str | Path) -> list[Problem]:
    """All graphs of a store. Raises `SourceError` if it is not one."""
    import zarr

    try:
        root = zarr.open_group(str(url), mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise SourceError(f"{str(url)!r} is no zarr group: {error}", allowed="a store of `write_store`") from None
    if root.attrs.get("schema") != SCHEMA:
        raise SourceError(f"{str(url)!r} has schema {root.attrs.get('schema')!r}", allowed=SCHEMA)
    turn = "theta" if root.attrs["dim"] == 2 else "q"

    def whole(name: str) -> Any:
        return np.asarray(root[name][...])  # type: ignore[index]

    names = ("t", turn, "id", "fixed", "trajectory")
    at, turned, ids, fixed, trajectory = (whole(f"nodes/{name}") for name in names)
    ends, shift, swing, information, kind = (whole(f"edges/{name}") for name in ("ij", "t", turn, "info", "kind"))
    truth = (whole("truth/t"), whole(f"truth/{turn}")) if "truth" in root else None
    sources, given = root.attrs.get("source"), whole("problems/given")
    nodes, edges = whole("problems/node_ptr"), whole("problems/edge_ptr")
    found = []
    for i in range(len(nodes) - 1):
        n, e = slice(nodes[i], nodes[i + 1]), slice(edges[i], edges[i + 1])
        graph = Graph(
            translation=at[n],
            rotation=turned[n],
            edges=ends[e].astype(np.int64),
            edge_translation=shift[e],
            edge_rotation=swing[e],
            information=upper(information[e]),
            kind=kind[e],
            ids=ids[n],
            fixed=fixed[n],
            convention=root.attrs["info_convention"],  # type: ignore[arg-type]
            given=bool(given[i]),
            attrs={"source": sources[i]} if isinstance(sources, list) else {},
        )
        found.append(Problem(graph, Trajectory(truth[0][n], truth[1][n]) if truth else None, trajectory[n]))
    return found


def _pointer(counts: list[int]) -> Array:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
