"""Time and memory of pose graphs from 100 to 100,000 poses: rows over a surface, loops to the row before.

    python benchmarks/pose_graph_growth.py [--most 100000] [--precision mixed-adaptive]

Each size in a fresh process: processor seconds of the start and of the solve, blocks of the factor (its order of
elimination decides them, not the size alone), bytes of the factor, and resident memory beyond that of a graph of 100.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys

SOLVE = """
import json, resource
from thalweg_slam import optimise
from thalweg_slam.posegraph.symbolic import analyse
from thalweg_slam.posegraph.synthetic import grid
optimise(grid(100, seed=0, width=10), {precision!r})
graph = grid({count}, seed=0, width={width})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = optimise(graph, {precision!r})
print(json.dumps(dict(
    edges=len(graph.edges), initial=found.timing.initial, solve=found.timing.total, factor=found.factor_bytes,
    blocks=analyse(len(graph), graph.edges).blocks + len(graph), iterations=len(found.history),
    fit=found.chi2 / found.freedom, memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
    direct=found.history[-1].direct, converged=found.converged)))
"""
SIZES = 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--precision", default="mixed-adaptive")
    given = parser.parse_args()
    head = (
        "poses",
        "edges",
        "blocks a pose",
        "start, s",
        "solve, s",
        "us a block",
        "factor, MB",
        "memory, MB",
        "iterations",
    )
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for count in SIZES:
        if count > given.most:
            break
        program = SOLVE.format(precision=given.precision, count=count, width=math.isqrt(count))
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        row = json.loads(done.stdout)
        assert row["converged"] and abs(row["fit"] - 1) < 0.5, row
        each = row["solve"] / row["blocks"] * 1e6
        cells = [f"{count:,}", f"{row['edges']:,}", f"{row['blocks'] / count:.1f}"]
        cells += [f"{row['initial']:.2g}", f"{row['solve']:.2g}", f"{each:.1f}"]
        cells += [f"{row['factor'] / 1e6:.3g}", f"{row['memory'] / 1e3:.3g}"]
        print(f"| {' | '.join(cells)} | {row['iterations']}{', direct' if row['direct'] else ''} |", flush=True)


if __name__ == "__main__":
    main()
