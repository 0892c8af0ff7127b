"""What a law keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask
import numpy as np
import xarray as xr

from ..components import DifferentiableLaw, Law, LinearLaw, Rows
from ..components.held import Held
from ..results.estimates import with_owners
from ..samples import Samples
from ..samples.elements import has_samples, joined, owners, taken
from .candidates import broken, candidates
from .components import check_component
from .report import Check, ensure
from .scenes import BATCH, difference, guess, known, scenes


@dataclass
class Case:
    """A law, and samples to try it on."""

    law: Law
    data: xr.Dataset

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    @cached_property
    def fields(self) -> xr.Dataset:
        return guess(self.samples, BATCH)

    @cached_property
    def context(self) -> xr.Dataset:
        return known(self.samples, self.law)

    @cached_property
    def grid(self) -> xr.Dataset:
        return self.samples.grid

    def taken(self, at: Sequence[int]) -> tuple[xr.Dataset, xr.Dataset]:
        """The fields and the context of some samples."""
        return taken(self.fields, at), taken(self.context, at)

    def residual(self) -> xr.Dataset:
        return self.law.residual(self.fields.copy(deep=True), self.context.copy(deep=True), self.grid)


def residual_has_units(case: Case) -> None:
    residual = case.residual()
    ensure(residual.data_vars, "the residual has no variables")
    bare = [str(name) for name, each in residual.data_vars.items() if "units" not in each.attrs]
    ensure(not bare, f"the residual of {', '.join(bare)} has no units; set attrs['units']")


def residual_is_finite(case: Case) -> None:
    for name, each in case.residual().data_vars.items():
        ensure(bool(np.isfinite(each.values).all()), f"the residual of {name} is not finite where every field is")


def something_breaks_it(case: Case) -> None:
    """A residual that is zero, or the same, whatever the fields are, says nothing of them."""
    residuals = []
    for each in candidates(case.fields):
        try:
            if broken(case.law, each, case.context, case.grid):
                residuals.append(case.law.residual(each.copy(deep=True), case.context.copy(deep=True), case.grid))
        except Exception:  # A law need not know what to say of any field.
            continue
    ensure(residuals, "its residual is zero for every estimate of the kit: it says nothing")
    same = len(residuals) > 1 and not any(difference(residuals[0], each) for each in residuals[1:])
    ensure(not same, "its residual is the same for every estimate of the kit")


def arguments_are_left_alone(case: Case) -> None:
    fields, context = case.fields.copy(deep=True), case.context.copy(deep=True)
    grid = case.grid.copy(deep=True)
    case.law.residual(fields, context, grid)
    found = difference(fields, case.fields) or difference(context, case.context) or difference(grid, case.grid)
    ensure(not found, f"it changes its arguments: {found}")


def samples_do_not_see_one_another(case: Case) -> None:
    """Laws are held and measured batch by batch."""
    if "sample" not in case.fields.dims or "sample" not in case.context.dims:
        return
    together = case.residual()
    if not all(has_samples(each, owners(together, case.context)) for each in together.data_vars.values()):
        return
    few = range(case.context.sizes["sample"])
    alone = joined(
        [with_owners(case.law.residual(*each, case.grid), each[1]) for i in few for each in (case.taken([i]),)],
    )
    for name in together.data_vars:
        found = difference(alone[name].transpose(*together[name].dims), together[name], tolerance=1e-6)
        ensure(not found, f"one by one, the residual of {name} {found}")
    turned = case.taken(list(reversed(few)))
    back = taken(with_owners(case.law.residual(*turned, case.grid), turned[1]), slice(None, None, -1), count=len(few))
    for name, each in back.data_vars.items():
        found = difference(each, together[name], tolerance=1e-6)
        ensure(not found, f"in another order of samples, the residual of {name} {found}")


def chunks_do_not_matter(case: Case) -> None:
    """Fields in dask's chunks have the residual that they have in memory."""
    whole = case.residual()
    for chunks in ({dim: -(-size // 2) for dim, size in case.fields.sizes.items()}, {"sample": 1}):
        fields = case.fields.chunk({dim: size for dim, size in chunks.items() if dim in case.fields.dims})
        with dask.config.set(scheduler="synchronous"):
            cut = case.law.residual(fields, case.context.copy(deep=True), case.grid).compute()
        for name in whole.data_vars:
            found = difference(cut[name].transpose(*whole[name].dims), whole[name], tolerance=1e-6)
            ensure(not found, f"in chunks of {dict(chunks)}, the residual of {name} {found}")


def rows_are_a_matrix(case: Case) -> None:
    if isinstance(case.law, LinearLaw):
        rows, matrix = _whole(case.law, case.grid)
        cells = int(np.prod([case.fields.sizes[dim] for dim in rows.dims]))
        ensure(
            matrix.shape == (rows.count, cells), f"the block of all cells is {matrix.shape}, not {rows.count, cells}"
        )
        ensure(matrix.dtype == np.float64, f"the rows are {matrix.dtype}, not float64")
        ensure(bool(np.isfinite(matrix.data).all()), "the rows are not finite")
        ensure(bool((np.diff(matrix.indptr) > 0).all()), "a row weighs no cell")


def blocks_are_columns_of_the_whole(case: Case) -> None:
    """A chunk's block is what the matrix says about the cells of that chunk."""
    if isinstance(case.law, LinearLaw):
        rows, matrix = _whole(case.law, case.grid)
        sizes = [case.fields.sizes[dim] for dim in rows.dims]
        numbers = np.arange(matrix.shape[1]).reshape(sizes)
        for cut in (0.4, 0.7):
            for low in (True, False):
                at = tuple(slice(0, int(cut * n)) if low else slice(int(cut * n), n) for n in sizes)
                block = rows.block(dict(zip(rows.dims, at, strict=True)))
                wanted = matrix[:, numbers[at].ravel()]
                same = block.shape == wanted.shape and np.allclose(block.toarray(), wanted.toarray(), rtol=1e-12)
                ensure(same, f"the block of {dict(zip(rows.dims, at, strict=True))} is not those columns of the whole")


def rows_do_not_read_values(case: Case) -> None:
    """One factorisation serves all samples and leads."""
    if isinstance(case.law, LinearLaw):
        rows, matrix = _whole(case.law, case.grid)
        filled = case.grid.assign({rows.variable: case.fields[rows.variable].isel(sample=0)})
        _, other = _whole(case.law, filled)
        ensure(abs(matrix - other).max() == 0, f"other values of {rows.variable!r} give other rows")


def targets_are_by_row(case: Case) -> None:
    if isinstance(case.law, LinearLaw):
        rows, _ = _whole(case.law, case.grid)
        targets = case.law.targets(case.context, case.grid)
        ensure(targets.sizes.get("row") == rows.count, f"targets are {dict(targets.sizes)}, not of {rows.count} rows")
        ensure("units" in targets.attrs, "the targets have no units; set attrs['units']")


def least_change_meets_the_law(case: Case) -> None:
    r"""$x - G^+ (G x - b)$ has no residual: rows and targets agree with each other."""
    if isinstance(case.law, LinearLaw):
        rows, matrix = _whole(case.law, case.grid)
        residual = case.residual()[rows.variable].transpose(..., "row")
        change = residual.values.reshape(-1, rows.count) @ np.linalg.pinv(matrix.toarray().astype("float64")).T
        array = case.fields[rows.variable].astype("float64").transpose(..., *rows.dims)
        moved = case.fields.assign({rows.variable: array - change.reshape(array.shape)})
        left = float(np.abs(case.law.residual(moved, case.context, case.grid)[rows.variable]).max())
        scale = float(abs(matrix).sum(axis=1).max() * np.abs(array).max())
        ensure(
            left <= 1e-9 * scale, f"a residual of {left:.3g} stays, of values up to {scale:.3g}: the rows contradict"
        )


def tensors_have_the_same_residual(case: Case) -> None:
    if isinstance(case.law, DifferentiableLaw):
        import torch

        from ..learning import to_tensor
        from .penalties import fields_of

        values = {str(name): to_tensor(case.fields, [str(name)])[..., 0].double() for name in case.fields.data_vars}
        held = Held((case.law,), case.grid)
        known = {name: torch.from_numpy(each) for name, each in held.known(case.context).items()}
        (gap,) = held.residuals(fields_of(values, case.fields), known)
        found = float(gap.square().mean())
        squares = [np.square(each.values) for each in case.residual().data_vars.values()]
        wanted = float(np.mean([square.mean() for square in squares]))
        close = np.isclose(found, wanted, rtol=1e-4)
        ensure(close, f"the mean square of the residual is {found:.6g} of tensors and {wanted:.6g} of fields")


def _whole(law: LinearLaw, grid: xr.Dataset) -> tuple[Rows, Any]:
    rows = law.rows(grid)
    return rows, rows.block({dim: slice(0, grid.sizes[dim]) for dim in rows.dims})


CHECKS: tuple[Check, ...] = (
    residual_has_units,
    residual_is_finite,
    something_breaks_it,
    arguments_are_left_alone,
    samples_do_not_see_one_another,
    chunks_do_not_matter,
    rows_are_a_matrix,
    blocks_are_columns_of_the_whole,
    rows_do_not_read_values,
    targets_are_by_row,
    least_change_meets_the_law,
    tensors_have_the_same_residual,
)


def check_law(law: Law, data: xr.Dataset | None = None) -> None:
    """All that a law keeps, tried on `data`: a dataset that was cut into samples, with a test split."""
    check_component(law)
    case = Case(law, next(scenes(law.needs())) if data is None else data)
    for each in CHECKS:
        each(case)
