"""Which step of the pose graph solver may be in which precision: each kind of number in each step, all else single.

    python benchmarks/precision.py [--data FOLDER] [--graphs sphere2500,torus3D]

The solver is the static one (factored once). Reported: chi2 over that of the direct solver in double precision less 1,
iterations and products of conjugate gradients, largest distance of a pose from the direct solution, and processor
milliseconds (medians of three, in turn) of all and of conjugate gradients.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _markdown import table
from thalweg.errors import RunError
from thalweg_slam import Graph, Precision, optimise, read_g2o
from thalweg_slam.posegraph.precision import KINDS
from thalweg_slam.posegraph.result import Result

DATA = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "slam" / "g2o"
STEPS = "product", "solve", "factor"
HEAD = ["step", "kind", "chi2 over the least", "iterations", "products", "furthest pose, m", "ms", "of them cg"]


def cases() -> list[tuple[str, str, Precision]]:
    def one(**kinds: Any) -> Precision:
        return Precision("static", **{**dict.fromkeys(STEPS, "fp32"), **kinds})

    found = [("all", kind, one(**dict.fromkeys(STEPS, kind))) for kind in KINDS]
    return found + [(step, kind, one(**{step: kind})) for step in STEPS for kind in KINDS if kind != "fp32"]


def row(step: str, kind: str, runs: list[Result] | str, exact: Result) -> list[str]:
    if isinstance(runs, str):
        return [step, kind, runs, *[""] * (len(HEAD) - 3)]
    found = runs[0]
    apart = np.linalg.norm(found.graph.translation - exact.graph.translation, axis=1).max()
    total = median(each.timing.total for each in runs)
    conjugate = median(each.timing.conjugate for each in runs)
    counts = str(len(found.history)), str(found.products)
    times = f"{total * 1e3:.3g}", f"{conjugate * 1e3:.3g}"
    return [step, kind, f"{found.chi2 / exact.chi2 - 1:.0e}", *counts, f"{apart:.0e}", *times]


def ablation(name: str, whole: Graph) -> None:
    graph = optimise(whole, "double", iterations=0).graph
    exact = optimise(graph, "double", initial="given", tolerance=1e-12)
    ways = cases()
    runs: list[list[Result] | str] = []
    for _, _, precision in ways:
        try:
            optimise(graph, precision, initial="given")
            runs.append([])
        except RunError as error:
            runs.append(error.given)
    for _ in range(3):
        for (_, _, precision), taken in zip(ways, runs, strict=True):
            if not isinstance(taken, str):
                taken.append(optimise(graph, precision, initial="given"))
    print(f"\n{name}: chi2 {exact.chi2:.9g}\n")
    rows = [row(step, kind, taken, exact) for (step, kind, _), taken in zip(ways, runs, strict=True)]
    print(table(HEAD, rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--graphs", default="sphere2500,torus3D,intel")
    given = parser.parse_args()
    for name in given.graphs.split(","):
        ablation(name, read_g2o(next(given.data.glob(f"{name}.g2o*"))))


if __name__ == "__main__":
    main()
