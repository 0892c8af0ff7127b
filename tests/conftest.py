"""A small world for the tests: a wave that travels, a recipe on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")

Recipes = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TRACKING", "off")


@pytest.fixture
def wave(tmp_path: Path) -> Path:
    """A NetCDF file: `temperature(time, latitude, longitude)`, degC, ten years of months, a wave and noise."""
    rng = np.random.default_rng(7)
    months = np.arange(120)
    latitude, longitude = np.linspace(-20, 20, 5), np.arange(0.0, 360.0, 45.0)
    phase = 2 * np.pi * (months[:, None, None] / 17 - longitude / 360)
    field = np.cos(phase) * np.cos(np.radians(latitude))[None, :, None] + 0.1 * rng.standard_normal((120, 5, 8))
    time = xr.date_range("2000-01-01", periods=120, freq="MS", use_cftime=False)
    data = xr.Dataset(
        {
            "temperature": (
                ("time", "latitude", "longitude"),
                field.astype("float32"),
                {"units": "degC", "valid_range": [-5.0, 5.0]},
            )
        },
        {
            "time": time,
            "latitude": ("latitude", latitude, {"units": "degrees_north"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )
    file = tmp_path / "wave.nc"
    data.to_netcdf(file, engine="h5netcdf")
    return file


@pytest.fixture
def recipe(tmp_path: Path, wave: Path) -> Recipes:
    """Writes a recipe on the wave; keywords replace sections."""

    def write(name: str = "wave", **sections: Any) -> Path:
        tree = {
            "name": name,
            "experiment": "tests",
            "ingest": {"array": {"path": str(wave), "variables": ["temperature"]}},
            "preprocess": [
                {"anomaly": {"over": "time.month", "baseline": [2000, 2005]}},
                {"windows": {"inputs": 3, "targets": 4}},
                {"split": {"train": [2000, 2005], "test": [2006, 2009]}},
            ],
            "train": {"method": {"linear-inverse-model": {"modes": 3, "lag": 1}}},
            "constrain": [
                {"hold": {"area-mean": {"variable": "temperature", "target": "last-input"}}, "by": "additive"}
            ],
            "evaluate": ["rmse", {"mae": {}}],
            **sections,
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(
            yaml.safe_dump({key: value for key, value in tree.items() if value is not None}, sort_keys=False)
        )
        return file

    return write
