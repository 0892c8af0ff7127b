"""A Fourier neural operator under boundary laws, and the bare one: processor time of a forward pass, and of a step.

python benchmarks/boon.py [--width 64] [--cells 500] [--modes 16] [--samples 20]
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from _timing import in_turn, report
from thalweg_boon.enforcers.boon import Boon
from thalweg_boon.laws.dirichlet import Dirichlet
from thalweg_boon.laws.neumann import Neumann
from thalweg_boon.laws.periodic import Periodic
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
    bare: nn.Module = FNO(1, 1, modes=tuple(min(options.modes, n // 2) for n in space), width=options.width)
    dims = ("x", "y", "z")[: options.dims]
    bare.given = bare.wanted = Layout(("u",), dims)  # type: ignore[assignment]
    networks = {"bare": bare}
    for name, law in {
        "dirichlet": Dirichlet(variable="u", left="u", right="u"),
        "neumann": Neumann(variable="u", left=0.0, right=0.0, spacing=1 / options.cells),
        "periodic": Periodic(variable="u"),
    }.items():
        networks[name] = Boon().wrap(copy.deepcopy(bare), law)
        if options.dims > 1:
            other = law.model_copy(update={"dim": "y"})
            networks[f"{name}, two dims"] = Boon().wrap(copy.deepcopy(networks[name]), other)
    inputs = torch.randn(options.samples, *space, 1)
    print(
        f"{options.samples} samples of {space}, modes {options.modes}, width {options.width}, {options.threads} threads"
    )
    print("forward")
    report(
        in_turn(
            {name: _forward(each, inputs) for name, each in networks.items()},
            repeats=options.repeats,
            clock=time.process_time,
        ),
        against="bare",
    )
    print("step of training (forward, backward, Adam)")
    report(
        in_turn(
            {name: _step(each, inputs) for name, each in networks.items()},
            repeats=options.repeats,
            clock=time.process_time,
        ),
        against="bare",
    )


def _forward(network: nn.Module, inputs: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return network(inputs)

    return run


def _step(network: nn.Module, inputs: torch.Tensor) -> Callable[[], object]:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6)

    def run() -> object:
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        return optimizer.step()

    return run


if __name__ == "__main__":
    main()
