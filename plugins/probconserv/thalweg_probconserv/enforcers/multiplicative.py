"""A change in proportion."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr
from thalweg import Held, Law, OutputEnforcer

from ..holding import HELD, Prior, hold


class Multiplicative(OutputEnforcer):
    r"""Each cell moves in proportion to its size: the variance is $v = |\mu|$.

    One integral of a field that is nowhere negative is held by one factor, $x' = x\, b / \sum_i w_i x_i$ with equal
    weights: what is zero stays zero. All laws are solved jointly, each member by itself; a variance is left as it is.
    Raises `RunError` for laws that contradict each other, or about cells that are all zero.
    """

    takes: ClassVar[tuple[type[Law], ...]] = HELD

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        def size(field: xr.DataArray) -> Prior:
            return Prior(variance=abs(field.astype("float64")).rename(field.name), weight=True)

        return hold(estimate, held, context=context, prior=size)
