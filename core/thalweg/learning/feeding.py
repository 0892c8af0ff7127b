"""What a network is fed: raw arrays of a batch, scaled, as one tensor, or one for each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..components.signature import Signature
from .layout import Layout
from .scaling import Scales
from .tensors import Scaler, stacked, without_gaps

if TYPE_CHECKING:
    import xarray as xr

    from .contract import NetworkLearner

Fed = Any
"""A tensor `(sample, *dims, channel)`, or, of a learner with `separate_inputs`, `dict[str, Tensor]`."""


class Feeding:
    """Prepares the inputs of a network: raw arrays with the dims of `given`, scaled, missing values 0."""

    def __init__(self, learner: NetworkLearner, *, given: Signature, wanted: Signature, scales: Scales) -> None:
        self._given, self._scales, self._separate = given, scales, learner.separate_inputs
        self._dims = tuple(dim for dim in Layout.of(wanted).dims if dim != "lead")
        self._scaler = None if self._separate else Scaler(Layout.of(given), scales)

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it takes."""
        if self._scaler is not None:
            return Layout.of(self._given).names
        return tuple(each.name for each in self._given.fields if np.dtype(each.dtype or "f4").kind in "fiub")

    def __call__(self, arrays: Mapping[str, Tensor], places: Mapping[str, Tensor]) -> Fed:
        """`places` are the coordinates of what is wanted, for a learner with `separate_inputs`."""
        if self._scaler is not None:
            tensor = stacked(arrays, self._given)
            return without_gaps(self._scaler.to(tensor.device).scale(tensor))
        fed = {name: tensor.to(torch.float32) for name, tensor in places.items()}
        for name in self.names:
            offset, by = self._scales[name]
            fed[name] = without_gaps((arrays[name].to(torch.float32) - offset) / by)
        return fed

    def places(self, coords: Mapping[Any, xr.DataArray], device: torch.device) -> dict[str, Tensor]:
        """Coordinates that are numbers, along the dims of what is wanted; none without `separate_inputs`."""
        if not self._separate:
            return {}
        found = {dim: coords[dim].values for dim in self._dims if dim in coords and coords[dim].dtype.kind in "fiu"}
        return {dim: torch.from_numpy(values.astype(np.float32)).to(device) for dim, values in found.items()}

    def example(self, wanted: Signature) -> Fed:
        """Inputs of one sample, all zeros, on the device that is the default."""
        if self._scaler is not None:
            return torch.zeros((1, *Layout.of(self._given).shape))
        sizes = {**self._given.sizes, **wanted.sizes, "sample": 1}
        fed = {name: torch.zeros([sizes[dim] for dim in self._given[name].dims]) for name in self.names}
        return {dim: torch.zeros(sizes[dim]) for dim in self._dims} | fed
