"""Parts that say what must be true of an estimate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import Field

from .component import Component
from .fields import Array, Fields, plain
from .rows import Rows, applied

if TYPE_CHECKING:
    import xarray as xr


class Law(Component):
    """A constraint: what must be true of an estimate, and by how much it is not (the residual)."""

    oracle: ClassVar[bool] = False
    """Whether it looks at the truth (as `truth_NAME` in the context), which a recipe must allow in so many words."""

    def reads(self) -> tuple[str, ...]:
        """Names of the inputs that it reads beside the estimate; a plan that lacks one is refused."""
        return ()

    @abstractmethod
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        """The residual: by how much the fields break the law, with units; zero where it holds.

        `context` is what is known of these samples without the truth: the inputs, budgets. `grid` is one sample of the
        estimate over empty memory: its dims, coordinates and units, and static fields such as `area`.
        """


class LinearLaw(Law):
    r"""A law $G x = b$, up to noise of variance $R$ in `noise`."""

    noise: float = Field(
        0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="variance R of the law's targets, in their units squared; 0 holds it exactly",
    )

    @abstractmethod
    def rows(self, grid: xr.Dataset) -> Rows:
        """`G` on a grid; reads its coordinates and static fields only."""

    @abstractmethod
    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        """`b(..., row)`, in the units of the row."""

    def variances(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray | float:  # noqa: ARG002
        """The variance R of each target, in the units of the row squared: `noise`, or one that a law knows of a sample.

        It lies along `row` and the dims that targets may have, or fewer. Where it is unknown (NaN) or infinite the row
        says nothing.
        """
        return self.noise

    @final
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        """$G x - b$ along `row`, over the cells that are there; NaN where a row says nothing."""
        import xarray as xr

        rows = self.rows(grid)
        held = applied(rows, fields[rows.variable].drop_attrs())
        targets, variances = self.targets(context, grid), self.variances(context, grid)
        # A comparison with NaN is false too.
        targets = targets.where(xr.DataArray(variances) < float("inf"))
        return (held - targets).assign_attrs(units=targets.attrs.get("units", "1")).to_dataset(name=rows.variable)


class DifferentiableLaw(Law):
    """A law with two halves: what it knows of a batch beforehand, and array code that can be differentiated."""

    @property
    def about(self) -> str | None:
        """The field that it is about: its option `variable`."""
        name: str | None = getattr(self, "variable", None)
        return name

    def known(self, context: xr.Dataset, grid: xr.Dataset) -> Mapping[str, xr.DataArray]:  # noqa: ARG002
        """What `array_residual` needs beside the estimate, once per batch, where it is read: targets, parameters."""
        return {}

    @abstractmethod
    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:
        """The residual of arrays of numpy and of tensors alike; reads no xarray but the grid's coordinates.

        Where no estimate is known, `known["there"]` says which cells are: (sample or 1, *dims of the grid's field or
        1). Of a method that learns from scattered points, `fields.points` are their coordinates by dim.
        """

    @final
    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        """The residual of arrays, with names, dims and units."""
        given = Fields.of(fields)
        known = {name: plain(each) for name, each in self.known(context, grid).items()}
        found = self.array_residual(given, known, grid)
        turned = fields.assign({name: fields[name].transpose(*dims) for name, dims in given.dims.items()})
        return self.labelled(found, turned, context)

    def labelled(self, residual: Array, fields: xr.Dataset, context: xr.Dataset, /) -> xr.Dataset:  # noqa: ARG002
        """The residual of arrays as a dataset: along the dims of the field that it is about, in its units."""
        import xarray as xr

        field = fields[self.about or next(iter(fields.data_vars))]
        cut = {dim for dim, size in zip(field.dims, residual.shape, strict=True) if size != field.sizes[dim]}
        coords = {name: each.variable for name, each in field.coords.items() if not cut & set(each.dims)}
        units = {"units": field.attrs.get("units", "1")}
        return xr.DataArray(residual, coords, field.dims, attrs=units).to_dataset(name=str(field.name))
