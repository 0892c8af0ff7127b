"""Memory that ICAR-ENSO's training set takes while it is learned from: all 32 simulations, a synthetic archive.

    python benchmarks/residence.py [--batches 0]

An archive of the real size (4,645 rows of 36 months on 24 x 72 cells, float32, 1.2 GB: slow waves and noise) goes
through ingest and preprocess of recipes/icar-enso.yaml. A process of its own then reads every batch of an epoch of the
52,350 training windows (or `--batches` of them) as a training does, decoded into tensors' memory. What counts is its
largest resident memory less that before the store was opened, by Linux's own account: pages of mapped chunks count,
too, as do libraries that opening a store loads. Beside it the bytes of all windows cut out and held at once, as the
published code has them, by arithmetic.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import h5netcdf  # type: ignore[import-untyped]
import numpy as np
from thalweg import Registry
from thalweg.learning.loader import Loader
from thalweg.learning.order import batches
from thalweg.learning.reader import reader_of
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.samples.prepared import Prepared

BATCH = 64
RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "icar-enso.yaml"


def archive(folder: Path) -> None:
    """CMIP_train.nc, a simulation at a time."""
    random = np.random.default_rng(0)
    lat, lon = np.arange(-55.0, 61, 5), np.arange(0.0, 360, 5)
    with h5netcdf.File(folder / "CMIP_train.nc", "w") as file:
        file.dimensions = {"year": 4645, "month": 36, "lat": len(lat), "lon": len(lon)}
        file.create_variable("lat", ("lat",), data=lat)
        file.create_variable("lon", ("lon",), data=lon)
        sst = file.create_variable("sst", ("year", "month", "lat", "lon"), "f4")
        row = 0
        for years in [151] * 15 + [140] * 17:
            series = simulation(random, 12 * years + 24, lat, lon)
            for year in range(years):
                sst[row + year] = series[12 * year : 12 * year + 36]
            row += years


def simulation(random: np.random.Generator, months: int, lat: Any, lon: Any) -> Any:
    time = 2 * np.pi * np.arange(months, dtype=np.float32)[:, None, None]
    field = 0.2 * random.standard_normal((months, len(lat), len(lon)), dtype=np.float32)
    for _ in range(4):
        phase = random.uniform(0, 2 * np.pi) + np.radians(lat * random.uniform(-2, 2))[:, None] + np.radians(lon)
        field += np.sin(time / np.float32(random.uniform(24, 80)) + phase.astype(np.float32))
    return field


def read(prepared: Prepared, shuffle: Literal["blocks", "windows"], most: int) -> str:
    """An epoch, in this process."""
    import torch

    memory = resident("VmRSS")
    samples = prepared.samples("train")
    reader: Any = reader_of(samples, batch=BATCH)
    order = batches(reader, batch=BATCH, seed=0, epoch=0, shuffle=shuffle)[: most or None]
    loader = Loader(reader, largest=BATCH)
    count = sum(len(torch.from_numpy(each.inputs[name])) for each in loader(order) for name in each.inputs)
    used = resident("VmHWM") - memory
    return (
        f"| {shuffle} | {count} | {used / 1e6:.0f} MB | {used / reader.nbytes(BATCH):.1f} | "
        f"{52_350 * 26 * 24 * 48 * 4 / 1e6:.0f} MB | {loader.megabytes_per_second:.0f} MB/s | {memory / 1e6:.0f} MB |"
    )


def resident(which: Literal["VmRSS", "VmHWM"]) -> int:
    """Bytes now, or at most since the process began."""
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found, "Linux keeps this account"
    return int(found[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--batches", type=int, default=0, help="0: all of an epoch")
    parser.add_argument("--read", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        *urls, shuffle = given.read
        sys.stdout.write(f"{read(Prepared(*urls), shuffle, given.batches)}\n")
        return
    sys.stdout.write("| order | windows | memory | in batches | all windows at once | reading | process before |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        archive(Path(folder))
        registry = Registry.installed()
        (plan,) = plans(
            RECIPE, overrides=[f"ingest.path={folder}"], registry=registry, store=str(Path(folder) / "store")
        )
        prepared = execute(plan, registry=registry, to="preprocess").prepared
        (Path(folder) / "CMIP_train.nc").unlink()
        for shuffle in ("windows", "blocks"):
            urls = [prepared.ingest, prepared.preprocess, prepared.index]
            words = ["--batches", str(given.batches), "--read", *urls]
            subprocess.run([sys.executable, __file__, *words, shuffle], check=True)


if __name__ == "__main__":
    main()
