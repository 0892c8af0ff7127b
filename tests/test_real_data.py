"""The recipes on decades of real data, against the numbers of their README."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg import Registry, curves, scalars
from thalweg.pipeline import Execution, execute
from thalweg.recipes.planning import plans

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("THALWEG_SHARED", ROOT.parent / "shared")) / "data"
REGISTRY = Registry.installed()

pytestmark = pytest.mark.slow


def results(recipe: str, file: Path, store: Path, *overrides: str) -> dict[str, Execution]:
    if not file.is_file():
        pytest.skip(f"needs {file.name} in {DATA}")
    said = [f"ingest.path={file}", *overrides]
    made = plans(ROOT / "recipes" / recipe, overrides=said, registry=REGISTRY, store=str(store))
    return {plan.method.name: execute(plan, registry=REGISTRY) for plan in made}


# Correlation of the three-month Nino3.4 index at leads 1 to 12, printed to two digits beside the data.
ENSO = {
    "persistence": [0.80, 0.68, 0.55, 0.43, 0.32, 0.21, 0.12, 0.05, -0.01, -0.05, -0.09, -0.13],
    "damped-persistence": [0.86, 0.78, 0.69, 0.59, 0.48, 0.36, 0.25, 0.15, 0.08, 0.03, 0.03, 0.09],
    "linear-inverse-model": [0.91, 0.84, 0.75, 0.66, 0.57, 0.49, 0.40, 0.32, 0.24, 0.16, 0.09, 0.04],
    "seasonal-ridge": [0.87, 0.80, 0.73, 0.66, 0.58, 0.51, 0.45, 0.39, 0.35, 0.31, 0.27, 0.23],
}


def test_enso_kaplan(tmp_path: Path) -> None:
    found = results("enso-kaplan.yaml", DATA / "sst" / "kaplan_sst_anom_5deg_1856_2014.nc", tmp_path)
    for method, expected in ENSO.items():
        curve = curves(found[method].records())["free/nino34-skill/lead"]
        np.testing.assert_allclose([curve[lead] for lead in range(1, 13)], expected, atol=0.02)


def test_nowcast_taasrad19(tmp_path: Path) -> None:
    """Persistence as numpy computes it from the file; advection beats it. The printed row is of 88 windows.

    The file's own wet fractions choose 87 windows at 3 %, so the printed row is met to .001, its MSE to .0002.
    """
    file = DATA / "radar" / "taasrad19_64_2015-10_2016-07.nc"
    found = {name: scalars(each.records()) for name, each in results("nowcast-taasrad19.yaml", file, tmp_path).items()}
    thresholds = [16, 74, 133, 160, 181, 219]
    data = xr.open_dataset(file, engine="h5netcdf")
    chosen = (data["event_split"].values == 1) & (data["event_wet_fraction"].values >= np.float32(0.03))
    frames, starts = data["refl"].values, data["event_start"].values[chosen]
    last = np.stack([frames[start + 12] for start in starts])[:, None]
    truth = np.stack([frames[start + 13 : start + 25] for start in starts])
    said = [np.broadcast_to(last >= threshold, truth.shape) for threshold in thresholds]
    was = [truth >= threshold for threshold in thresholds]
    csi = [(s & w).sum() / (s | w).sum() for s, w in zip(said, was, strict=True)]
    mse = np.mean((last.astype(float) - truth) ** 2) / 255**2
    got = [found["persistence"][f"free/csi/{threshold}"] for threshold in thresholds]
    np.testing.assert_allclose(got, csi, rtol=1e-12)
    assert found["persistence"]["free/csi/mean"] == pytest.approx(np.mean(csi), rel=1e-12)
    assert found["persistence"]["free/mse"] == pytest.approx(mse, rel=1e-12)
    np.testing.assert_allclose(got, [0.537, 0.389, 0.171, 0.101, 0.069, 0.032], atol=0.0011)
    np.testing.assert_allclose([np.mean(csi), mse], [0.2165, 0.01473], atol=0.0002)
    assert found["advection"]["free/csi/mean"] > found["persistence"]["free/csi/mean"] + 0.05
    assert found["advection"]["free/mse"] < 0.6 * found["persistence"]["free/mse"]


def test_downscaling_taasrad19(tmp_path: Path) -> None:
    """Interpolation that keeps the block means is nearer the rain than one that does not, or than the means alone.

    Of the first nine days of July.
    """
    file = DATA / "radar" / "taasrad19_64_2015-10_2016-07.nc"
    week = [
        "preprocess[0]={select: {time: [2016-06-20, 2016-07-09]}}",
        "preprocess[3]={split: {validate: [2016-06, 2016-06], test: [2016-07-01, 2016-07-09]}}",
    ]
    (found,) = results("downscaling-taasrad19-held.yaml", file, tmp_path, *week).values()
    numbers = scalars(found.records())
    assert numbers["free/violation/block-mean"] > 0.01
    assert numbers["held/violation/block-mean/largest"] < 1e-5
    data = xr.open_dataset(file, engine="h5netcdf").sel(time=slice("2016-07-01", "2016-07-09"))
    dbz = data["refl"].values.astype(np.float32) * np.float32(0.20588235)
    rain = np.where(dbz >= 10, (10 ** (dbz / 10) / 200) ** (1 / 1.6), 0.0)
    blocks = rain.reshape(-1, 16, 4, 16, 4)
    alone = np.mean((blocks - blocks.mean((2, 4), keepdims=True)) ** 2)
    assert numbers["held/mse"] < numbers["free/mse"]
    assert numbers["held/mse"] < alone
    assert numbers["held/csi/mean"] > numbers["free/csi/mean"] + 0.01


def test_nowcast_taasrad19_held(tmp_path: Path) -> None:
    """The budget is kept to rounding; it takes from the squared error, and little from the CSI.

    Of the first nine days of July; the README has the whole month.
    """
    file = DATA / "radar" / "taasrad19_64_2015-10_2016-07.nc"
    week = "preprocess[2]={split: {train: [2015-10, 2016-05], test: [2016-07-01, 2016-07-09]}}"
    (found,) = results("nowcast-taasrad19-held.yaml", file, tmp_path, week).values()
    numbers = scalars(found.records())
    assert numbers["held/violation/advection-budget"] < 1e-7 * numbers["free/violation/advection-budget"]
    assert numbers["held/violation/nonnegative/largest"] == 0.0
    assert numbers["held/mse"] < numbers["free/mse"]
    assert numbers["held/csi/mean"] > numbers["free/csi/mean"] - 0.01
