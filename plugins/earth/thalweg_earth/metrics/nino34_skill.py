"""Skill of the Nino3.4 index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import HandshakeError, Metric, Signature, chosen, pair

from .._box import between, between_meridians
from .._dates import is_time
from ._correlation import correlation
from ._fields import coordinate

_LEADS_OF_WEIGHT = (4, 7, 7)


class Nino34Skill(Metric):
    r"""Correlation over samples of the Nino3.4 index, a running mean of the temperature of a box, at every lead.

        n(s, t) = mean of the cells of the box whose centre lies in it, edges included
        I(s, l) = mean of n(s, t) over t = l .. l + months - 1
        r(l)    = corr_s(I_estimate(s, l), I_truth(s, l))

    Overall it is the mean of w(l) r(l) over leads. w is 1, or that of the ICAR-ENSO challenge: ln(l) times 1.5 for
    leads 1-4, 2 for 5-11, 3 for 12-18 and 4 from 19 on; its best value then is the mean of w, 3.41 for 12 leads.
    Cells that are missing (land) are left out of the box; an ensemble counts as its mean. Dimensionless. Beside it
    stand the `bias` and the `rmse` of the index, in the field's units, over all leads of the pooled errors: a
    correlation does not see a wrong mean or a wrong size.
    Raises `HandshakeError` for a grid without a cell in the box, too few leads, or leads whose dates are not a month
    apart, of which no running mean over months can be made.
    """

    cite: ClassVar[str] = "10.1038/s41586-019-1559-7 10.48550/arXiv.2207.05833"
    higher_is_better: ClassVar[bool | None] = True
    overall: ClassVar[Literal["pooled", "mean"]] = "mean"

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    latitude: tuple[float, float] = Field(
        (-5.0, 5.0), description="latitudes of the box, degrees north, from south to north"
    )
    longitude: tuple[float, float] = Field(
        (190.0, 240.0), description="longitudes of the box, degrees east, from west to east; [170, -120] is allowed"
    )
    months: PositiveInt = Field(3, description="length of the running mean, in leads of a month each")
    leads: PositiveInt | None = Field(None, description="number of leads of the index that are scored; all if null")
    weights: Literal["none", "icar"] = Field(
        "none", description="weights of the leads: all equal, or those of ICAR-ENSO"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = chosen(given, self.variable)
        if "lead" not in field.dims:
            raise HandshakeError(f"the field {field.name!r} has no leads", allowed=str(field), advice="add `windows`")
        self._enough(given.sizes.get("lead", self.months + (self.leads or 1)))

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        left, right = pair(estimate, truth, variable=self.variable)
        self._enough(right.sizes.get("lead", 0))
        self._monthly(right)
        cells = self._box(right)
        left, right = (each.isel(cells).astype("float64") for each in (left, right))
        valid = left.notnull() & right.notnull()
        e, t = (self._index(each.where(valid), tuple(cells)) for each in (left, right))
        moments = {"estimate": e, "truth": t, "estimate_squared": e * e, "truth_squared": t * t, "product": e * t}
        error = (e - t).assign_attrs(units=right.attrs.get("units", "1"))
        return {**moments, "error": error, "squared_error": error**2}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        skill = correlation(mean)
        if self.weights == "none":
            return skill
        return skill * xr.DataArray(icar_weights(skill.sizes["lead"]), dims="lead")

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
        rmse = mean["squared_error"] ** 0.5
        return {"bias": mean["error"], "rmse": rmse.assign_attrs(better="lower")}

    def _enough(self, leads: int) -> None:
        needed = self.months + (self.leads or 1) - 1
        if leads < needed:
            raise HandshakeError(
                f"{leads} leads, where the index of {self.leads or 1} leads of {self.months} months is asked for",
                allowed=f"at least {needed} leads",
                advice="lengthen the targets in `windows`, or set `months` or `leads`",
            )

    def _monthly(self, truth: xr.DataArray) -> None:
        """Raise `HandshakeError` if the dates say that a lead is no month."""
        times = truth.coords.get("valid_time")
        # Not of dates that are lazy: a metric reads no values.
        if self.months == 1 or times is None or times.chunks is not None or "lead" not in times.dims:
            return
        if not times.size or not is_time(times):
            return
        months = np.diff(times.dt.year.values * 12 + times.dt.month.values, axis=times.get_axis_num("lead"))
        if (months != 1).any():
            at = int(months.flat[int(np.flatnonzero(months.ravel() != 1)[0])])
            raise HandshakeError(
                f"the running mean of {self.months} months is asked for, where two leads are {at} months apart",
                allowed="leads of one month each",
                advice="give monthly data and `every: 1` in `windows`, or set `months: 1`",
            )

    def _box(self, field: xr.DataArray) -> dict[str, np.ndarray[tuple[int], np.dtype[np.intp]]]:
        south, north = self.latitude
        west, east = self.longitude
        rows, columns = coordinate(field, "latitude"), coordinate(field, "longitude")
        for axis in (rows, columns):
            if axis.ndim != 1:
                raise HandshakeError(f"{axis.name!r} has dims {axis.dims!r}", allowed="one dim", advice="regrid first")
        inside = {
            str(rows.dims[0]): np.flatnonzero(between(rows.values, min(south, north), max(south, north))),
            str(columns.dims[0]): np.flatnonzero(between_meridians(columns.values, west, east)),
        }
        for axis, given in zip((rows, columns), (self.latitude, self.longitude), strict=True):
            if not len(inside[str(axis.dims[0])]):
                raise HandshakeError(
                    f"no cell lies between {given[0]:g} and {given[1]:g} in {axis.name!r}",
                    allowed=f"the grid goes from {axis.values.min():g} to {axis.values.max():g}",
                    advice="score a field that covers the box, or move the box",
                )
        return inside

    def _index(self, cells: xr.DataArray, box: tuple[str, ...]) -> xr.DataArray:
        monthly = cells.mean(box)
        first = monthly.sizes["lead"] - self.months + 1
        running = monthly
        for month in range(1, self.months):
            running = running + monthly.shift(lead=-month)
        return running.isel(lead=slice(0, min(first, self.leads or first))) / self.months


def icar_weights(leads: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The weights of the ICAR-ENSO challenge for leads 1 to `leads`."""
    steps = np.repeat([1.5, 2.0, 3.0, 4.0], [*_LEADS_OF_WEIGHT, leads])[:leads]
    weights: np.ndarray[tuple[int], np.dtype[np.float64]] = steps * np.log(np.arange(1, leads + 1))
    return weights
