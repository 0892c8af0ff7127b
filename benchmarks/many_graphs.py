"""Hundreds of small pose graphs: one after another by sparse factors, and in step by dense ones (torch, a GPU if any).

    python benchmarks/many_graphs.py [--count 200] [--poses 60] [--repeats 3]

Graphs in space of a third more and a third fewer poses than said, so that padding is paid for. Wall seconds, in turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from _timing import in_turn, report
from thalweg_slam import optimise_many
from thalweg_slam.posegraph.result import Result
from thalweg_slam.posegraph.synthetic import grid


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--poses", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    sizes = np.random.default_rng(0).integers(given.poses * 2 // 3, given.poses * 4 // 3, given.count)
    graphs = [grid(int(size), seed=seed, width=6) for seed, size in enumerate(sizes)]
    ways: dict[str, Callable[[], list[Result]]] = {
        "sparse, mixed-adaptive": lambda: optimise_many(graphs, backend="sparse"),
        "sparse, double": lambda: optimise_many(graphs, "double", backend="sparse"),
        "dense, mixed-adaptive": lambda: optimise_many(graphs, backend="dense"),
        "dense, double": lambda: optimise_many(graphs, "double", backend="dense"),
    }
    found = {name: [each.chi2 for each in way()] for name, way in ways.items()}
    reference = np.array(found["sparse, double"])
    for name, chi2 in found.items():
        print(f"{name}: chi2 within {np.abs(np.array(chi2) / reference - 1).max():.0e} of sparse, double")
    report(in_turn(ways, repeats=given.repeats), against="sparse, double")


if __name__ == "__main__":
    main()
