"""A Fourier neural operator under boundary laws, and the bare one: processor time of a forward pass, and of a step.

python benchmarks/boon.py [--width 64] [--cells 500] [--modes 16] [--samples 20]
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from _timing import in_turn, report
from thalweg import FaceLaw, Held
from thalweg.laws import BoundaryFlux, BoundaryValue, Periodic, grid_of
from thalweg_boon.enforcers.boon import Boon
from thalweg_pde.fno import FNO
from torch import nn


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]
    dims: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("width", 64),
        ("cells", 500),
        ("modes", 16),
        ("samples", 20),
        ("repeats", 15),
        ("threads", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dims", type=int, default=1, help="of space: cells along the first, 25 along the others")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    space = (options.cells, 25, 25)[: options.dims]
    bare = FNO(1, 1, modes=tuple(min(options.modes, n // 2) for n in space), width=options.width)
    dims = ("x", "y", "z")[: options.dims]
    inputs = torch.randn(options.samples, *space, 1)
    coords = {dim: np.arange(size) / space[0] for dim, size in zip(dims, space, strict=True)}
    fields = xr.Dataset({"u": (("sample", *dims), inputs[..., 0].numpy())}, coords)
    networks: dict[str, Callable[[], torch.Tensor]] = {"bare": Under(bare, dims, (), fields)}
    for name, law in {
        "dirichlet": BoundaryValue(variable="u", dim="x", target="u"),
        "neumann": BoundaryFlux(variable="u", dim="x", order=2, target=0.0),
        "periodic": Periodic(variable="u", dim="x"),
    }.items():
        networks[name] = Under(bare, dims, (law,), fields)
        if options.dims > 1:
            networks[f"{name}, two dims"] = Under(bare, dims, (law, law.model_copy(update={"dim": "y"})), fields)
    print(
        f"{options.samples} samples of {space}, modes {options.modes}, width {options.width}, {options.threads} threads"
    )
    print("forward")
    report(
        in_turn(
            {name: _forward(each) for name, each in networks.items()},
            repeats=options.repeats,
            clock=time.process_time,
        ),
        against="bare",
    )
    print("step of training (forward, backward, Adam)")
    report(
        in_turn(
            {name: _step(each) for name, each in networks.items()},
            repeats=options.repeats,
            clock=time.process_time,
        ),
        against="bare",
    )


class Under(nn.Module):
    """A copy of a network under laws, with what they know of fields."""

    def __init__(self, bare: nn.Module, dims: tuple[str, ...], laws: tuple[FaceLaw, ...], fields: xr.Dataset) -> None:
        super().__init__()
        self.network: Any = Bare(copy.deepcopy(bare), dims)
        self.inputs, self.known = torch.from_numpy(fields["u"].values)[..., None], dict[str, torch.Tensor]()
        if laws:
            held = Held(laws, grid_of(fields, fields))
            self.known = {f"0/{name}": torch.tensor(each) for name, each in Boon().known(held, fields).items()}
            self.network = Boon().wrap(self.network, held, "0")

    def forward(self) -> torch.Tensor:
        output: torch.Tensor = self.network(self.inputs, self.known)
        return output


class Bare(nn.Module):
    """A network that says what its channels are."""

    def __init__(self, network: nn.Module, dims: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.given = self.wanted = Layout(("u",), dims)

    def forward(self, inputs: torch.Tensor, known: Mapping[str, torch.Tensor]) -> torch.Tensor:  # noqa: ARG002
        output: torch.Tensor = self.network(inputs)
        return output


def _forward(network: Callable[[], torch.Tensor]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return network()

    return run


def _step(network: Any) -> Callable[[], object]:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6)

    def run() -> object:
        optimizer.zero_grad()
        network().square().mean().backward()
        return optimizer.step()

    return run


if __name__ == "__main__":
    main()
