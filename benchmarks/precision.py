"""Which step of the pose graph solver may be in which precision: each kind of number in each step, all else single.

    python benchmarks/precision.py [--data FOLDER] [--graphs sphere2500,torus3D] [--tours 0]

The solver is the static one (factored once). Reported: chi2 over that of the direct solver in double precision less 1,
products of conjugate gradients, largest distance of a pose from the direct solution, and processor seconds (median of
three) of all and of conjugate gradients. With --tours N instead: N synthetic tours solved by each preset.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from pathlib import Path

import numpy as np
from thalweg_slam import Graph, Precision, Trajectory, ate, optimise, read_g2o
from thalweg_slam.generate import tour
from thalweg_slam.posegraph.optimise import Result
from thalweg_slam.posegraph.precision import KINDS, PRESETS

DATA = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "slam" / "g2o"
SINGLE = Precision("static", factor="fp32", solve="fp32", product="fp32")


def solved(graph: Graph, precision: Precision) -> tuple[Result, float, float]:
    runs = [optimise(graph, precision, initial="given") for _ in range(4)][1:]
    return (
        runs[0],
        statistics.median(each.timing.total for each in runs),
        statistics.median(each.timing.conjugate for each in runs),
    )


def ablation(name: str, folder: Path) -> None:
    graph = optimise(read_g2o(next(folder.glob(f"{name}.g2o*"))), "double", iterations=0).graph
    exact = optimise(graph, "double", initial="given", tolerance=1e-12)
    print(f"{name}: chi2 {exact.chi2:.9g}")
    print(f"  {'step':<10}{'kind':<6}{'chi2 - 1':>10}{'products':>10}{'distance':>11}{'ms':>8}{'cg ms':>8}")
    whole = {"all": dataclasses.replace(SINGLE, factor="fp64", solve="fp64", product="fp64")}
    rows = [("all", "fp64", whole["all"]), ("all", "fp32", SINGLE)]
    for step in ("product", "solve", "factor"):
        rows += [(step, kind, dataclasses.replace(SINGLE, **{step: kind})) for kind in KINDS if kind != "fp32"]
    rows += [(f"all {kind}", kind, Precision("static", kind, kind, kind)) for kind in ("bf16", "fp16")]
    for step, kind, precision in rows:
        found, total, conjugate = solved(graph, precision)
        apart = np.linalg.norm(found.graph.translation - exact.graph.translation, axis=1).max()
        print(
            f"  {step.split()[0]:<10}{kind:<6}{found.chi2 / exact.chi2 - 1:>10.1e}{found.products:>10}{apart:>11.1e}"
            f"{total * 1e3:>8.1f}{conjugate * 1e3:>8.1f}"
        )


def tours(count: int) -> None:
    problems = [tour(seed) for seed in range(count)]
    truths = [each.truth for each in problems if each.truth is not None]
    poses, edges = (
        statistics.mean(sizes) for sizes in zip(*((len(p.graph), len(p.graph.edges)) for p in problems), strict=True)
    )
    print(f"{count} tours, {poses:.0f} poses and {edges:.0f} edges on average; mean ATE of a tour, m")
    reference: list[Result] = []
    for name in PRESETS:
        optimise(problems[0].graph, name)
        start = time.thread_time()
        found = [optimise(each.graph, name, initial="odometry") for each in problems]
        seconds = time.thread_time() - start
        reference = reference or found
        errors = np.array(
            [
                ate(Trajectory(each.graph.translation, each.graph.rotation), truth)["mean"]
                for each, truth in zip(found, truths, strict=True)
            ]
        )
        apart = max(
            float(np.linalg.norm(each.graph.translation - other.graph.translation, axis=1).max())
            for each, other in zip(found, reference, strict=True)
        )
        conjugate = sum(each.timing.conjugate for each in found)
        told = "".join(f"{value:>11.3e}" for value in (errors.mean(), *np.percentile(errors, [90, 99, 100])))
        print(
            f"  {name:<16}{seconds:>7.2f} s, cg {conjugate:.2f} s; ATE mean, p90, p99, max {told}; apart {apart:.1e} m"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--graphs", default="sphere2500,torus3D,intel")
    parser.add_argument("--tours", type=int, default=0)
    given = parser.parse_args()
    if given.tours:
        tours(given.tours)
        return
    for name in given.graphs.split(","):
        ablation(name, given.data)


if __name__ == "__main__":
    main()
