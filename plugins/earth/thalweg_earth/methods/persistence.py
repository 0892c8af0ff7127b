"""Tomorrow as today."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Signature, Solver

from ._estimate import as_estimate, check_history, last_mean


class Persistence(Solver):
    r"""The mean of the last inputs, at every lead: $\hat x(t+m) = \frac1n \sum_{j<n} x(t-j)$.

    With `average: 1` values and dtype are those of the last input.
    """

    average: int = Field(1, ge=1, description="number of the last inputs that are averaged")

    def check(self, given: Signature) -> None:
        check_history(given, self.average, taker=self.name)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        steps = wanted.sizes["lead"]
        arrays = {}
        for name in wanted.names:
            field = inputs[name]
            last = field.isel(lead=-1).transpose("sample", ...).values
            if self.average > 1:
                last = last_mean(field, self.average).astype(np.float32)
            arrays[name] = np.repeat(last[:, None], steps, axis=1)
        return as_estimate(arrays, inputs)
