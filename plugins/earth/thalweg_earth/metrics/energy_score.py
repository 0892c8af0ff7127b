"""How far an ensemble of fields is from the truth, as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, Totals, chosen

from ._fields import points
from ._members import Estimator, ensemble, refuse_one, whole
from ._sums import Array


class EnergyScore(Metric):
    r"""Energy score of `m` members: the CRPS of whole fields, which sees how cells belong together.

        ES = 1/m sum_i |x_i - y| - 1/(2 k) sum_ij |x_i - x_j|        k = m^2 (ecdf), m (m - 1) (fair)

    $|\cdot|$ is the root mean square over the cells of a sample and lead. In the variable's units. A cell is left out
    of a field where the truth or any member is missing. Raises `HandshakeError` where `fair` has one member.
    """

    cite: ClassVar[str] = "10.1198/016214506000001437"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0
    example: ClassVar[Mapping[str, Any]] = {"estimator": "ecdf"}

    estimator: Estimator
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = chosen(given, self.variable)
        members = given.sizes.get("member", 2) if "member" in field.dims else 2
        refuse_one(self.estimator, members, score="energy score")

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = ensemble(estimate, truth, variable=self.variable, least=1, metric=self.name)
        if "member" in estimate[right.name].dims:
            refuse_one(self.estimator, left.sizes["member"], score="energy score")
        over = points(right)
        left, right = whole(left, right, dims=over)
        found = xr.apply_ufunc(
            partial(_scores, self.estimator == "fair", len(over)),
            left,
            right,
            input_core_dims=[["member", *over], [*over]],
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        return {"energy": Totals(found.fillna(0.0), found.notnull().astype("int64"))}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["energy"]


def _scores(fair: bool, depth: int, members: Array, truth: Array) -> Array:
    """Scores of fields: `(..., m, points), (..., points) -> (...)`; NaN where no cell is there."""
    kept = truth.shape[: truth.ndim - depth]
    count = members.shape[len(kept)]
    members, truth = members.reshape(*kept, count, -1), truth.reshape(*kept, -1)
    found = np.full(kept, np.nan)
    for at in np.ndindex(kept):
        fields, wanted = members[at].astype(np.float64), truth[at].astype(np.float64)
        there = ~(np.isnan(wanted) | np.isnan(fields).any(0))
        if not there.any():
            continue
        if np.isinf(fields[:, there]).any():
            found[at] = np.inf
            continue
        fields, wanted = fields[:, there], wanted[there]
        error = np.sqrt(((fields - wanted) ** 2).mean(1)).mean()
        away = sum(float(np.sqrt(((fields[i + 1 :] - fields[i]) ** 2).mean(1)).sum()) for i in range(count - 1))
        pairs = count * (count - 1 if fair and count > 1 else count)
        found[at] = error - away / pairs
    return found
