"""Seconds from starting Python to the first solved pose graph: kernels compiled, and read from numba's disk cache.

    python benchmarks/first_use.py [--repeats 3]

Each line is of fresh processes with folders of their own for kernels and for byte code, empty at first: the first run,
and the median of the later ones. Wall time, and processor time of the process for a machine that others use.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

SOLVE = """
from thalweg_slam import optimise
from thalweg_slam.posegraph.synthetic import grid
for dims in {dims}:
    for precision in {precisions}:
        assert optimise(grid(1000, seed=0, dims=dims), precision).converged
"""
EVERY = ["double", "double-static", "mixed", "mixed-adaptive"]
CASES: dict[str, tuple[list[int], list[str]]] = {
    "a graph in the plane, default": ([2], ["mixed-adaptive"]),
    "a graph in space, default": ([3], ["mixed-adaptive"]),
    "both, in four precisions": ([2, 3], EVERY),
}


def run(program: str, cache: str) -> tuple[float, float]:
    folders = {"NUMBA_CACHE_DIR": f"{cache}/kernels", "PYTHONPYCACHEPREFIX": f"{cache}/code"}
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=variables | folders)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"{'seconds: wall (processor)':<34}{'first use':>18}{'later':>18}")
    for name, (dims, precisions) in CASES.items():
        program = SOLVE.format(dims=dims, precisions=precisions)
        with tempfile.TemporaryDirectory() as cache:
            first = run(program, cache)
            later = [run(program, cache) for _ in range(repeats)]
        wall, processor = (median(each[k] for each in later) for k in (0, 1))
        print(f"{name:<34}{first[0]:>10.1f} ({first[1]:.1f}){wall:>11.2f} ({processor:.2f})", flush=True)


if __name__ == "__main__":
    main()
