"""A small recipe, and a Prefect that leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

_HOME = tempfile.TemporaryDirectory(prefix="thalweg-prefect-")
# Read when Prefect is imported, so before any test is collected.
os.environ["PREFECT_HOME"] = _HOME.name
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Two methods on `level(time, site)`, a thousand days of a tide."""
    time = xr.date_range("2000-01-01", periods=1000, freq="D", use_cftime=False)
    level = np.sin(2 * np.pi * np.arange(1000)[:, None] / 27 + np.arange(4))
    fields = {"level": (("time", "site"), level.astype("float32"), {"units": "m"})}
    xr.Dataset(fields, {"time": time}).to_netcdf(tmp_path / "tide.nc", engine="h5netcdf")
    tree = {
        "name": "tide",
        "experiment": "flows",
        "ingest": {"array": {"path": str(tmp_path / "tide.nc"), "variables": ["level"]}},
        "preprocess": [
            {"windows": {"inputs": 2, "targets": 3}},
            {"split": {"train": ["2000-01-01", "2001-06-30"], "test": ["2001-07-01", "2002-09-26"]}},
        ],
        "train": {"method": "persistence"},
        "evaluate": ["rmse"],
        "store": str(tmp_path / "store"),
    }
    file = tmp_path / "tide.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file
