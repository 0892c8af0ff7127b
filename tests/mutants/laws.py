"""Laws that break a check."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from thalweg import (
    DifferentiableLaw,
    Fields,
    Law,
    LinearLaw,
    Rows,
)
from thalweg.laws import differences


class Above(Law):
    """Nothing is below a floor: the depth below it, in the units of the field."""

    variable: str = Field("field", description="what is above")

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        array = fields[self.variable]
        return (0.2 - array).clip(min=0).assign_attrs(array.attrs).to_dataset()


class NoUnits(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context, grid).drop_attrs()


class Infinite(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields, context, grid)
        return (1 / found.where(found > 0)).assign(field=lambda data: data["field"].assign_attrs(units="1"))


class Clips(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields.copy(deep=True), context, grid)
        np.clip(fields["field"].values, 0.2, None, out=fields["field"].values)
        return found


class Relative(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return (
            super()
            .residual(fields - fields.mean("sample"), context, grid)
            .map(lambda each: each.assign_attrs(units="1"))
        )


class Silent(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context, grid).map(lambda each: (0 * each).assign_attrs(units="1"))


class Constant(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context, grid).map(lambda each: (0 * each + 1).assign_attrs(units="1"))


class InOrder(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields, context, grid)
        return found.map(
            lambda each: (each * (np.arange(each.sizes["sample"]) == 0)[:, None, None, None]).assign_attrs(units="1")
        )


class ByChunk(Above):
    """Below the mean of its chunk."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        array = fields["field"].transpose("sample", "lead", "y", "x")
        means = [each.mean(keepdims=True) for each in self._pieces(array)]
        below = np.concatenate(
            [(mean - each).clip(min=0) for mean, each in zip(means, self._pieces(array), strict=True)], axis=3
        )
        return array.copy(data=below).to_dataset()

    def _pieces(self, array: xr.DataArray) -> list[Any]:
        edges = np.cumsum([0, *(array.chunksizes["x"] if array.chunks else (8,))])
        return [array.values[..., low:high] for low, high in itertools.pairwise(edges)]


class Matrix(Rows):
    """A matrix over the cells of `field(y, x)`."""

    variable, dims = "field", ("y", "x")

    def __init__(self, matrix: Any) -> None:
        self._matrix, self.count = matrix, len(matrix)

    def block(self, region: Any) -> Any:
        from scipy.sparse import csr_array

        cells = self._matrix.reshape(self.count, 6, 8)[:, region["y"], region["x"]]
        return csr_array(self._cast(cells.reshape(self.count, -1)))

    def _cast(self, cells: Any) -> Any:
        return cells


class Narrow(Matrix):
    def _cast(self, cells: Any) -> Any:
        return cells.astype("float32")


class Normed(Matrix):
    def _cast(self, cells: Any) -> Any:
        return cells / cells.sum(axis=1, keepdims=True)


class Sums(LinearLaw):
    """The sum stays what it was."""

    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.ones((1, 48)))

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        last = context["field"].sel(lead=0, drop=True)
        return last.astype("float64").sum(("y", "x")).expand_dims("row", -1).assign_attrs(units="1")


class ZeroSum(Sums):
    """There is as much below zero as above it."""

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return 0 * super().targets(context, grid).assign_attrs(units="1")


class SumsNarrow(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Narrow(np.ones((1, 48)))


class SumsNormed(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Normed(np.ones((1, 48)))


class SumsNonlinear(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.full((1, 48), float(grid["field"].mean())))


class SumsUnitless(Sums):
    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return super().targets(context, grid).drop_attrs()


class SumsTwice(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.ones((2, 48)))

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        one = super().targets(context, grid)
        return xr.concat([one, one + 1], "row").transpose(..., "row").assign_attrs(units="1")


class Smooth(DifferentiableLaw):
    """Neighbours along x are alike."""

    example: ClassVar[Mapping[str, Any]] = {}

    def array_residual(self, fields: Fields, known: Mapping[str, Any], grid: xr.Dataset) -> Any:
        return differences(fields.values["field"], fields.dims["field"].index("x"))


class SmoothAbove(DifferentiableLaw):
    """Nothing is below a floor, with tensors too."""

    def array_residual(self, fields: Fields, known: Mapping[str, Any], grid: xr.Dataset) -> Any:
        return (0.2 - fields.values["field"]).clip(0.0, None)


class SmoothElsewhere(Smooth):
    """Of tensors along y."""

    def array_residual(self, fields: Fields, known: Mapping[str, Any], grid: xr.Dataset) -> Any:
        field = fields.values["field"]
        dim = "y" if isinstance(field, torch.Tensor) else "x"
        return differences(field, fields.dims["field"].index(dim))


KEPT = Above


MUTANTS: Mapping[str, Any] = {
    "residual_has_units": NoUnits,
    "residual_is_finite": Infinite,
    "something_breaks_it": (Silent, Constant),
    "arguments_are_left_alone": Clips,
    "samples_do_not_see_one_another": (Relative, InOrder),
    "chunks_do_not_matter": ByChunk,
    "rows_are_a_matrix": SumsNarrow,
    "blocks_are_columns_of_the_whole": SumsNormed,
    "rows_do_not_read_values": SumsNonlinear,
    "targets_are_by_row": SumsUnitless,
    "least_change_meets_the_law": SumsTwice,
    "tensors_have_the_same_residual": SmoothElsewhere,
}
"""Parts that break a check, by its name."""
