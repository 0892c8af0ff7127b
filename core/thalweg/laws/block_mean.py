"""The means over blocks of cells are those of a coarse field."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..components import LinearLaw, Rows
from ..errors import HandshakeError
from ._known import given_by
from ._matrix import MatrixRows, space_of
from ._weights import cell_weights

_KINDS = {"equal": "equal", "area": "cell-area", "cosine": "cos-lat"}


class BlockMean(LinearLaw):
    r"""The mean over each block of cells is the value of a coarse cell: $\sum_{i \in B_j} a_i x_i / \sum a_i = b_j$.

    Blocks have `factor` cells along each of `dims`. $b$ is the variable `coarse` of the context, of a `store` (a URL;
    at the valid times of the estimate if it has a `time`), or the block means of the last input. Dims of the coarse
    field that are neither sample, lead nor target_lead are the blocks', in the order of `dims`. Means are over the
    cells that are there, in the units of the variable. Raises `HandshakeError` for a grid that the blocks do not fill,
    or a coarse field of other sizes.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "factor": 2, "dims": ["x"]}

    variable: str = Field(description="the field that the law is about")
    factor: int = Field(ge=2, description="cells of a block along each dim")
    coarse: str = Field(
        "",
        description="name of the coarse variable that block means must equal; the block means of the last input "
        "if empty",
    )
    store: str = Field(
        "", description="URL of a zarr store that holds the coarse variable; it is one of the context if empty"
    )
    dims: tuple[str, ...] = Field(
        (), description="dims that are cut into blocks; all but sample, lead and member if empty"
    )
    weights: Literal["equal", "area", "cosine"] = Field(
        "equal", description="weights of the cells of a block: all equal, the grid's `area`, or cosine of the latitude"
    )

    def reads(self) -> tuple[str, ...]:
        return () if self.store else (self.coarse or self.variable,)

    def rows(self, grid: xr.Dataset) -> Rows:
        from scipy.sparse import csr_array

        dims, coarse = self._blocks(grid)
        sizes = {dim: grid.sizes[dim] for dim in dims}
        weights = cell_weights(grid, self.variable, dims, _KINDS[self.weights]).ravel()  # type: ignore[arg-type]
        within = [np.arange(size) // self.factor for size in sizes.values()]
        block = np.ravel_multi_index(np.meshgrid(*within, indexing="ij"), coarse).ravel()
        shares = weights / np.bincount(block, weights)[block]
        matrix = csr_array((shares, (block, np.arange(len(block)))), shape=(prod(coarse), len(block)))
        return MatrixRows(self.variable, sizes=sizes, matrix=matrix, gaps="mean")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        field = context.get(self.variable)
        units = grid[self.variable].attrs.get("units", "1")
        if not self.coarse:
            if field is None:
                raise HandshakeError(
                    f"block-mean needs the last {self.variable!r}, which is no input",
                    allowed=", ".join(map(str, context.data_vars)),
                    advice="name a coarse field in `coarse`",
                )
            last = field.isel(lead=-1, drop=True) if "lead" in field.dims else field
            found = given_by(self.rows(grid), last, law=self.name)
            return found.reset_coords(drop=True).assign_attrs(units=units)
        given = self._coarse(context)
        if "target_lead" in given.dims:
            given = given.rename(target_lead="lead")
        own = [dim for dim in given.dims if dim not in ("sample", "lead", "member")]
        dims, coarse = self._blocks(grid)
        if tuple(given.sizes[dim] for dim in own) != coarse:
            raise HandshakeError(
                f"the coarse {self.coarse!r} has {dict(given.sizes)}",
                allowed=f"{coarse} along {', '.join(dims)}: blocks of {self.factor}",
                advice="set `factor` to the ratio of the two grids",
            )
        return (
            given.reset_coords(drop=True)
            .drop_vars(own, errors="ignore")
            .stack(row=own, create_index=False)
            .transpose(..., "row")
            .astype("float64")
            .assign_attrs(units=units)
        )

    def _blocks(self, grid: xr.Dataset) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The dims, and the number of blocks along each."""
        dims = space_of(grid[self.variable], self.dims, law="block-mean")
        sizes = [grid.sizes[dim] for dim in dims]
        if any(size % self.factor for size in sizes):
            raise HandshakeError(
                f"blocks of {self.factor} do not fill {dict(zip(dims, sizes, strict=True))}",
                allowed="sizes that the factor divides",
                advice="cut the field in preprocess, or change `factor`",
            )
        return dims, tuple(size // self.factor for size in sizes)

    def _coarse(self, context: xr.Dataset) -> xr.DataArray:
        if self.store:
            from ..stores import read

            where, name = read(self.store), self.store
        else:
            where, name = context, "the context"
        if self.coarse not in where:
            raise HandshakeError(
                f"block-mean needs {self.coarse!r}, which {name} lacks",
                allowed=", ".join(map(str, where.data_vars)),
                advice="set `coarse` to one of these",
            )
        found = where[self.coarse]
        return self._at_valid_times(found, context) if self.store and "time" in found.dims else found

    def _at_valid_times(self, coarse: xr.DataArray, context: xr.Dataset) -> xr.DataArray:
        times, leads = context["valid_time"], context["target_lead"]
        step = times.isel(lead=-1, drop=True) - times.isel(lead=-2, drop=True)
        wanted = times.isel(lead=-1, drop=True) + step * leads
        missing = np.setdiff1d(wanted.values, coarse["time"].values)
        if len(missing):
            raise HandshakeError(
                f"{self.store} has no {self.coarse!r} at {missing[0]} (and {len(missing) - 1} other times)",
                allowed=f"{coarse['time'].values[0]} to {coarse['time'].values[-1]}",
                advice="give a store that covers the test period",
            )
        return coarse.sel(time=wanted.reset_coords(drop=True)).drop_vars("time").load()
