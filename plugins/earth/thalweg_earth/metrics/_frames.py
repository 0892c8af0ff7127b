"""Errors added up over a frame and averaged over frames, as the video benchmarks give them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import Metric, Signature, Totals, chosen, pair

from ._errors import totals
from ._fields import plane
from ._sums import Kernel


class PerFrame(Metric):
    """A mean over frames of a sum over the cells of a frame; missing cells count as the mean of the others."""

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    unit: PositiveFloat = Field(
        1.0,
        description="number that both fields are divided by before they are scored: 255 for an 8-bit field on "
        "the scale 0 to 1",
    )
    dims: tuple[str, str] | None = Field(None, description="the two dims of a frame; the last two if null")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        plane(chosen(given, self.variable).dims, self.dims)


def per_frame(
    kernel: Kernel, estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, dims: tuple[str, str] | None
) -> Mapping[str, Totals]:
    """The error of a cell, and the cells of a frame; sum over a frame = mean over cells x cells."""
    _, right = pair(estimate, truth, variable=variable)
    error = totals(kernel, estimate, truth, variable=variable, weights="none")
    cells = prod(right.sizes[dim] for dim in plane(right.dims, dims))
    return {"error": error, "cells": Totals(xr.full_like(error.count, cells), xr.full_like(error.count, 1))}
