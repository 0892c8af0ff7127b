"""The residual of a linear law, of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from thalweg import HandshakeError, LinearLaw, Rows
from thalweg.laws import factors
from torch import Tensor


@dataclass(frozen=True)
class TensorRows:
    """`G` of a law, on a grid."""

    law: LinearLaw
    grid: xr.Dataset
    """Of the field, but for how many samples it has."""
    variable: str
    dims: tuple[str, ...]
    rows: Rows
    matrix: Tensor

    @classmethod
    def of(cls, law: LinearLaw, grid: xr.Dataset) -> TensorRows:
        rows = law.rows(grid)
        found = rows.block({dim: slice(0, grid.sizes[dim]) for dim in rows.dims}).tocoo()
        at = torch.from_numpy(np.stack([found.row, found.col]).astype(np.int64))
        values = torch.from_numpy(found.data.astype(np.float64))
        matrix = torch.sparse_coo_tensor(at, values, found.shape, check_invariants=True).coalesce()
        return cls(law, grid[[rows.variable]].isel(sample=0), rows.variable, rows.dims, rows, matrix)

    def residual(self, estimate: Mapping[str, Tensor], context: xr.Dataset) -> Tensor:
        """$G x - b$ `(..., row)`, in float64; 0 where a row says nothing. Raises `HandshakeError`."""
        field = estimate[self.variable]
        one = self.grid[self.variable]
        inner = tuple(one.sizes.values())
        member = ("member",) if field.ndim == len(inner) + 2 else ()
        if tuple(field.shape[1 + len(member) :]) != inner:
            raise HandshakeError(
                f"{self.law.name} goes over {dict(one.sizes)}, and the method learns from points {tuple(field.shape)}",
                allowed="a method that learns from whole fields",
                advice="hold the law at the output",
            )
        own = ("sample", *member, *map(str, one.dims))
        outer = tuple(dim for dim in own if dim not in self.dims)
        cells = field.permute([own.index(dim) for dim in (*outer, *self.dims)]).double()
        there, share = self._there(context), torch.ones((), dtype=torch.float64)
        if there is not None:
            whole = self.rows.block({dim: slice(0, one.sizes[dim]) for dim in self.dims})
            share = torch.from_numpy(factors(whole, self.rows.gaps, there.reshape(len(there), -1)))
            share = share.to(cells.device).reshape(-1, *(1,) * (len(outer) - 1), self.rows.count)
            mask = torch.from_numpy(there).to(cells.device)
            cells = torch.where(mask.reshape(-1, *(1,) * (len(outer) - 1), *there.shape[1:]), cells, 0.0)
        matrix = self.matrix.to(cells.device)
        product = torch.sparse.mm(matrix, cells.reshape(-1, matrix.shape[1]).T).T
        held = product.reshape(*cells.shape[: len(outer)], matrix.shape[0])
        targets = self._targets(context, outer).to(cells.device)
        # What says nothing must not meet the gradient either.
        said = (share > 0.0) & ~targets.isnan()
        residual = held / torch.where(share > 0.0, share, 1.0) - torch.where(said, targets, 0.0)
        return torch.where(said, residual, 0.0)

    def _targets(self, context: xr.Dataset, outer: tuple[str, ...]) -> Tensor:
        targets = self.law.targets(context, self.grid)
        found = targets.transpose(*(dim for dim in outer if dim in targets.dims), "row")
        shape = [targets.sizes.get(dim, 1) for dim in outer]
        return torch.from_numpy(found.values.astype(np.float64).reshape(*shape, -1))

    def _there(self, context: xr.Dataset) -> np.ndarray[Any, Any] | None:
        """Cells that are not missing in all inputs, `(sample or 1, *cells)`; None if all are there."""
        given = context.get(self.variable)
        if given is None or given.dtype.kind != "f":
            return None
        missing = given.isnull().all("lead") if "lead" in given.dims else given.isnull()
        if not set(self.dims) <= set(missing.dims) <= {"sample", *self.dims} or not bool(missing.any()):
            return None
        ordered = ~missing.transpose(..., *self.dims)
        return ordered.values if "sample" in ordered.dims else ordered.values[None]
