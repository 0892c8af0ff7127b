"""How often the truth lies between which members."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, Totals

from ._fields import points
from ._members import check_members, ensemble, whole
from ._sums import Array


class RankHistogram(Metric):
    r"""Share of points at which the truth has each rank among `m` members, times `m + 1`: 1 everywhere if reliable.

    Rank 0 is below all members, rank `m` above all. Where the truth equals members (dry cells), its ranks are equally
    likely, and each gets its share. `deviation`, beside it, is $\sum_r |f_r - 1 / (m + 1)|$, 0 to 2. Dimensionless,
    along `rank`. A point is missing where the truth or any member is. Raises `HandshakeError` without members.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2"

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        check_members(given, variable=self.variable, least=2, metric=self.name)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = ensemble(estimate, truth, variable=self.variable, least=2, metric=self.name)
        over = points(right)
        count = left.sizes["member"]
        left, right = whole(left, right, dims=over)
        found = xr.apply_ufunc(
            partial(_shares, len(over)),
            left,
            right,
            input_core_dims=[[*over, "member"], [*over]],
            output_core_dims=[["rank"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"rank": count + 2}},
        )
        valid = found.isel(rank=-1, drop=True).astype("int64")
        ranks = found.isel(rank=slice(0, count + 1)).assign_coords(rank=np.arange(count + 1))
        return {"rank": Totals(ranks, valid)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["rank"] * mean["rank"].sizes["rank"]

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
        share = mean["rank"]
        away = abs(share - 1.0 / share.sizes["rank"]).sum("rank", skipna=False)
        return {"deviation": away.assign_attrs(units="1", better="lower")}


def _shares(depth: int, members: Array, truth: Array) -> Array:
    """Sums of the shares of each rank, and the count of points: `(..., points, m), (..., points) -> (..., m + 2)`."""
    count = members.shape[-1]
    kept = truth.shape[: truth.ndim - depth]
    members, truth = members.reshape(*kept, -1, count), truth.reshape(*kept, -1)
    wide = truth[..., None]
    there = ~(np.isnan(members.astype(np.float64)).any(-1) | np.isnan(truth.astype(np.float64)))
    low, equal = (members < wide).sum(-1), (members == wide).sum(-1)
    found = np.zeros((*kept, count + 2))
    for rank in range(count + 1):
        within = there & (low <= rank) & (rank <= low + equal)
        found[..., rank] = (within / (equal + 1.0)).sum(-1)
    found[..., -1] = there.sum(-1)
    return found
