"""A five-stage run over gigabytes: how time and memory grow, on threads and on two worker processes.

    python benchmarks/growth.py [--gigabytes 1 2 4] [--clusters threads local]

A field of 721 x 360 cells, float32, in NetCDF-4 with one step a chunk, grows in steps. Anomalies of the month,
persistence, RMSE and MAE. Each run is a process of its own. Memory is the largest sum of the resident memory of that
process and its children, sampled every .1 s: pages of libraries that processes share count once for each.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import h5netcdf  # type: ignore[import-untyped]
import numpy as np
import psutil
import yaml

CELLS = (360, 721)
CLUSTERS = {"threads": {"threads": {"threads": 2}}, "local": {"local": {"workers": 2, "threads": 1}}}


def source(path: Path, steps: int) -> None:
    """Months of noise on a season, a step at a time."""
    rng = np.random.default_rng(0)
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": steps, "latitude": CELLS[0], "longitude": CELLS[1]}
        days = np.cumsum(np.tile([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], steps // 12 + 1))[:steps]
        time = file.create_variable("time", ("time",), data=days.astype("f8"))
        time.attrs["units"], time.attrs["calendar"] = "days since 1900-01-01", "noleap"
        for name, size, low, high in (("latitude", CELLS[0], -89.75, 89.75), ("longitude", CELLS[1], 0.0, 359.5)):
            axis = file.create_variable(name, (name,), data=np.linspace(low, high, size))
            axis.attrs["units"] = "degrees_north" if name == "latitude" else "degrees_east"
        field = file.create_variable("t", ("time", "latitude", "longitude"), dtype="f4", chunks=(1, *CELLS))
        field.attrs["units"] = "K"
        noise = rng.standard_normal((8, *CELLS), dtype=np.float32)
        for step in range(steps):
            field[step] = 280 + np.float32(10 * np.sin(step / 12 * 2 * np.pi)) + noise[step % 8]


def recipe(path: Path, folder: Path, steps: int, cluster: str) -> Path:
    years = steps // 12
    half = 1900 + years // 2
    tree = {
        "name": "growth",
        "ingest": {"array": {"path": str(path), "variables": ["t"]}},
        "preprocess": [
            {"anomaly": {"baseline": [1900, half]}},
            {"windows": {"inputs": 2, "targets": 1}},
            {"split": {"train": [1900, half], "test": [half + 1, 1900 + years]}},
        ],
        "train": {"method": "persistence"},
        "evaluate": ["rmse", "mae"],
        "cluster": CLUSTERS[cluster],
    }
    file = folder / f"{cluster}.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def measured(command: list[str]) -> tuple[float, float, str]:
    """Seconds, gigabytes of the largest memory, and what was logged."""
    most, over = 0.0, threading.Event()
    start = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def watch() -> None:
        nonlocal most
        while not over.wait(0.1):
            total = 0
            try:
                family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
                for each in family:
                    total += each.memory_info().rss
            except psutil.Error:
                continue
            most = max(most, total / 2**30)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, said = running.communicate()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    if running.returncode:
        raise SystemExit(said)
    return seconds, most, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--clusters", nargs="+", choices=CLUSTERS, default=list(CLUSTERS))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="thalweg-growth-"))
    try:
        print(f"{'GB':>4}  {'on':<8}{'s':>7}{'GB held':>9}  stages")
        for size in given.gigabytes:
            steps = max(48, round(size * 2**30 / (4 * CELLS[0] * CELLS[1])) // 12 * 12)
            path = folder / "source.nc"
            source(path, steps)
            for cluster in given.clusters:
                store = folder / "store"
                words = ["run", str(recipe(path, folder, steps, cluster)), "--store", str(store), "-v"]
                seconds, held, said = measured([sys.executable, "-m", "thalweg", *words])
                stages = [line.split(": ") for line in said.splitlines() if line.endswith(" s") and ": " in line]
                each = ", ".join(f"{name.split()[-2]} {took}" for name, took in (one[-2:] for one in stages))
                print(f"{size:>4g}  {cluster:<8}{seconds:>7.1f}{held:>9.2f}  {each}", flush=True)
                shutil.rmtree(store)
            path.unlink()
    finally:
        shutil.rmtree(folder)


main()
