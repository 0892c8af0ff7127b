"""Parts that say what must be true of an estimate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import Field

from .component import Component

if TYPE_CHECKING:
    import torch
    import xarray as xr


class Law(Component):
    """A constraint: what must be true of an estimate, and by how much it is not (the residual)."""

    oracle: ClassVar[bool] = False
    """Whether it looks at the truth (as `truth_NAME` in the context), which a recipe must allow in so many words."""

    def reads(self) -> tuple[str, ...]:
        """Names of the inputs that it reads beside the estimate; a plan that lacks one is refused."""
        return ()

    @abstractmethod
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        """The residual: by how much the fields break the law, with units; zero where it holds.

        `context` is what is known without the truth: the inputs, coordinates, parameters, budgets.
        """


class Rows(ABC):
    """The rows of a linear law on one sample and lead: `G`, of `count` rows over the cells of `dims`."""

    variable: str
    dims: tuple[str, ...]
    count: int

    @abstractmethod
    def block(self, region: Mapping[str, slice]) -> Any:
        """`G` on the cells of a region: a scipy CSR array `(count, cells)`, float64, cells in C order of `dims`."""


class LinearLaw(Law):
    r"""A law $G x = b$, up to noise of variance $R$ in `noise`."""

    noise: float = Field(0.0, description="variance R of the law's targets, in their units squared; 0 holds it exactly")

    @abstractmethod
    def rows(self, grid: xr.Dataset) -> Rows:
        """`G` on a grid; reads its coordinates and static fields only."""

    @abstractmethod
    def targets(self, context: xr.Dataset) -> xr.DataArray:
        """`b(..., row)`, in the units of the row."""

    @final
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        """$G x - b$ along `row`; cells that are missing (land) weigh nothing."""
        import numpy as np
        import xarray as xr

        rows = self.rows(fields)
        array = fields[rows.variable]
        matrix = rows.block({dim: slice(0, array.sizes[dim]) for dim in rows.dims})
        cells = array.transpose(..., *rows.dims).fillna(0.0)
        flat = cells.values.reshape(-1, matrix.shape[1]).astype(np.float64)
        lead = cells.dims[: cells.ndim - len(rows.dims)]
        product = (matrix @ flat.T).T.reshape(*(cells.sizes[dim] for dim in lead), rows.count)
        coords = {dim: cells[dim] for dim in lead if dim in cells.coords}
        held = xr.DataArray(product, dims=(*lead, "row"), coords=coords)
        targets = self.targets(context)
        return (held - targets).assign_attrs(units=targets.attrs.get("units", "1")).to_dataset(name=rows.variable)


class TensorLaw(Law):
    """A law that is also written with tensors, so that the gradient of its residual can be learned from."""

    @abstractmethod
    def tensor_residual(
        self, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        """The residual of fields with the dims of `grid`.

        Of a method that learns from scattered points, `estimate` holds their coordinates too, by dim and of the shape
        of the fields, which have a gradient with respect to them.
        """
