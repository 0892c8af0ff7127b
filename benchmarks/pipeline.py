"""Overhead of the pipeline: five stages of trivial parts, and a plain script that reads and writes the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

os.environ["THALWEG_TRACKING"] = "off"

from _timing import in_turn, report
from thalweg import Registry
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="thalweg-bench-"))
    source = folder / "source.nc"
    rng = np.random.default_rng(0)
    time = xr.date_range("1950-01-01", periods=600, freq="MS", use_cftime=False)
    values = rng.standard_normal((600, 24, 48)).astype("float32")
    coords = {"time": time, "latitude": np.linspace(-60, 60, 24), "longitude": np.arange(48) * 7.5}
    xr.Dataset({"field": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords).to_netcdf(source)
    recipe = folder / "bench.yaml"
    recipe.write_text(
        yaml.safe_dump(
            {
                "name": "bench",
                "ingest": {"array": {"path": str(source), "variables": ["field"]}},
                "preprocess": [
                    {"anomaly": {"over": "time.month", "baseline": [1950, 1980]}},
                    {"windows": {"inputs": 3, "targets": 3}},
                    {"split": {"train": [1950, 1980], "test": [1981, 1999]}},
                ],
                "train": {"method": "persistence"},
                "evaluate": ["rmse"],
            }
        )
    )
    registry = Registry.installed()
    count = 0

    def pipeline() -> None:
        nonlocal count
        count += 1
        (plan,) = plans(recipe, registry=registry, store=str(folder / f"store-{count}"))
        execute(plan, registry=registry)

    def script() -> None:
        target = folder / "plain"
        shutil.rmtree(target, ignore_errors=True)
        data = xr.open_dataset(source)
        data.to_zarr(target / "ingest", consolidated=False)
        raw = xr.open_zarr(target / "ingest", consolidated=False, chunks=None).load()
        climate = raw.sel(time=slice("1950", "1980")).groupby("time.month").mean()
        anomaly = (raw.groupby("time.month") - climate).drop_vars("month")
        anomaly.to_zarr(target / "preprocess", consolidated=False)
        field = xr.open_zarr(target / "preprocess", consolidated=False, chunks=None)["field"].values
        starts = np.arange(372, 600 - 5)
        estimate = np.repeat(field[starts + 2][:, None], 3, axis=1)
        xr.Dataset({"field": (("sample", "lead", "y", "x"), estimate)}).to_zarr(target / "estimate", consolidated=False)
        estimate = xr.open_zarr(target / "estimate", consolidated=False, chunks=None)["field"].values
        truth = np.stack([field[start + 3 : start + 6] for start in starts])
        error = np.sqrt(np.mean((estimate.astype("f8") - truth) ** 2, axis=(0, 2, 3)))
        (target / "scores.txt").write_text(str(error))

    try:
        seconds = in_turn({"plain script": script, "five stages, nothing cached": pipeline})
        report(seconds, against="plain script")
        extra = [a - b for a, b in zip(seconds["five stages, nothing cached"], seconds["plain script"], strict=True)]
        print(f"overhead: {sorted(extra)[len(extra) // 2]:.2f} s (median of {len(extra)}; wanted below .6 s)")
    finally:
        shutil.rmtree(folder)


main()
