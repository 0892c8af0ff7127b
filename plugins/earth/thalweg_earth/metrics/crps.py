"""Continuous ranked probability score of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, Metric, Signature, chosen, pair


class CRPS(Metric):
    """Continuous ranked probability score of an ensemble, whose `m` members lie along `member`.

        CRPS = 1/m sum_i |x_i - y| - 1/(2 k) sum_ij |x_i - x_j|        k = m^2 (ecdf), m (m - 1) (fair)

    `ecdf` is exact for the ensemble taken as the distribution; `fair` is unbiased for the distribution that it was
    drawn from. They are not comparable, so one must be named. Without `member` it is the absolute error. In the
    variable's units. A point is missing where the truth or any member is.
    """

    cite: ClassVar[str] = "10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2 10.1002/qj.2270"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0
    example: ClassVar[Mapping[str, Any]] = {"estimator": "ecdf"}

    estimator: Literal["ecdf", "fair"] = Field(description="of the spread: of the members, or of where they come from")
    variable: str = Field("", description="the field that is scored; may be left out where there is one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` if it is not clear which field to score."""
        chosen(given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        left, right = pair(estimate, truth, variable=self.variable, members=True)
        if "member" not in left.dims:
            left = left.expand_dims("member", axis=-1)
        elif self.estimator == "fair" and left.sizes["member"] == 1:
            raise HandshakeError(
                "an ensemble of one member has no fair CRPS",
                allowed="two members or more",
                advice="draw more members, or set `estimator: ecdf`",
            )
        if left.chunks is not None:
            left = left.chunk(member=-1)
        found = xr.apply_ufunc(
            partial(_crps, fair=self.estimator == "fair"),
            left,
            right,
            input_core_dims=[["member"], []],
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        return {"crps": found}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["crps"]


def _crps(members: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], *, fair: bool) -> np.ndarray[Any, Any]:
    size = members.shape[-1]
    ordered = np.sort(members.astype(np.float64), axis=-1)
    error = np.abs(ordered - truth.astype(np.float64)[..., None]).mean(-1)
    # sum_ij |x_i - x_j| = 2 sum_i (2 i - m - 1) x_(i): sorting makes it O(m log m).
    rank = 2.0 * np.arange(1, size + 1) - size - 1
    pairs = size * (size - 1 if fair and size > 1 else size)
    found: np.ndarray[Any, Any] = error - ordered @ rank / pairs
    return found
