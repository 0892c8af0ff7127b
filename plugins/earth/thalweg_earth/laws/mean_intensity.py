"""How much it will rain, by a time series of how much it rains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeFloat
from thalweg import HandshakeError, Rows

from ._over_leads import OverLeads, least_of, refuse_below, row_of


class MeanIntensity(OverLeads):
    r"""The mean of a forecast over its cells and leads is what a time series of the inputs' means says:
    $\bar x = \mu + n \sigma$.

    The series $m_t$ of the means over cells is a damped random walk, $m_{t+1} = c + \rho (m_t - c) + s e_t$,
    $e_t \sim N(0, 1)$. From the last input $m_0$, the mean over $L$ leads has
    $\mu = c + (m_0 - c) \frac1L \sum_{l=1}^L \rho^l$ and
    $\sigma^2 = \frac{s^2}{L^2} \sum_{j=1}^L (\sum_{i=0}^{j-1} \rho^i)^2$, which is $s^2 (L + 1)(2 L + 1) / (6 L)$ for
    $\rho = 1$. The step $s$ is a share of $m_0$ (`step`), or that of the inputs' own differences. Nothing of the future
    is looked at. `uncertain` holds it with the variance $\sigma^2$ as its noise. Units are those of the variable.
    Raises `EstimateError` for a target below what the variable can be, with its sample.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    example: ClassVar[Mapping[str, Any]] = {"variable": "field"}

    deviations: float = Field(0.0, description="how many standard deviations above the mean are asked for, $n$")
    step: NonNegativeFloat | None = Field(
        None,
        description="standard deviation of a step of the series, over the mean of the last input, as `fitted_walk` "
        "finds it in a training period; if null, that of the differences of the sample's own inputs, in their units",
    )
    memory: float = Field(1.0, gt=0.0, le=1.0, description="share of a departure that is left after a step")
    climate: float = Field(0.0, description="value that departures are from, in the units of the variable")
    uncertain: bool = Field(False, description="whether the law is held up to the variance of the series' forecast")

    def rows(self, grid: xr.Dataset) -> Rows:
        cells = self.of_cells(grid)
        return row_of(self, grid, cells / (float(cells.sum()) * grid.sizes["lead"]), gaps="mean")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        series, leads = self._series(context, grid), grid.sizes["lead"]
        kept = float(np.mean(self.memory ** np.arange(1, leads + 1)))
        mean = self.climate + (series.isel(lead=-1) - self.climate) * kept
        field = grid[self.variable]
        found = (mean + self.deviations * np.sqrt(self._variance(series, leads))).expand_dims("row", -1)
        refuse_below(found, least_of(field), context, law=self.name)
        return found.assign_attrs(units=field.attrs.get("units", "1"))

    def variances(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray | float:
        if not self.uncertain:
            return self.noise
        return self.noise + self._variance(self._series(context, grid), grid.sizes["lead"]).expand_dims("row", -1)

    def _series(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        """Means over the cells that are there, (sample, lead)."""
        field, cells = context[self.variable], self.of_cells(grid)
        found = field.astype(np.float64).weighted(cells).mean(cells.dims)
        return found.reset_coords(drop=True).transpose("sample", "lead")

    def _variance(self, series: xr.DataArray, leads: int) -> xr.DataArray:
        if self.step is None:
            if series.sizes["lead"] < 2:
                raise HandshakeError(
                    f"{self.name} takes its step from the differences of {series.sizes['lead']} inputs",
                    allowed="two inputs or more",
                    advice="lengthen `inputs` in windows, or give `step`",
                )
            one = (series.diff("lead", label="lower") ** 2).mean("lead")
        else:
            one = (self.step * series.isel(lead=-1)) ** 2
        return one.drop_vars("lead", errors="ignore") * walked(leads, self.memory)


def walked(leads: int, memory: float) -> float:
    r"""Variance of the mean over leads of a damped walk whose steps have variance 1."""
    return float((np.cumsum(memory ** np.arange(leads)) ** 2).sum() / leads**2)


def fitted_walk(series: np.ndarray[Any, np.dtype[np.floating]], *, leads: int = 1) -> tuple[float, float]:
    """`step` and `memory` of series of means (sample, time) of a training period, for forecasts of so many leads.

    The memory by least squares over all pairs of steps, at most 1. The step so that the mean over the leads departs
    from its forecast as far as it does, in the root mean square over the mean before: steps that follow on one another
    (showers that grow for a while) count as larger ones.
    """
    values = series.astype(np.float64)
    before, after = values[:, :-1].ravel(), values[:, 1:].ravel()
    wet = np.isfinite(before) & np.isfinite(after) & (before > 0.0)
    memory = min(1.0, float((before[wet] @ after[wet]) / (before[wet] @ before[wet])))
    ahead = np.lib.stride_tricks.sliding_window_view(values, leads, axis=1)[:, 1:].mean(-1)
    last = values[:, : ahead.shape[1]]
    there = np.isfinite(ahead) & np.isfinite(last) & (last > 0.0)
    left = ahead[there] / last[there] - np.mean(memory ** np.arange(1, leads + 1))
    return float(np.sqrt(np.mean(left**2) / walked(leads, memory))), memory
