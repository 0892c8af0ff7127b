"""Validation of pose graphs, and repair."""

from __future__ import annotations

import hashlib
import logging
from threading import Lock

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Signature, Transform

from ..layout import INPUTS, graph_of, needs_graphs, packed
from ..problem import Problem
from ..repairs import Duplicates, Indefinite, repair
from ..validation import Defect

log = logging.getLogger("thalweg")

BLOCKS = 4
_KEPT: dict[bytes, xr.Dataset] = {}
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

        names = [*INPUTS, *(name for name in ("sample",) if name in data.coords)]
        graphs = data[names].drop_attrs(deep=False)
        chunks = (graphs["edge_kind"].chunks or ((data.sizes["sample"],),))[0]
        whole = {str(dim): -1 for dim in graphs.dims if dim != "sample"}
        graphs = graphs.chunk({"sample": chunks, **whole})
        attrs = {"units": "1", "defects": "; ".join(Defect)}
        empty = da.zeros((data.sizes["sample"], len(Defect)), dtype=np.int32, chunks=(chunks, -1))
        template = graphs[list(_MENDED)].assign(defects=(("sample", "defect"), empty, attrs))
        made = xr.map_blocks(self._mended, graphs, template=template)
        return data.assign({name: made[name].assign_attrs(template[name].attrs) for name in template.data_vars})

    def _mended(self, graphs: xr.Dataset) -> xr.Dataset:
        # Stores are written variable by variable: the last few blocks are kept, lest each is repaired once for each.
        content = hashlib.blake2b(repr(self).encode())
        for name in INPUTS:
            content.update(np.ascontiguousarray(graphs[name].values).data)
        key = content.digest()
        with _ONE:
            if key not in _KEPT:
                while len(_KEPT) >= BLOCKS:
                    _KEPT.pop(next(iter(_KEPT)))
                _KEPT[key] = self._repaired(graphs)
            return _KEPT[key]

    def _repaired(self, graphs: xr.Dataset) -> xr.Dataset:
        nodes, edges = graphs.sizes["node"], graphs.sizes["edge"]
        made, counts = [], []
        for number in range(graphs.sizes["sample"]):
            graph, report = repair(graph_of(graphs, number), indefinite=self.indefinite, duplicates=self.duplicates)
            level = logging.WARNING if any(each.done for each in report.findings) else logging.INFO
            log.log(level, "%s", report)
            made.append(packed(Problem(graph), nodes=nodes, edges=edges))
            counts.append([report.counts.get(defect, 0) for defect in Defect])
        mended = {
            name: graphs[name].copy(data=np.stack([each[name] for each in made]).astype(graphs[name].dtype))
            for name in _MENDED
        }
        found = np.array(counts, dtype=np.int32).reshape(-1, len(Defect))
        return graphs[list(_MENDED)].assign(mended).assign(defects=(("sample", "defect"), found))
