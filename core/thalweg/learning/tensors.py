"""Fields to tensors and back: `(sample, lead, *space, channel)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..components.signature import Signature
from ..components.system import missing_throughout
from .layout import Layout

if TYPE_CHECKING:
    from .scaling import Scales


def to_tensor(data: xr.Dataset, names: Sequence[str] = ()) -> Tensor:
    """`(N, T, H, W, C)`: the fields `names` (all numeric ones if none is named) as float32 channels, in their units.

    Missing values stay NaN. Raises `HandshakeError` if the fields do not lie on one grid.
    """
    chosen = data[list(names)] if names else data
    signature = Signature.of(chosen)
    arrays = {name: torch.from_numpy(np.ascontiguousarray(data[name].values)) for name in Layout.of(signature).names}
    return stacked(arrays, signature)


def stacked(arrays: Mapping[str, Tensor], signature: Signature) -> Tensor:
    """Arrays with the dims of `signature` as channels, float32, on the device where they are."""
    layout = Layout.of(signature)
    dims = ("sample", *layout.dims)
    count = max((len(arrays[n]) for n in layout.names if "sample" in signature[n].dims), default=1)
    channels = []
    for name in layout.names:
        own = signature[name].dims
        array = arrays[name].permute([own.index(dim) for dim in dims if dim in own]).to(torch.float32)
        index = tuple(slice(None) if dim in own else None for dim in dims)
        channels.append(array[index].expand(count, *layout.sizes))
    return channels[0].unsqueeze(-1) if len(channels) == 1 else torch.stack(channels, -1)


def without_gaps(scaled: Tensor) -> Tensor:
    """Missing values (NaN) as 0; what is infinite stays so, to be noticed."""
    return torch.where(torch.isnan(scaled), 0.0, scaled)


class Scaler:
    """Scales the channels of a tensor; `unscale` is its inverse. NaN stays NaN."""

    def __init__(self, layout: Layout, scales: Scales) -> None:
        self.offset = torch.tensor([scales[name][0] for name in layout.names], dtype=torch.float32)
        self.by = torch.tensor([scales[name][1] for name in layout.names], dtype=torch.float32)

    def to(self, device: torch.device) -> Scaler:
        self.offset, self.by = self.offset.to(device), self.by.to(device)
        return self

    def scale(self, tensor: Tensor) -> Tensor:
        return (tensor - self.offset) / self.by

    def unscale(self, tensor: Tensor) -> Tensor:
        return tensor.float() * self.by + self.offset


def to_dataset(tensor: Tensor, *, gives: Signature, inputs: xr.Dataset) -> xr.Dataset:
    """An estimate that holds `gives` from a tensor `(sample, [member,] lead, *space, channel)` in their units.

    Coordinates are those of `inputs`; a cell that is missing in all inputs of a variable (land) is missing in its
    estimate.
    """
    layout = Layout.of_output(gives)
    dims = ("sample", *layout.dims)
    fields: dict[str, xr.DataArray] = {}
    for number, name in enumerate(layout.names):
        of = name.removesuffix("_variance") if gives.is_uncertainty(name) else name
        array = xr.DataArray(tensor[..., number].float().cpu().numpy(), dims=dims)
        array.attrs = {"units": gives[name].units or "1"} if of != name else _attributes(inputs, gives, name)
        own = [dim for dim in gives[name].dims if dim != "sample"]
        fields[name] = _unmasked(array, inputs, of).transpose("sample", *own)
    estimate = xr.Dataset(fields, _coordinates(inputs, gives, dims))
    return estimate if "sample" in gives[layout.names[0]].dims else estimate.isel(sample=0, drop=True)


def described(wanted: Signature, *, inputs: xr.Dataset) -> xr.Dataset:
    """The fields of an estimate over empty memory, in the dims of its tensor, with their coordinates."""
    layout = Layout.of(wanted)
    dims = ("sample", *layout.dims)
    empty = np.broadcast_to(np.float32(0.0), (inputs.sizes.get("sample", 1), *layout.sizes))
    fields = {name: (dims, empty, _attributes(inputs, wanted, name)) for name in layout.names}
    return xr.Dataset(fields, _coordinates(inputs, wanted, dims))


def _coordinates(inputs: xr.Dataset, wanted: Signature, dims: tuple[str, ...]) -> dict[Any, Any]:
    """Those of an estimate: of the inputs, but for the leads."""
    coords: dict[Any, Any] = {
        name: each
        for name, each in inputs.coords.items()
        if "lead" not in each.dims and set(map(str, each.dims)) <= set(dims)
    }
    if "lead" in dims:
        given = inputs.coords.get("lead")
        coords["lead"] = ("lead", np.arange(1, wanted.sizes["lead"] + 1), {} if given is None else given.attrs)
    return coords


def _attributes(inputs: xr.Dataset, wanted: Signature, name: str) -> dict[str, Any]:
    given = dict(inputs[name].attrs) if name in inputs else {}
    return given | {"units": given.get("units", wanted[name].units or "1")}


def _unmasked(array: xr.DataArray, inputs: xr.Dataset, name: str) -> xr.DataArray:
    missing = missing_throughout(inputs, name)
    if missing is None or not set(missing.dims) <= set(array.dims):
        return array
    # By position, not by label: the estimate has no coordinates yet.
    return array.where(~xr.DataArray(missing.data, dims=missing.dims))
