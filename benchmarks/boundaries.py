"""One small operator under each way to hold a boundary, on three exact problems: error, boundary, processor time.

    python benchmarks/boundaries.py [--epochs 40] [--seed 1]

Each way has the same weights to begin with, the same batches and the boundary values among its inputs; `no channel` is
not told them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch
from thalweg import Law
from thalweg_boon.enforcers.boon import Boon
from thalweg_boon.enforcers.boundary_channel import BoundaryChannel
from thalweg_boon.laws.dirichlet import Dirichlet
from thalweg_boon.laws.neumann import Neumann
from thalweg_pde.datasets._marching import Marching
from thalweg_pde.datasets.burgers_riemann import BurgersRiemann
from thalweg_pde.datasets.heat_neumann import HeatNeumann
from thalweg_pde.datasets.stokes_second_problem import StokesSecondProblem
from thalweg_pde.fno import FNO
from torch import Tensor, nn

TRAIN, TEST, CELLS = 300, 100, 128
INPUTS = ("initial", "left", "right")
WAYS = {
    "free": None,
    "free, no channel": None,
    "overwrite": BoundaryChannel(),
    "lifting": BoundaryChannel(by="lifting"),
    "boon": Boon(),
}


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]
    dims: tuple[str, ...] = ("x",)


class Told(nn.Module):
    """An operator that is told some of its inputs."""

    given, wanted = Layout(INPUTS), Layout(("u",))

    def __init__(self, mask: list[float]) -> None:
        super().__init__()
        self.operator = FNO(3, 1, modes=(12,), width=32)
        self.mask = torch.tensor(mask)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.operator(inputs * self.mask)
        return output


def relative(estimate: Tensor, truth: Tensor) -> Tensor:
    return ((estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean()


def pairs(problem: Marching) -> tuple[Tensor, Tensor]:
    data = problem.open().compute()
    fields = [torch.tensor(data[name].values, dtype=torch.float32).reshape(TRAIN + TEST, -1) for name in INPUTS]
    inputs = torch.stack([each.expand(-1, CELLS) for each in fields], -1)
    return inputs, torch.tensor(data["u"].values, dtype=torch.float32)[..., None]


def run(problem: Marching, law: Law, *, epochs: int, seed: int) -> None:
    inputs, truth = pairs(problem)
    for way, enforcer in WAYS.items():
        torch.manual_seed(seed)
        network: nn.Module = Told([1.0, 0.0, 0.0] if way.endswith("no channel") else [1.0, 1.0, 1.0])
        network = network if enforcer is None else enforcer.wrap(network, law)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, epochs // 5), 0.5)
        start = time.process_time()
        for _ in range(epochs):
            for at in torch.randperm(TRAIN).split(20):
                optimizer.zero_grad()
                relative(network(inputs[at]), truth[at]).backward()
                optimizer.step()
            schedule.step()
        seconds = time.process_time() - start
        with torch.no_grad():
            estimate = network(inputs[TRAIN:])
        error = float(relative(estimate, truth[TRAIN:]))
        ends = float((estimate - truth[TRAIN:])[:, [0, -1]].abs().max())
        print(f"{type(problem).__name__:<22}{way:<18}{error:>9.4f}{ends:>11.2e}{seconds:>7.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1, help="of the data, the weights and the batches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<40}{'rel. L2':>9}{'ends, most':>11}{'CPU':>9}")
    sizes = (TRAIN, 0, TEST)
    values = Dirichlet(variable="u", left="left", right="right")
    slopes = Neumann(variable="u", left="left", right="right", spacing=1 / (CELLS - 1))
    for kind, law in ((StokesSecondProblem, values), (BurgersRiemann, values), (HeatNeumann, slopes)):
        problem = kind(sizes=sizes, cells=CELLS, seed=options.seed)
        run(problem, law, epochs=options.epochs, seed=options.seed)


if __name__ == "__main__":
    main()
