"""The recipes of ensembles of nowcasts, on a small file laid out as theirs, and the numbers in them on the real one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from thalweg import Registry, Samples, scalars
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.recipes.recipe import Recipe
from thalweg_earth.datasets.taasrad19 import TAASRAD19
from thalweg_earth.laws.mean_intensity import fitted_walk
from thalweg_earth.transforms.excess import Excess
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
REGISTRY = Registry.installed()
SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
REAL = SHARED / "data" / "radar" / "taasrad19_64_2015-10_2016-07.nc"

EVENTS = {"2016-05-01": 5, "2016-06-01": 1, "2016-07-01": 2}
SIZE = 16


@pytest.fixture(scope="module")
def radar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of 25 frames, in each an echo that crosses the field; a month is one sequence."""
    events, random = sum(EVENTS.values()), np.random.default_rng(0)
    y, x, frame = np.ogrid[0:SIZE, 0:SIZE, 0:25]
    echoes = [
        random.uniform(120, 220) * np.exp(-((y - row) ** 2 + (x - 2 - 0.4 * frame) ** 2) / 20)
        for row in random.uniform(4, SIZE - 4, size=events)
    ]
    times = [pd.date_range(month, periods=25 * count, freq="5min") for month, count in EVENTS.items()]
    file = tmp_path_factory.mktemp("radar") / "radar.nc"
    xr.Dataset(
        {
            "refl": (("time", "y", "x"), np.concatenate([np.moveaxis(each, 2, 0) for each in echoes]).astype("uint8")),
            "sequence": ("time", np.repeat(np.arange(3, dtype="int32"), [25 * count for count in EVENTS.values()])),
            "event_start": ("event", np.arange(0, 25 * events, 25, dtype="int32")),
            "event_wet_fraction": ("event", np.full(events, 0.1, "float32")),
            "event_split": ("event", np.array([0] * (events - 1) + [1], "int8")),
        },
        {"time": np.concatenate(times), "y": np.arange(SIZE), "x": np.arange(SIZE)},
    ).to_netcdf(file, engine="h5netcdf")
    return file


def planned(recipe: str, radar: Path, store: Path, *overrides: str):
    path = f"ingest.path={radar}"
    return plans(RECIPES / recipe, overrides=[path, *overrides], registry=REGISTRY, store=str(store))


def test_every_row_of_the_table_is_planned(radar: Path, tmp_path: Path) -> None:
    made = planned("nowcast-taasrad19-ensemble.yaml", radar, tmp_path)
    assert [each.method.name for each in made] == [
        "persistence",
        "advection",
        "perturbed-advection",
        "deep-ensemble",
        "crps-nowcast",
        "flow-nowcast",
    ]


def test_a_flow_is_held_to_the_mean_intensity_while_it_draws(radar: Path, tmp_path: Path) -> None:
    small = "train.method={flow-nowcast: {members: 3, dry: 0, gap: 18, steps: 2, units: [8], blocks: 1}}"
    few = "evaluate=[{crps: {estimator: fair}}]"
    (plan,) = planned("nowcast-taasrad19-ensemble-held.yaml", radar, tmp_path, small, few, "train.epochs=1")
    found = scalars(execute(plan, registry=REGISTRY).records())
    # The laws of the variants are numbered in their order.
    assert found["mean/violation/mean-intensity/largest"] < 1e-5 < found["free/violation/mean-intensity/largest"]
    assert found["more/violation/mean-intensity-2/largest"] < 1e-5 < found["free/violation/mean-intensity-2/largest"]
    assert 1e-2 < found["uncertain/violation/mean-intensity"] < found["free/violation/mean-intensity"]
    assert np.isfinite([value for name, value in found.items() if name.endswith("/crps")]).all()


@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL.name}, which is not in this checkout")
def test_the_series_is_that_of_october_to_may() -> None:
    data, none = TAASRAD19(path=str(REAL), minimum_wet_fraction=0.03).open(), xr.Dataset()
    for each in (
        Excess(variable="reflectivity", over=73, to="rain"),
        Windows(inputs=13, targets=12, within="sequence", starts="event_start", observe=("rain",), predict=("rain",)),
        Split(train=("2015-10", "2016-05"), validate=("2016-06", "2016-06"), test=("2016-07", "2016-07")),
    ):
        data = each.apply(data, none)
    train = Samples.of(data, "train")
    every = slice(0, len(train))
    means = [each.rain.mean(("y", "x"), dtype="float64").values for each in (train.inputs(every), train.truth(every))]
    step, memory = fitted_walk(np.concatenate(means, 1), leads=12)
    recipe = Recipe.load(RECIPES / "nowcast-taasrad19-ensemble-held.yaml")
    for holds in recipe.variants.values():
        law = holds[0].hold["mean-intensity"]
        assert law["step"] == round(step, 2) and law["memory"] == round(memory, 2)
