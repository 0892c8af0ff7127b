"""Enforcers of the `output` site that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from thalweg import (
    Held,
    Law,
    LinearLaw,
    OutputEnforcer,
)
from thalweg.testing import (
    enforcers,
)

from .laws import Above


class Nearest(OutputEnforcer):
    """The nearest estimate that obeys linear laws."""

    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw,)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        linear = [law for law in held.laws if isinstance(law, LinearLaw)]
        whole = {dim: slice(0, array.sizes[dim]) for dim in ("y", "x")}
        matrix = np.concatenate([law.rows(held.grid).block(whole).toarray() for law in linear])
        residual = xr.concat([law.residual(estimate, context, held.grid)["field"] for law in linear], "row")
        change = residual.transpose("sample", "lead", "row").values @ np.linalg.pinv(matrix).T
        moved = (array.transpose("sample", "lead", "y", "x").values - change.reshape(array.shape)).astype(array.dtype)
        return estimate.assign(field=array.copy(data=moved))


class Idle(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return estimate


class OneByOne(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        for law in held.laws:
            estimate = super().hold(estimate, Held((law,), held.grid), context)
        return estimate


class Nameless(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        found = super().hold(estimate, held, context)
        return found.assign(field=found["field"].drop_attrs())


class Meddles(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        found = super().hold(estimate, held, context)
        return found.assign({enforcers.BYSTANDER: found[enforcers.BYSTANDER] * 2})


class InPlace(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        estimate["field"] = super().hold(estimate, held, context)["field"]
        return estimate


class Sharpens(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return super().hold(estimate.assign(field=(1.2 * estimate["field"]).assign_attrs(units="1")), held, context)


class Blanks(Nearest):
    """Whatever holds for zero."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        return estimate.assign(field=(array * np.nan).assign_attrs(array.attrs))


class Holes(Nearest):
    """One value of many is lost."""

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        found = super().hold(estimate, held, context)
        array = found["field"]
        return found.assign(field=array.where(array < array.max()).assign_attrs(array.attrs))


class Flattens(OutputEnforcer):
    """Raises everything, where little would do."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        return estimate.assign(field=array.copy(data=np.full_like(array.values, 0.5)))


class Clip(Flattens):
    """Raises what is below."""

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return estimate.assign(field=estimate["field"].clip(min=0.2).assign_attrs(estimate["field"].attrs))


class ClipIdle(Clip):
    """Does nothing, to a field that obeys already."""

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return estimate


class Widens(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        found = super().hold(estimate, held, context)
        return found.assign(field=found["field"].astype("float64"))


class Moves(Nearest):
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        found = super().hold(estimate, held, context)
        return found.assign_coords(x=found["x"] + 1)


KEPT = Nearest


MUTANTS: Mapping[str, Any] = {
    "holds_each_law": (Idle, Holes),
    "holds_its_laws_together": OneByOne,
    "estimate_stays_finite": Holes,
    "what_obeys_is_left_alone": Sharpens,
    "shape_is_kept": (Nameless, Widens, Moves),
    "other_variables_are_left_alone": Meddles,
    "estimate_is_left_alone": InPlace,
    "held_twice_is_held_once": Sharpens,
}
"""Parts that break a check, by its name."""
