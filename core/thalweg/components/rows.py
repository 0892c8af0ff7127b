"""The rows of linear laws, and what a missing cell does to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from ..errors import HandshakeError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]

Gaps = Literal["sum", "mean", "void"]


class Rows(ABC):
    """The rows of a linear law on one sample and lead: `G`, of `count` rows over the cells of `dims`."""

    variable: str
    dims: tuple[str, ...]
    count: int
    gaps: Gaps = "sum"
    """What a missing cell is to a row: it weighs nothing (`sum`); it is left out of the mean, of weights that add up to
    1 (`mean`); or the row says nothing without it (`void`: a value, a difference, an interpolation). A row of which no
    cell is there says nothing."""

    @abstractmethod
    def block(self, region: Mapping[str, slice]) -> Any:
        """`G` on the cells of a region: a scipy CSR array `(count, cells)`, float64, cells in C order of `dims`."""


def whole(rows: Rows, sizes: Mapping[Any, int]) -> Any:
    """`G` on all cells."""
    return rows.block({dim: slice(0, sizes[dim]) for dim in rows.dims})


def factors(matrix: Any, gaps: Gaps, there: Bools) -> Floats:
    """The share of each row that is there, by which its target counts: `(batch, row)` for `there` of `(batch, cell)`.

    1; of a mean the sum of the weights that are there; 0 where the row says nothing.
    """
    import numpy as np

    if there.all():
        return np.ones((1, matrix.shape[0]))
    return shares(tallied(matrix, there), [gaps] * matrix.shape[0])


def tallied(matrix: Any, there: Bools) -> Floats:
    """Of each row the sum of its weights that are there, how many those are and how many are not: `(batch, 3 row)`.

    Those of parts of the cells add up.
    """
    import numpy as np

    pattern = matrix.copy()
    pattern.data = (matrix.data != 0.0).astype(np.float64)
    if there.all():
        count = pattern.sum(axis=1)
        return np.broadcast_to(np.concatenate([matrix.sum(axis=1), count, 0 * count]), (len(there), 3 * len(count)))
    cells = there.T.astype(np.float64)
    return np.concatenate([matrix @ cells, pattern @ cells, pattern @ (1.0 - cells)]).T


def shares(there: Floats, gaps: Sequence[Gaps]) -> Floats:
    """`factors` of rows, each with its own `gaps`, from what `tallied` gave of all cells: `(..., row)`."""
    import numpy as np

    weight, present, absent = np.split(there, 3, axis=-1)
    mean, void = (np.array([each == kind for each in gaps]) for kind in ("mean", "void"))
    partly = np.where(mean, weight, np.where(void, 0.0, 1.0))
    return np.where(present > 0.0, np.where(absent > 0.0, partly, 1.0), 0.0)


def applied(rows: Rows, field: xr.DataArray) -> xr.DataArray:
    """`G x` `(..., row)` of a field, float64; NaN where a row says nothing. Lazy where the field is.

    Raises `HandshakeError` for a field on another grid.
    """
    import numpy as np
    import xarray as xr

    lacks = [dim for dim in rows.dims if dim not in field.dims]
    # Of a block some rows make as many columns as there are, others as many as are asked for.
    matrix = None if lacks else whole(rows, field.sizes)
    if matrix is None or matrix.shape[1] != prod(field.sizes[dim] for dim in rows.dims):
        raise HandshakeError(
            f"rows over {', '.join(rows.dims)} of {rows.variable!r} are taken of {str(field.name)!r}, which has "
            f"{dict(field.sizes)!r}",
            allowed=f"a field on the grid of {rows.variable!r}",
            advice="name such a field, or regrid it in preprocess",
        )

    def times(values: Any) -> Any:
        flat = values.reshape(-1, matrix.shape[1]).astype(np.float64)
        there = ~np.isnan(flat)
        factor = factors(matrix, rows.gaps, there)
        product = (matrix @ np.where(there, flat, 0.0).T).T
        with np.errstate(divide="ignore", invalid="ignore"):
            # 1 where all is there, and nothing is rounded twice.
            found = np.where(factor > 0.0, product / factor, np.nan)
        return found.reshape(*values.shape[: values.ndim - len(rows.dims)], rows.count)

    found: xr.DataArray = xr.apply_ufunc(
        times,
        field,
        input_core_dims=[rows.dims],
        output_core_dims=[["row"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"row": rows.count}, "allow_rechunk": True},
    )
    return found
