"""The recipes of networks on real data, on small files laid out as theirs: their own sizes of network, a few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from thalweg import Registry, scalars
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
REGISTRY = Registry.installed()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not {"earthformer", "predrnn", "deep-ensemble"} <= REGISTRY.parts("methods").keys(),
        reason="needs thalweg_earthformer, thalweg_spatiotemporal and thalweg_ensembles",
    ),
]

EVENTS = {"2016-05-01": 4, "2016-06-01": 1, "2016-07-01": 1}


def radar(file: Path, *, size: int = 32) -> None:
    """Events of 25 frames, in each an echo that moves a cell per frame; a month is one sequence."""
    events = sum(EVENTS.values())
    random = np.random.default_rng(0)
    y, x, frame = np.ogrid[0:size, 0:size, 0:25]
    echoes = [
        255 * np.exp(-((y - row) ** 2 + (x - 3 - frame) ** 2) / 12) for row in random.uniform(8, size - 8, size=events)
    ]
    times = [pd.date_range(month, periods=25 * count, freq="5min") for month, count in EVENTS.items()]
    sequence = np.repeat(np.arange(len(EVENTS), dtype="int32"), [25 * count for count in EVENTS.values()])
    xr.Dataset(
        {
            "refl": (("time", "y", "x"), np.concatenate([np.moveaxis(each, 2, 0) for each in echoes]).astype("uint8")),
            "sequence": ("time", sequence),
            "event_start": ("event", np.arange(0, 25 * events, 25, dtype="int32")),
            "event_wet_fraction": ("event", np.full(events, 0.1, "float32")),
            "event_split": ("event", np.array([0] * (events - 1) + [1], "int8")),
        },
        {"time": np.concatenate(times), "y": np.arange(size), "x": np.arange(size)},
    ).to_netcdf(file, engine="h5netcdf")


def temperatures(file: Path) -> None:
    """A standing wave of four years, under noise."""
    time = pd.date_range("1971-01-01", "1990-12-01", freq="MS")
    lat, lon = np.arange(-27.5, 30, 5), np.arange(182.5, 290, 5)
    shape = np.exp(-((lat[:, None] / 10) ** 2) - ((lon - 220) / 40) ** 2)
    noise = np.random.default_rng(0).normal(scale=0.2, size=(len(time), *shape.shape))
    values = np.sin(2 * np.pi * np.arange(len(time)) / 48)[:, None, None] * shape + noise
    xr.Dataset(
        {"ssta": (("time", "lat", "lon"), values.astype("float32"), {"units": "degC"})},
        {"time": time, "lat": lat, "lon": lon},
    ).to_netcdf(file, engine="h5netcdf")


def scores(recipe: str, folder: Path, *overrides: str) -> dict[str, dict[str, float]]:
    made = plans(RECIPES / recipe, overrides=list(overrides), registry=REGISTRY, store=str(folder / "store"))
    return {
        f"{position} {plan.method.name}": scalars(execute(plan, registry=REGISTRY).records())
        for position, plan in enumerate(made)
    }


def test_nowcasts_begin_as_extrapolation(tmp_path: Path) -> None:
    """A few steps of each network: what moves steadily is carried on, where persistence leaves it behind."""
    radar(tmp_path / "radar.nc")
    path = f"ingest.path={tmp_path / 'radar.nc'}"
    # Without bfloat16, which processors without it emulate slowly.
    found = scores("nowcast-taasrad19-learned.yaml", tmp_path, path, "train.precision=fp32")
    assert [name.split()[1] for name in found] == ["persistence", "advection", "moving", "moving", "moving"]
    found |= scores("nowcast-taasrad19-earthformer.yaml", tmp_path, path, "train.batch=8")
    persistence = found["0 persistence"]["free/mse"]
    assert all(numbers["free/mse"] < 0.5 * persistence for name, numbers in found.items() if "persistence" not in name)
    assert all(np.isfinite(list(numbers.values())).all() for numbers in found.values())


def test_ensembles_learn_a_wave(tmp_path: Path) -> None:
    temperatures(tmp_path / "sst.nc")
    found = scores(
        "enso-kaplan-learned.yaml",
        tmp_path,
        f"ingest.kaplan.path={tmp_path / 'sst.nc'}",
        "train.epochs=3",
        "preprocess[0].baseline=[1971, 1982]",
        "preprocess[3]={split: {train: [1971, 1982], validate: [1983, 1985], test: [1986, 1990]}}",
    )
    assert [name.split()[1] for name in found] == ["seasonal-ridge", "deep-ensemble", "multi-model"]
    assert all(numbers["free/nino34-skill"] > 0.5 for numbers in found.values())
