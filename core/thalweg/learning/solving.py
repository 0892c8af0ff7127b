"""From a learned network to an estimate."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..components.context import context_of
from ..components.draw import Draw
from ..components.fields import Fields
from ..components.grid import grid_of
from ..components.signature import Signature, shake
from ..errors import EstimateError
from .devices import device_of
from .drawn import Noises
from .feeding import Feeding
from .guide import Guide
from .knowing import Holding
from .layout import Layout
from .network import filled
from .scaling import scales_beside
from .tensors import Scaler, described, to_dataset

if TYPE_CHECKING:
    from ..components.steering import Steering
    from .contract import Network

_BUILDING = Lock()


def solve(network: Network, inputs: xr.Dataset, wanted: Signature, steering: Steering | None = None) -> xr.Dataset:
    """The estimate of the `wanted` fields, in pieces of `network.batch` samples; under laws that `steering` holds.

    Their gradients keep what each member's network computed: then a piece has as many members as `network.batch`.
    """
    device = device_of(network.device)
    holds = network.holds
    holding = Holding(holds, grid_of(described(wanted, inputs=inputs), inputs)) if holds else None
    module = _module(network, device, holding)
    known = {} if holding is None else _tensors(holding, context_of(inputs, wanted))
    gives = network.estimates(wanted)
    layout = Layout.of_output(gives)
    sizes = {**network.given.sizes, **{str(dim): size for dim, size in inputs.sizes.items()}}
    scale_out = Scaler(layout, scales_beside(network.scales, gives)).to(device)
    feeding = Feeding(network.learner, given=network.given, wanted=network.wanted, scales=network.scales)
    fields = _same_order(network.given, inputs, feeding.names)
    arrays = {name: torch.from_numpy(np.ascontiguousarray(fields[name].values)) for name in map(str, fields)}
    places = feeding.places(dict(inputs.coords), device)
    noises = Noises(network.learner, "solving", given=Signature(network.given.fields, sizes), wanted=wanted)
    draw = Draw.of(inputs, seed=network.seed) if noises.asked else None
    estimates = []
    members = gives.sizes.get("member", 1)
    batch = network.batch if steering is None else max(1, network.batch // members)
    # Laws that are held while sampling need gradients within.
    with torch.no_grad() if steering is not None else torch.inference_mode():
        for start, piece in _pieces(arrays, fields, batch):
            fed = feeding({name: each.to(device) for name, each in piece.items()}, places)
            at = slice(start, start + batch)
            noise = {} if draw is None else noises(draw.of_samples(at), device)
            beside: tuple[Any, ...] = noises.beside(noise, _piece(holding, known, at, device))
            if steering is not None and draw is not None:
                own = draw.of_samples(at).of_members(range(members))
                beside = (*beside, Guide(steering, at, own, lambda scaled: _fields(scaled, scale_out, layout, gives)))
            output = module(fed, *beside).float()
            count = max((len(piece[str(n)]) for n, each in fields.items() if "sample" in each.dims), default=1)
            estimates.append(_checked(scale_out.unscale(output), count, layout, network).cpu())
    return to_dataset(torch.cat(estimates), gives=gives, inputs=inputs)


def _pieces(arrays: dict[str, Tensor], fields: xr.Dataset, batch: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Up to `batch` samples at a time, and the first of them."""
    for start in range(0, fields.sizes.get("sample", 1), batch):
        piece = {n: each[start : start + batch] if "sample" in fields[n].dims else each for n, each in arrays.items()}
        yield start, piece


def _fields(scaled: Tensor, scaler: Scaler, layout: Layout, gives: Signature, /) -> Fields:
    """What a network gives as fields in their units."""
    values = scaler.unscale(scaled)
    units = {name: gives[name].units or "1" for name in layout.names}
    dims = ("sample", *layout.dims)
    found = {name: values[..., number] for number, name in enumerate(layout.names)}
    return Fields(found, dict.fromkeys(found, dims), units)


def _tensors(holding: Holding, context: xr.Dataset) -> dict[str, Tensor]:
    return {name: torch.from_numpy(each) for name, each in holding.known(context).items()}


def _piece(
    holding: Holding | None, known: dict[str, Tensor], at: slice, device: torch.device, /
) -> dict[str, Tensor] | None:
    """What laws in the network know of these samples; None, if there are none."""
    if holding is None:
        return None
    return {name: (each if len(each) == 1 else each[at]).to(device) for name, each in known.items()}


def _module(network: Network, device: torch.device, holding: Holding | None) -> nn.Module:
    """The module, built and filled once in a process; under laws, once for a grid."""
    with _BUILDING:
        grid, known = None if holding is None else holding.grid, network.built.get("grid")
        same = grid is None or known is None or grid.identical(known)
        if "module" not in network.built or not same:
            wrappers = {} if holding is None else holding.wrappers
            module = filled(network, device=device, wrappers=wrappers).to(device).eval()
            network.built.update(module=module, grid=grid)
        found: nn.Module = network.built["module"]
        return found


def _same_order(given: Signature, inputs: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """The fields that the network was built for, their dims in the order that it was built for."""
    shake(
        Signature.of(inputs),
        Signature(tuple(f for f in given.fields if f.name in names)),
        giver="inputs",
        taker="the network",
    )
    return xr.Dataset({name: inputs[name].variable.transpose(*given[name].dims) for name in names})


def _checked(output: Tensor, count: int, layout: Layout, network: Network) -> Tensor:
    wanted = (count, *layout.shape)
    if tuple(output.shape) != wanted:
        raise EstimateError(
            f"the network of {network.title} gives {tuple(output.shape)}",
            allowed=f"{wanted}: sample, {', '.join(layout.dims)}, channel",
            advice="make `build` return a network with this output",
        )
    return output
