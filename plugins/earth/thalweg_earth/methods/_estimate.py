"""What the baselines share: reading the last inputs, and dressing an array as an estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, Signature

Array = NDArray[Any]


def check_history(given: Signature, steps: int, *, taker: str) -> None:
    """Raise `HandshakeError` unless the inputs are a history of at least `steps`."""
    found = given.sizes.get("lead", 0)
    if found < steps:
        raise HandshakeError(
            f"{taker} needs the last {steps} steps of its inputs, which hold {found or 'no steps in time'}",
            allowed=f"a `windows` transform with inputs of {steps} or more",
            advice="lengthen `inputs` in windows, or ask for fewer steps",
        )


def last_mean(field: xr.DataArray, steps: int) -> Array:
    """Mean of the last `steps` inputs, `(sample, ...)` in float64; NaN where one of them is missing."""
    values: Array = field.transpose("sample", "lead", ...).values[:, -steps:]
    return np.asarray(values.mean(1, dtype=np.float64))


def as_estimate(arrays: dict[str, Array], inputs: xr.Dataset) -> xr.Dataset:
    """Arrays `(sample, lead, ...)` with the dims, attributes and coordinates of the inputs of the same names."""
    fields = {}
    for name, values in arrays.items():
        like = inputs[name].transpose("sample", "lead", ...)
        fields[name] = xr.Variable(like.dims, values, like.attrs)
    steps = next(iter(arrays.values())).shape[1]
    coords: dict[Any, Any] = {name: each for name, each in inputs.coords.items() if "lead" not in each.dims}
    coords["lead"] = ("lead", np.arange(1, steps + 1), inputs["lead"].attrs if "lead" in inputs.coords else {})
    return xr.Dataset(fields, coords)
