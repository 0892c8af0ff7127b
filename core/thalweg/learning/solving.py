"""From a learned network to an estimate."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..components import Enforcer, Hold, Law
from ..components.grid import grid_of
from ..components.signature import Signature, shake
from ..errors import EstimateError
from ..results.estimates import context_of
from .checkpoint import load_weights
from .devices import device_of
from .feeding import Feeding
from .knowing import Holding
from .layout import Layout
from .network import network_of
from .randomness import aside
from .tensors import Scaler, described, to_dataset

if TYPE_CHECKING:
    from .contract import LearnedNetwork, NetworkLearner

_BUILDING = Lock()


def solve(solver: LearnedNetwork, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
    """The estimate of the `wanted` fields, in pieces of `solver.batch` samples."""
    device = device_of(solver.device)
    learner, holds = solver._parts or _parts(solver)
    holding = Holding(holds, grid_of(described(wanted, inputs=inputs), inputs)) if holds else None
    network = _network(solver, device, holding)
    known = {} if holding is None else _tensors(holding, context_of(inputs, wanted))
    layout = Layout.of(wanted)
    scale_out = Scaler(layout, solver.scales).to(device)
    feeding = Feeding(learner, given=solver.given, wanted=solver.wanted, scales=solver.scales)
    fields = _same_order(solver.given, inputs, feeding.names)
    arrays = {name: torch.from_numpy(np.ascontiguousarray(fields[name].values)) for name in map(str, fields)}
    places = feeding.places(dict(inputs.coords), device)
    means, variances = [], []
    with torch.inference_mode():
        for start, piece in _pieces(arrays, fields, solver.batch):
            fed = feeding({name: each.to(device) for name, each in piece.items()}, places)
            output = network(fed, *_piece(holding, known, start, solver.batch, device)).float()
            if "variance" in solver.output.uncertainty:
                output, variance = output.chunk(2, dim=-1)
                variances.append((variance * scale_out.by.square()).cpu())
            count = max((len(piece[str(n)]) for n, each in fields.items() if "sample" in each.dims), default=1)
            means.append(_checked(scale_out.unscale(output), count, layout, solver).cpu())
    return to_dataset(
        torch.cat(means),
        wanted=wanted,
        inputs=inputs,
        variance=torch.cat(variances) if variances else None,
        member="member" in solver.output.uncertainty,
    )


def _pieces(arrays: dict[str, Tensor], fields: xr.Dataset, batch: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Up to `batch` samples at a time, and the first of them."""
    for start in range(0, fields.sizes.get("sample", 1), batch):
        piece = {n: each[start : start + batch] if "sample" in fields[n].dims else each for n, each in arrays.items()}
        yield start, piece


def _tensors(holding: Holding, context: xr.Dataset) -> dict[str, Tensor]:
    return {name: torch.from_numpy(each) for name, each in holding.known(context).items()}


def _piece(
    holding: Holding | None, known: dict[str, Tensor], start: int, batch: int, device: torch.device, /
) -> tuple[dict[str, Tensor], ...]:
    """What laws in the network know of these samples; nothing, if there are none."""
    if holding is None:
        return ()
    return ({n: (each if len(each) == 1 else each[start : start + batch]).to(device) for n, each in known.items()},)


def _network(solver: LearnedNetwork, device: torch.device, holding: Holding | None) -> nn.Module:
    """The network, built and filled once in a process; under laws, once for a grid."""
    with _BUILDING:
        grid = None if holding is None else holding.grid
        same = grid is None or solver._grid is None or grid.identical(solver._grid)
        if solver._network is None or not same:
            learner, _ = solver._parts or _parts(solver)
            wrappers = {} if holding is None else holding.wrappers
            with aside(0, device):
                network = network_of(
                    learner, given=solver.given, wanted=solver.wanted, scales=solver.scales, wrappers=wrappers
                )
            kinds = network.state_dict()
            weights = {
                name: _like(torch.from_numpy(np.array(each)), kinds.get(name)) for name, each in solver.state.items()
            }
            load_weights(network, weights, source=f"the state of {type(solver).learns.__name__}")
            solver._network, solver._grid = network.to(device).eval(), grid
        return solver._network


def _like(weights: Tensor, expected: Tensor | None) -> Tensor:
    return torch.view_as_complex(weights) if expected is not None and expected.is_complex() else weights


def _parts(solver: LearnedNetwork) -> tuple[NetworkLearner, tuple[Hold, ...]]:
    """The learner and its laws, from their records; parts that these name are those of the solver's registry."""
    learner = type(solver).learns.model_validate(solver.learner, context=solver.context)
    holds = []
    for each in solver.holds:
        laws = [solver.registry.make("laws", law) for law in each["hold"]]
        enforcer = solver.registry.make("enforcers", each["by"])
        assert isinstance(enforcer, Enforcer)
        holds.append(Hold(tuple(law for law in laws if isinstance(law, Law)), enforcer))
    return learner, tuple(holds)


def _same_order(given: Signature, inputs: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """The fields that the network was built for, their dims in the order that it was built for."""
    shake(
        Signature.of(inputs),
        Signature(tuple(f for f in given.fields if f.name in names)),
        giver="inputs",
        taker="the network",
    )
    return xr.Dataset({name: inputs[name].variable.transpose(*given[name].dims) for name in names})


def _checked(output: Tensor, count: int, layout: Layout, solver: LearnedNetwork) -> Tensor:
    member = (solver.output.sizes["member"],) if "member" in solver.output.uncertainty else ()
    wanted = (count, *member, *layout.shape)
    if tuple(output.shape) != wanted:
        raise EstimateError(
            f"the network of {type(solver).learns.__name__} gives {tuple(output.shape)}",
            allowed=f"{wanted}: sample, {', '.join(layout.dims)}, channel",
            advice="make `build` return a network with this output",
        )
    return output
