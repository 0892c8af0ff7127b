"""One law at no site, in the loss, in the operator, as the last layer, and at the output: score, violation and cost.

    python benchmarks/sites.py [--seeds 0 1 2] [--epochs 25] [--store FOLDER] > sites.md
    python benchmarks/sites.py --weights 1 10 100 --seeds 10

Stokes' second problem, learned by a Fourier neural operator that is told the boundary values and the mass, under two
laws: the values at the ends, and the mass. Each row is a recipe that the pipeline runs and the house scores; stages
that stand in the store are reused, with the processor time that they took. `ensemble` is the mean of five operators of
other seeds, on which `probconserv` holds the law as on members. The first command writes Markdown: mean (standard
error) over seeds, of the data and the weights alike. The second compares weights of the penalty by their score, on
other seeds.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import xarray as xr
import yaml
from _markdown import cell, table
from thalweg import Held, LinearLaw, Registry, Samples, scalars
from thalweg.laws import grid_of
from thalweg.pipeline import Execution
from thalweg.recipes.planning import plans
from thalweg.results.estimates import context_of
from thalweg.results.scoring import score
from thalweg.stores.arrays import read
from thalweg_pde.metrics.relative_l2 import RelativeL2
from thalweg_probconserv.enforcers.probconserv import ProbConserv

CELLS, MEMBERS = 128, 5
PLUGINS = ("boon", "pde", "probconserv")
LAWS: dict[str, dict[str, Any]] = {
    "values at both ends": {"dirichlet": {"variable": "u", "left": "left", "right": "right"}},
    "mass": {"integral": {"variable": "u", "dims": ["x"], "weights": "trapezoid", "target": "mass"}},
}
LAST = {"last-layer": {"spacing": {"x": 1 / (CELLS - 1)}}}
WEIGHTS = {"values at both ends": 1.0, "mass": 10.0}


def ways(law: str) -> list[tuple[str, str, Any]]:
    """Site, what is said of it, and the enforcer of a recipe."""
    penalty = ("loss", f"penalty, weight {WEIGHTS[law]:g}", {"penalty": {"weight": WEIGHTS[law]}})
    if law == "mass":
        return [penalty, ("operator", "last-layer", LAST), ("output", "hard", "hard")]
    # The last layer moves each cell by itself: the boundary channel that overwrites the ends is the same network.
    lifted = ("operator", "boundary-channel, lifting", {"boundary-channel": {"by": "lifting"}})
    boon = ("operator", "boon", {"boon": {}})
    return [penalty, boon, lifted, ("operator", "last-layer", LAST), ("output", "hard", "hard")]


@dataclass(frozen=True)
class Row:
    """What one way came to, of one seed."""

    error: float
    violation: float
    training: float
    inference: float


@cache
def registry() -> Registry:
    """Without observers, which would be counted as cost."""
    import importlib

    return Registry({name: importlib.import_module(f"thalweg_{name}") for name in PLUGINS})


@dataclass(frozen=True)
class House:
    """Where recipes are run."""

    store: Path
    epochs: int

    def run(
        self, law: str, by: Any, *, seed: int, member: int = 0, only: str = ""
    ) -> tuple[Execution, dict[str, float]]:
        """An executed recipe, and the processor seconds of its stages when they were first run."""
        recipe = {
            "name": "sites",
            "experiment": "sites",
            "ingest": {"stokes-second-problem": {"sizes": [300, 100, 100], "cells": CELLS, "seed": seed}},
            "train": {
                "method": {"fno": {"width": 32, "modes": 12}},
                "epochs": self.epochs,
                "seed": 100 * member + seed,
            },
            "constrain": [{"hold": LAWS[law], "by": by}],
            "evaluate": ["relative-l2"],
        }
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sites.yaml"
            file.write_text(yaml.safe_dump(recipe))
            (plan,) = plans(
                file, registry=registry(), store=str(self.store), cluster={"threads": {"threads": 1}}, only=only
            )
        execution, spent = Execution(plan, registry()), {}
        with execution:
            for name, step in plan.steps.items():
                start = time.process_time()
                execution.stage(name)
                spent[name] = self._first(f"{name} {only} {step.digest}", time.process_time() - start)
        return execution, spent

    def _first(self, key: str, seconds: float) -> float:
        """Seconds of a stage when it was run: a stage that is reused takes none."""
        file = self.store / "seconds.json"
        known: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
        known.setdefault(key, seconds)
        file.write_text(json.dumps(known))
        return known[key]

    def rows(self, law: str, *, seed: int) -> dict[tuple[str, str], Row]:
        """By site and way."""
        name = next(iter(LAWS[law]))
        _, spent = self.run(law, "hard", seed=seed, only="free")
        found: dict[tuple[str, str], Row] = {}
        for site, said, by in ways(law):
            execution, more = self.run(law, by, seed=seed)
            numbers = scalars(execution.records())
            if site == "output":
                found["none", "free"] = _row(numbers, name, "free", spent["train"], spent["constrain"])
                training, inference = spent["train"], spent["constrain"] + more["constrain"]
            else:
                training, inference = more["train"], more["constrain"]
            found[site, said] = _row(numbers, name, "held", training, inference)
        return found | self._ensemble(law, seed=seed)

    def _ensemble(self, law: str, *, seed: int) -> dict[tuple[str, str], Row]:
        members, training, inference = [], 0.0, 0.0
        for member in range(MEMBERS):
            execution, spent = self.run(law, "hard", seed=seed, member=member, only="free")
            members.append(read(execution.stages["constrain"].store).load())
            training, inference = training + spent["train"], inference + spent["constrain"]
        held_by = registry().make("laws", LAWS[law])
        assert isinstance(held_by, LinearLaw)
        samples = execution.prepared.samples("test")
        context, truth = _known(samples)
        free = xr.concat(members, "member").transpose("sample", "member", ...)
        start = time.process_time()
        held = ProbConserv().hold(free, Held.of((held_by,), free, context), context)
        seconds = time.process_time() - start
        return {
            ("none", f"ensemble of {MEMBERS}"): _scored(free, truth, held_by, context, training, inference),
            ("output", "ensemble, probconserv"): _scored(held, truth, held_by, context, training, inference + seconds),
        }


def _known(samples: Samples) -> tuple[xr.Dataset, xr.Dataset]:
    whole = slice(0, len(samples))
    truth = samples.truth(whole)
    return context_of(samples.inputs(whole), samples.wanted), truth


def _scored(
    members: xr.Dataset, truth: xr.Dataset, law: LinearLaw, context: xr.Dataset, training: float, inference: float
) -> Row:
    mean = members.mean("member")
    left = abs(law.residual(mean, context, grid_of(mean, context))["u"]).mean()
    return Row(float(score(RelativeL2(), mean, truth).overall), float(left), training, inference)


def _row(numbers: Mapping[str, float], law: str, version: str, training: float, inference: float) -> Row:
    return Row(numbers[f"{version}/relative-l2"], numbers[f"{version}/violation/{law}"], training, inference)


def compare(house: House, weights: Sequence[float], *, seeds: Sequence[int]) -> None:
    """Scores of the penalty by weight."""
    for law in LAWS:
        name = next(iter(LAWS[law]))
        for weight in weights:
            runs = [house.run(law, {"penalty": {"weight": weight}}, seed=seed)[0] for seed in seeds]
            numbers = [scalars(run.records()) for run in runs]
            error, left = ([each[f"held/{key}"] for each in numbers] for key in ("relative-l2", f"violation/{name}"))
            print(f"{law:<22}weight {weight:<8g}{cell(error):<18}{cell(left)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--store", type=Path, help="a folder that is kept; one that is not if left out")
    parser.add_argument("--weights", type=float, nargs="+", help="compare these weights of the penalty instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("thalweg").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder)
        store.mkdir(parents=True, exist_ok=True)
        house = House(store, options.epochs)
        # What is imported and compiled once is no cost of the way that comes first.
        with tempfile.TemporaryDirectory() as aside:
            House(Path(aside), 1).run("mass", LAST, seed=0)
        if options.weights:
            compare(house, options.weights, seeds=options.seeds)
            return
        for law in LAWS:
            by_seed = [house.rows(law, seed=seed) for seed in options.seeds]
            lines = [
                [*way, *(cell([getattr(rows[way], key) for rows in by_seed]) for key in Row.__dataclass_fields__)]
                for way in sorted(by_seed[0], key=lambda way: ("none", "loss", "operator", "output").index(way[0]))
            ]
            print(f"\n{law.capitalize()}, mean (standard error) of seeds {', '.join(map(str, options.seeds))}:\n")
            head = ["site", "way", "relative L2", "violation", "CPU s, training", "CPU s, inference of 100"]
            print(table(head, lines), flush=True)


if __name__ == "__main__":
    main()
