"""A neural process under a conservation law, held in four ways: conservation error, likelihood, error.

    python benchmarks/conservation.py [--functions 10000] [--epochs 3] [--problem porous-medium] [--store FOLDER]

Runs recipes/porous-medium.yaml, recipes/stefan.yaml and their -soft twins, with the laws of the table; stages that are
in the store are reused, and a training that was interrupted goes on. Protocol: Hansen et al. 2023 (arXiv:2302.11002),
tables 2 and 3: 50 test functions for each parameter, a context of 10 x 10 random points, scored on 201 points of x at
the middle of the time. CE is the signed conservation error (trapezoid rule, less the exact mass), LL the mean log
density by the marginal variance, MSE the mean squared error: mean (standard error) over functions.

Budget: one training for each of the four recipes, epochs x functions / 4 steps of 4 functions, at a learning rate of
5e-4 with cosine decay (800 functions at 1e-3 and at 3e-4 came to the same loss on the validation split). The published
one has 20,000 steps of 250 functions at 1e-4. Dropout is off when solving; 40 draws. Minutes of processor time are
printed. No option was chosen on the test split.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

os.environ.setdefault("THALWEG_TRACKING", "off")

from thalweg import Law, Registry
from thalweg.components.context import context_of
from thalweg.laws import grid_of
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.stores.arrays import read
from thalweg_pde.metrics.log_likelihood import LogLikelihood

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
MASS = "{integral: {variable: u, dims: [x], weights: trapezoid, target: mass}}"


@dataclass(frozen=True)
class Row:
    """A model: a recipe, what is put into its `constrain`, and which of its estimates is meant."""

    label: str
    recipe: str
    only: str
    by: str = ""

    @property
    def overrides(self) -> list[str]:
        return [f"constrain=[{{hold: {MASS}, by: {self.by}}}]"] if self.by else []


ROWS = (
    Row("ANP", "{}", "free"),
    Row("SoftC-ANP", "{}-soft", "held"),
    Row("HardC-ANP", "{}", "", "additive"),
    Row("ProbConserv-ANP", "{}", "", "probconserv"),
    Row("+ diffusion", "{}", "", "{probconserv: {smoothing: x}}"),
)

TESTS = {"porous-medium": 150, "stefan": 50}
SYMBOLS = {"porous-medium": "m", "stefan": "u*"}
UNITS = {"porous-medium": "CE x 1e-3, LL, MSE x 1e-4", "stefan": "CE x 1e-2, LL, MSE x 1e-3"}
SCALES = {"porous-medium": (1e3, 1.0, 1e4), "stefan": (1e2, 1.0, 1e3)}

RERUN = {
    "porous-medium": {
        "ANP": "6.82 (.40), 3.49, 1.01 (.10) | -1.23 (.28), 3.67, 1.91 (.05) | -2.51 (.24), 3.82, 7.74 (.13)",
        "SoftC-ANP": "5.64 (.35), 3.11, 1.15 (.14) | -0.64 (.31), 3.46, 2.13 (.03) | -3.03 (.26), 3.49, 7.88 (.10)",
        "HardC-ANP": "0, 3.14 (.04), .47 (.04) | 0, 3.44 (.03), 1.87 (.04) | 0, 3.40 (.05), 7.70 (.13)",
        "ProbConserv-ANP": "0, 3.57 (.01), .20 (.02) | 0, 3.68 (.00), 2.13 (.09) | 0, 3.83 (.01), 10.35 (.45)",
        "+ diffusion": "0, 4.05 (.02), .16 (.02) | 0, 3.97 (.01), 1.46 (.05) | 0, 4.03 (.01), 7.86 (.30)",
    },
    "stefan": {
        "ANP": "-1.29 (.01), 3.54 (.00), 5.36 (.03)",
        "SoftC-ANP": "not re-run",
        "HardC-ANP": "0, 1.97 (.02), 5.16 (.02)",
        "ProbConserv-ANP": "0, 3.56 (.00), 1.87 (.02)",
        "+ diffusion": "-5e-4, 4.00 (.00), 2.05 (.01)",
    },
}
"""The published weights and data, run again with the published code: 40 draws, dropout on."""


def scores(row: Row, problem: str, options: argparse.Namespace) -> dict[float, np.ndarray]:
    """CE, LL and MSE `(function, 3)` by parameter, in the middle of the time."""
    sizes = f"ingest.{problem}.sizes=[{options.functions}, 100, {TESTS[problem]}]"
    overrides = [sizes, f"train.epochs={options.epochs}", *row.overrides]
    registry = Registry.installed()
    path = RECIPES / f"{row.recipe.format(problem)}.yaml"
    (plan,) = plans(path, overrides=overrides, registry=registry, store=str(options.store), only=row.only)
    start = time.process_time()
    execute(plan, registry=registry, to="train")
    logging.info("%s: %.1f min of processor time to train, in this call", row.label, (time.process_time() - start) / 60)
    execution = execute(plan, registry=registry, to="constrain")
    done, samples = execution.stages, execution.prepared.samples("test")
    inputs, truth = samples.inputs(slice(None)), samples.truth(slice(None))
    estimate = read(done["constrain"].store).load()
    law = registry.make("laws", yaml.safe_load(MASS))
    assert isinstance(law, Law)
    middle = {"time": truth.sizes["time"] // 2}
    error = (
        law.residual(
            estimate, context_of(inputs, samples.wanted), grid_of(estimate, context_of(inputs, samples.wanted))
        )["u"]
        .isel(middle)
        .squeeze("row")
    )
    density = LogLikelihood().statistics(estimate.isel(middle), truth.isel(middle))["log_density"]
    assert isinstance(density, xr.DataArray)
    squares = (estimate["u"] - truth["u"]).isel(middle) ** 2
    found = np.stack([error.values, density.mean("x").values, squares.mean("x").values], -1) * SCALES[problem]
    parameters = inputs["parameter"].values
    return {float(each): found[parameters == each] for each in np.unique(parameters)}


def shown(values: np.ndarray) -> str:
    """Mean (standard error)."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.2f} ({error:.2f})" if abs(mean) >= 5e-3 else f"{mean:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=10000, help="to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--problem", choices=sorted(TESTS), action="append")
    parser.add_argument("--store", type=Path, default=Path("thalweg-store"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start = time.process_time()
    for problem in options.problem or sorted(TESTS):
        rows = {row.label: scores(row, problem, options) for row in ROWS}
        columns = [f"{SYMBOLS[problem]} = {each:g}" for each in next(iter(rows.values()))]
        print(f"\n{problem}: {UNITS[problem]}; mean (s.e.) over 50 functions\n")
        print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
        for label, by in rows.items():
            print(f"| {label} | " + " | ".join(", ".join(map(shown, each.T)) for each in by.values()) + " |")
        print("\nthe published weights, run again (40 draws, dropout on)\n")
        for label, line in RERUN[problem].items():
            print(f"| {label} | {line} |")
    print(f"\n{(time.process_time() - start) / 60:.1f} min of processor time in this call", flush=True)


if __name__ == "__main__":
    main()
