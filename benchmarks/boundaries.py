"""One small operator under each way to hold a boundary, on six problems: error, boundary, processor time.

    python benchmarks/boundaries.py [--seeds 0 1 2] [--epochs 40] [--results FILE]
    python benchmarks/boundaries.py --damping 0.03 0.1 0.3 0.9 --seeds 10 11

The first writes Markdown: mean (standard error) over seeds, of the data, the weights and the batches alike. Each way
has the same weights to begin with, the same batches and the boundary values among its inputs; `not told` has not. What
stands in FILE is not run again. The second chooses the damping of `boon` on validation samples: no test sample is read,
and its seeds are not the table's.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from _markdown import cell, table
from thalweg import FaceLaw, Held, OperatorEnforcer
from thalweg.laws import BoundaryFlux, BoundaryValue, Periodic, grid_of
from thalweg_boon.enforcers.boon import Boon
from thalweg_boon.enforcers.boundary_channel import BoundaryChannel
from thalweg_pde.datasets._problem import Problem
from thalweg_pde.datasets.burgers_periodic import BurgersPeriodic
from thalweg_pde.datasets.burgers_riemann import BurgersRiemann
from thalweg_pde.datasets.heat_neumann import HeatNeumann
from thalweg_pde.datasets.lid_driven_cavity import LidDrivenCavity
from thalweg_pde.datasets.stokes_second_problem import StokesSecondProblem
from thalweg_pde.datasets.wave import Wave
from thalweg_pde.fno import FNO
from torch import Tensor, nn

TRAIN, VALIDATE, TEST, LINE, SIDE = 300, 100, 100, 128, 24
WAYS: dict[str, OperatorEnforcer | None] = {
    "free": None,
    "not told": None,
    "overwrite": BoundaryChannel(),
    "lifting": BoundaryChannel(by="lifting"),
    "boon": Boon(),
}


@dataclass(frozen=True)
class Case:
    """A problem, the laws of its boundary, and which of its variables the operator is given and gives."""

    kind: type[Problem]
    laws: tuple[FaceLaw, ...]
    inputs: tuple[str, ...] = ("initial",)
    told: tuple[str, ...] = ()
    output: str = "u"
    dims: tuple[str, ...] = ("x",)

    def data(self, seed: int) -> xr.Dataset:
        cells = LINE if self.dims == ("x",) else SIDE
        return self.kind(sizes=(TRAIN, VALIDATE, TEST), cells=cells, seed=seed).open().compute()  # type: ignore[call-arg]


ENDS = ("left", "right")
TOLD = {"left": "left", "right": "right"}
VALUES = (BoundaryValue(variable="u", dim="x", target=TOLD),)
SLOPES = (BoundaryFlux(variable="u", dim="x", order=2, target=TOLD),)
NO_SLOPE = tuple(BoundaryFlux(variable="u", dim=dim, order=2) for dim in ("y", "x"))
NOTHING = tuple(BoundaryValue(variable="stream", dim=dim) for dim in ("y", "x"))
CASES = {
    "Stokes' second problem": Case(StokesSecondProblem, VALUES, told=ENDS),
    "Burgers between two states": Case(BurgersRiemann, VALUES, told=ENDS),
    "Burgers on a ring": Case(BurgersPeriodic, (Periodic(variable="u", dim="x"),)),
    "heat, slopes": Case(HeatNeumann, SLOPES, told=ENDS),
    "wave, no slope": Case(Wave, NO_SLOPE, dims=("y", "x")),
    "cavity, stream function": Case(
        LidDrivenCavity,
        NOTHING,
        inputs=("lid",),
        output="stream",
        dims=("y", "x"),
    ),
}


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]
    dims: tuple[str, ...]


class Told(nn.Module):
    """An operator that is told some of its inputs."""

    def __init__(self, case: Case, *, told: bool) -> None:
        super().__init__()
        names = (*case.inputs, *case.told)
        self.given, self.wanted = Layout(names, case.dims), Layout((case.output,), case.dims)
        modes, width = ((12,), 32) if len(case.dims) == 1 else ((8, 8), 16)
        self.operator = FNO(len(names), 1, modes=modes, width=width)
        self.mask = torch.tensor([1.0 if told or name in case.inputs else 0.0 for name in names])

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        output: Tensor = self.operator(inputs * self.mask)
        return output


def relative(estimate: Tensor, truth: Tensor) -> Tensor:
    return ((estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean()


def tensors(case: Case, data: xr.Dataset) -> tuple[Tensor, Tensor]:
    like = data[case.output]
    fields = [data[name].broadcast_like(like).transpose(*like.dims).values for name in (*case.inputs, *case.told)]
    return torch.tensor(np.stack(fields, -1), dtype=torch.float32), torch.tensor(like.values[..., None]).float()


def run(
    case: Case, data: xr.Dataset, *, way: str, enforcer: OperatorEnforcer | None, epochs: int, seed: int, score: slice
) -> dict[str, float]:
    inputs, truth = tensors(case, data)
    torch.manual_seed(seed)
    network: Any = Told(case, told=way != "not told")
    grid, known = grid_of(data[[case.output]], data), dict[str, Tensor]()
    if enforcer is not None:
        held = Held(case.laws, grid)
        known = {f"0/{name}": torch.tensor(each) for name, each in enforcer.known(held, data).items()}
        network = enforcer.wrap(network, held, "0")

    def estimated(at: Any) -> Tensor:
        output: Tensor = network(
            inputs[at], {name: each if len(each) == 1 else each[at] for name, each in known.items()}
        )
        return output

    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, epochs // 5), 0.5)
    start = time.process_time()
    for _ in range(epochs):
        for at in torch.randperm(TRAIN).split(20):
            optimizer.zero_grad()
            relative(estimated(at), truth[at]).backward()
            optimizer.step()
        schedule.step()
    seconds = time.process_time() - start
    with torch.no_grad():
        estimate = estimated(score)
    scored = data.isel(sample=score)
    field = scored[case.output].copy(data=estimate[..., 0].double().numpy()).to_dataset(name=case.output)
    gaps = [law.residual(field, scored, grid)[case.output].values.ravel() for law in case.laws]
    return {
        "error": float(relative(estimate, truth[score])),
        "boundary": float(np.sqrt(np.mean(np.concatenate(gaps) ** 2))),
        "seconds": seconds,
    }


def results(file: Path | None, *, seeds: Sequence[int], epochs: int) -> Iterator[dict[str, float | str]]:
    """One row for each problem, seed and way, from the file where it has it."""
    known = [json.loads(line) for line in file.read_text().splitlines()] if file and file.is_file() else []
    for seed in seeds:
        for name, case in CASES.items():
            data = None
            for way, enforcer in WAYS.items():
                key = {"problem": name, "way": way, "seed": seed, "epochs": epochs}
                found = next((row for row in known if {**row, **key} == row), None)
                if found is None and (way != "not told" or case.told):
                    data = case.data(seed) if data is None else data
                    score = slice(TRAIN + VALIDATE, None)
                    found = key | run(case, data, way=way, enforcer=enforcer, epochs=epochs, seed=seed, score=score)
                    if file:
                        file.open("a").write(json.dumps(found) + "\n")
                if found is not None:
                    yield found


def choose(dampings: Sequence[float], *, seeds: Sequence[int], epochs: int) -> None:
    """Validation errors of `boon` by damping, of the problems whose boundary is eliminated in one dim."""
    names = [name for name, case in CASES.items() if case.told]
    logarithms: dict[float, list[float]] = {}
    for damping in dampings:
        for name in names:
            found = []
            for seed in seeds:
                data, score = CASES[name].data(seed), slice(TRAIN, TRAIN + VALIDATE)
                boon = Boon(damping=damping)
                row = run(CASES[name], data, way="boon", enforcer=boon, epochs=epochs, seed=seed, score=score)
                found.append(row["error"])
                logarithms.setdefault(damping, []).append(math.log(row["error"]))
            print(f"damping {damping:<6g}{name:<30}{cell(found)}", flush=True)
    for damping, each in logarithms.items():
        print(f"damping {damping:<6g}geometric mean {math.exp(np.mean(each)):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, help="file of JSON lines that results are kept in")
    parser.add_argument("--damping", type=float, nargs="+", help="compare these on validation samples instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.damping:
        choose(options.damping, seeds=options.seeds, epochs=options.epochs)
        return
    rows = list(results(options.results, seeds=options.seeds, epochs=options.epochs))
    for title, key in (
        ("Relative L2 error", "error"),
        ("Residual of the law, root mean square", "boundary"),
        ("Processor seconds of training", "seconds"),
    ):
        print(f"\n{title}, mean (standard error) of seeds {', '.join(map(str, options.seeds))}:\n")
        lines = [
            [name, *(cell([row[key] for row in rows if (row["problem"], row["way"]) == (name, way)]) for way in WAYS)]
            for name in CASES
        ]
        print(table(["", *WAYS], lines))


if __name__ == "__main__":
    main()
