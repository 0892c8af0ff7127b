"""Bundle adjustment of the same problems from the same start by `thalweg_slam.adjust` and by Ceres.

Both stop when the cost falls by less than `--tolerance` of itself, or after `--iterations`, and use one thread. They
take different steps, so on windows with outliers they may end in different minima: costs are printed. Times are of
processor, of the solve alone: reading is left out, and so is compiling. Ceres (benchmarks/peers/ceres_bal.cpp,
automatic differentiation, analytic elimination orders) runs where a compiler and libceres-dev are; its rows are
left out otherwise. The last table is of conjugate gradients in one precision of the products after the other.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from thalweg_slam.bundle import Bundle, adjust, read_bal, read_gbp, read_stereo

OURS = {
    "schur, mixed-adaptive": {"precision": "mixed-adaptive"},
    "schur, double": {"precision": "double"},
    "cgnr, mixed-adaptive": {"precision": "mixed-adaptive", "solver": "cgnr"},
    "cgnr, double": {"precision": "double", "solver": "cgnr"},
}
CERES = {
    "Ceres DENSE_SCHUR": ("DENSE_SCHUR", "double"),
    "Ceres DENSE_SCHUR, mixed": ("DENSE_SCHUR", "mixed"),
    "Ceres SPARSE_SCHUR": ("SPARSE_SCHUR", "double"),
    "Ceres CGNR": ("CGNR", "double"),
}


def problems(folder: Path) -> dict[str, Bundle]:
    found = {"BAL 21-11315": read_bal(folder / "bal" / "problem-21-11315-pre.txt.gz")}
    for name in ("fr1desk", "fr1desk_small", "fr1desk_vsmall", "fr1xyz_av", "fr2robot2"):
        found[f"TUM {name}"] = read_gbp(folder / "bal" / f"tum_{name}.txt.gz")
    for name in ("_large", "00s"):
        calibration = folder / "vo_stereo" / ("VO_calibration.txt" if name == "_large" else "VO_calibration00s.txt")
        poses = folder / "vo_stereo" / f"VO_camera_poses{name}.txt"
        factors = folder / "vo_stereo" / f"VO_stereo_factors{name}.txt.gz"
        found[f"stereo {name.strip('_')}"] = read_stereo(factors, poses=poses, calibration=calibration)
    return found


@dataclass(frozen=True)
class Stop:
    """When to."""

    tolerance: float
    iterations: int


def ours(bundle: Bundle, options: dict[str, Any], stop: Stop) -> tuple[float, int, float]:
    start = time.process_time()
    result = adjust(bundle, check=False, tolerance=stop.tolerance, iterations=stop.iterations, **options)
    return time.process_time() - start, result.iterations, result.cost


def ceres(program: Path, file: Path, bundle: Bundle, options: tuple[str, str], stop: Stop) -> tuple[float, int, float]:
    constants = [repr(value) for value in bundle.calibration.tolist()]
    command = [str(program), str(file), bundle.model, *options, repr(stop.tolerance), str(stop.iterations)]
    command += constants
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(printed[0]), int(printed[1]), float(printed[2])


def build(folder: Path) -> Path | None:
    compiler, program = shutil.which("g++"), folder / "ceres_bal"
    if compiler is None:
        return None
    source = Path(__file__).parent / "peers" / "ceres_bal.cpp"
    flags = ["-O3", "-march=native", "-DNDEBUG", "-I/usr/include/eigen3", "-lceres", "-lglog", "-lpthread"]
    done = subprocess.run([compiler, str(source), "-o", str(program), *flags], capture_output=True, check=False)
    return program if done.returncode == 0 else None


def write(bundle: Bundle, file: Path) -> None:
    lines = [f"{len(bundle)} {len(bundle.points)} {len(bundle.observations)}"]
    for (i, j), seen in zip(bundle.observations.tolist(), bundle.measured.tolist(), strict=True):
        lines.append(f"{i} {j} " + " ".join(map(repr, seen)))
    lines += map(repr, bundle.cameras.reshape(-1).tolist())
    lines += map(repr, bundle.points.reshape(-1).tolist())
    file.write_text("\n".join(lines))


def main() -> None:
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    default = os.environ.get("THALWEG_SHARED", str(Path(__file__).resolve().parents[2] / "shared"))
    options.add_argument("--data", type=Path, default=Path(default) / "data" / "slam")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--tolerance", type=float, default=1e-6)
    options.add_argument("--iterations", type=int, default=50)
    options.add_argument("--only", default="", help="problems whose names begin so")
    chosen = options.parse_args()
    stop = Stop(chosen.tolerance, chosen.iterations)
    with tempfile.TemporaryDirectory() as scratch:
        program = build(Path(scratch))
        if program is None:
            print("no Ceres here (a compiler and libceres-dev are needed): its rows are left out")
        for name, bundle in problems(chosen.data).items():
            if not name.startswith(chosen.only):
                continue
            file = Path(scratch) / "problem.txt"
            ways = {label: functools.partial(ours, bundle, picked, stop) for label, picked in OURS.items()}
            if program:
                write(bundle, file)
                for label, picked in CERES.items():
                    ways[label] = functools.partial(ceres, program, file, bundle, picked, stop)
            title = (
                f"{name}: {len(bundle)} cameras, {len(bundle.points)} points, {len(bundle.observations)} observations"
            )
            table(title, ways, chosen.repeats)
        bundle = problems(chosen.data)["BAL 21-11315"]
        ways = {
            f"cgnr, products in {each}": functools.partial(ours, bundle, {"solver": "cgnr", "products": each}, stop)
            for each in ("float64", "float32", "bfloat16", "float16")
        }
        table("BAL 21-11315 by conjugate gradients", ways, chosen.repeats)


def table(title: str, ways: dict[str, functools.partial[tuple[float, int, float]]], repeats: int) -> None:
    """In turn, each as often; ratios are to the first row, of pairs of the same turn."""
    taken: dict[str, list[tuple[float, int, float]]] = {label: [] for label in ways}
    for turn in range(repeats + 1):
        for label, way in ways.items():
            found = way()
            if turn:
                taken[label].append(found)
    first = [each[0] for each in next(iter(taken.values()))]
    print(f"\n{title}\n{'':<34}{'ms':>9}{'ratio':>8}{'least':>8}{'most':>8}{'iterations':>12}{'cost':>16}")
    for label, rows in taken.items():
        ratios = np.array([row[0] for row in rows]) / first
        print(
            f"{label:<34}{1e3 * statistics.median(row[0] for row in rows):>9.1f}{np.median(ratios):>8.2f}"
            f"{ratios.min():>8.2f}{ratios.max():>8.2f}{rows[0][1]:>12}{rows[0][2]:>16.6f}"
        )


if __name__ == "__main__":
    main()
