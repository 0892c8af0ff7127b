"""Validation of pose graphs, and repair."""

from __future__ import annotations

import hashlib
import logging
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, Ragged, Signature, Transform, index_of

from ..layout import DIMS, INPUTS, graph_of, in_rows, needs_graphs, own, packed
from ..poses import Array
from ..problem import Problem
from ..repairs import Duplicates, Indefinite, repair
from ..validation import Defect

log = logging.getLogger("thalweg")

BLOCKS = 4
_KEPT: dict[bytes, dict[str, Array]] = {}
_ONE = Lock()

_MENDED = tuple(name for name in INPUTS if name.startswith(("edge_", "initial_", "fixed")))


class ValidateGraph(Transform):
    """Looks for what is wrong with each pose graph, mends what can be mended, and says so.

    Adds `defects(sample, defect)`, how often each was found, in the order that its attribute `defects` says. Raises
    `SourceError` for what cannot be mended.
    """

    indefinite: Indefinite = Field(
        "project",
        description="information matrices with negative eigenvalues: these are set to 0 (project), the matrix is "
        "made isotropic, or an error",
    )
    duplicates: Duplicates = Field(
        "keep", description="edges that are exactly alike: all are kept, or all but one are dropped"
    )

    def check(self, given: Signature) -> None:
        needs_graphs(given, by=self.name)

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        import dask.array as da
        from dask.delayed import delayed

        index = _whole(data)
        given = {name: each if each.chunks else each.chunk() for name in INPUTS for each in (data[name],)}
        names = data["sample"].values if "sample" in data.coords else np.arange(len(index))
        mend = delayed(self._mended, pure=True)
        parts: dict[str, list[Any]] = {name: [] for name in (*_MENDED, "defects")}
        for at in np.array_split(np.arange(len(index)), min(len(index), given["edge_kind"].data.numblocks[0])):
            counts = {dim: index.count[dim][at] for dim in index.ragged}
            begin = {dim: int(index.start[dim][at[0]]) for dim in index.ragged}
            places = {dim: slice(begin[dim], begin[dim] + int(counts[dim].sum())) for dim in index.ragged}
            graphs = {name: xr.Variable(DIMS[name], each.data[places[DIMS[name][0]]]) for name, each in given.items()}
            made = mend(graphs, counts, names[at], data["edge_information"].attrs.get("convention", "log"))
            for name in _MENDED:
                parts[name].append(da.from_delayed(made[name], graphs[name].shape, dtype=graphs[name].dtype))
            parts["defects"].append(da.from_delayed(made["defects"], (len(at), len(Defect)), dtype=np.int32))
        joined = {name: da.concatenate(each) for name, each in parts.items()}
        attrs = {"units": "1", "defects": "; ".join(Defect)}
        mended = {name: data[name].copy(data=joined[name].rechunk(given[name].chunks)) for name in _MENDED}
        # The parts are of one size, but for the first few that may have one more.
        defects = joined["defects"].rechunk((joined["defects"].chunks[0][0], -1))
        return data.assign(mended).assign(defects=((index.dim, "defect"), defects, attrs))

    def _mended(
        self, graphs: dict[str, xr.Variable], counts: dict[str, Array], names: Array, convention: str
    ) -> dict[str, Array]:
        # Stores are written variable by variable: the last few blocks are kept, lest each is repaired once for each.
        content = hashlib.blake2b(repr((self, convention, names.tolist())).encode())
        for each in (*(graphs[name].values for name in INPUTS), *counts.values()):
            content.update(np.ascontiguousarray(each).data)
        key = content.digest()
        with _ONE:
            if key not in _KEPT:
                while len(_KEPT) >= BLOCKS:
                    _KEPT.pop(next(iter(_KEPT)))
                owners = {f"{dim}_sample": (dim, np.repeat(np.arange(len(n)), n)) for dim, n in counts.items()}
                batch = xr.Dataset(graphs, {"sample": names, **owners})
                batch["edge_information"].attrs["convention"] = convention
                _KEPT[key] = self._repaired(batch)
            return _KEPT[key]

    def _repaired(self, graphs: xr.Dataset) -> dict[str, Array]:
        made, counts = [], []
        for number in range(graphs.sizes["sample"]):
            graph, report = repair(graph_of(graphs, number), indefinite=self.indefinite, duplicates=self.duplicates)
            level = logging.WARNING if any(each.done for each in report.findings) else logging.INFO
            log.log(level, "%s", report)
            at = own(graphs, "edge", number)
            made.append(packed(Problem(graph), edges=at.stop - at.start))
            counts.append([report.counts.get(defect, 0) for defect in Defect])
        mended = {name: each.astype(graphs[name].dtype) for name, each in in_rows(made).items() if name in _MENDED}
        return {**mended, "defects": np.array(counts, dtype=np.int32).reshape(-1, len(Defect))}


def _whole(data: xr.Dataset) -> Ragged:
    """The index of the graphs. Raises `HandshakeError` where they are not all that the data have, in their order."""
    index = index_of(data)
    assert isinstance(index, Ragged)
    for dim in index.ragged:
        if index.count[dim].sum() != data.sizes[dim] or (np.diff(index.start[dim]) < 0).any():
            raise HandshakeError(
                f"{len(index)} graphs have {index.count[dim].sum()} of the {data.sizes[dim]} elements along {dim!r}",
                allowed="all graphs of a source, in their order",
                advice="put `validate-graph` before what leaves graphs out",
            )
    return index
