"""The recipes of PreDiff, on small files laid out as theirs: networks of a few units, one epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import xarray as xr
from thalweg import Registry, scalars
from thalweg.pipeline import execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg_prediff.latent_learner import TINY

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
REGISTRY = Registry.installed()
SIZE = 16
SMALL = ("train.epochs=1", "train.batch=8", "train.accumulate=1")


def tiny(**options: Any) -> list[str]:
    """Overrides: a network of a few units in two phases, or three, that draws in two steps."""
    trains = dict.fromkeys(("autoencoder_train", "alignment_train"))
    own = {**TINY, **trains, "members": 2, "steps": 2, **options}
    return [f"train.method.prediff.{name}={_yaml(each)}" for name, each in own.items()]


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value).lower()


def planned(recipe: str, folder: Path, *overrides: str) -> Plan:
    (plan,) = plans(RECIPES / recipe, overrides=list(overrides), registry=REGISTRY, store=str(folder / "store"))
    return plan


def test_radar_over_trentino(tmp_path: Path) -> None:
    events = {"2016-05-01": 2, "2016-06-01": 1, "2016-07-01": 1}
    count, random = sum(events.values()), np.random.default_rng(0)
    y, x, frame = np.ogrid[0:SIZE, 0:SIZE, 0:25]
    echoes = [
        random.uniform(120, 220) * np.exp(-((y - row) ** 2 + (x - 2 - 0.4 * frame) ** 2) / 20)
        for row in random.uniform(4, SIZE - 4, size=count)
    ]
    times = [pd.date_range(month, periods=25 * each, freq="5min") for month, each in events.items()]
    xr.Dataset(
        {
            "refl": (("time", "y", "x"), np.concatenate([np.moveaxis(each, 2, 0) for each in echoes]).astype("uint8")),
            "sequence": ("time", np.repeat(np.arange(3, dtype="int32"), [25 * each for each in events.values()])),
            "event_start": ("event", np.arange(0, 25 * count, 25, dtype="int32")),
            "event_wet_fraction": ("event", np.full(count, 0.1, "float32")),
            "event_split": ("event", np.array([0] * (count - 1) + [1], "int8")),
        },
        {"time": np.concatenate(times), "y": np.arange(SIZE), "x": np.arange(SIZE)},
    ).to_netcdf(tmp_path / "radar.nc", engine="h5netcdf")
    # So small a decoder cannot make what is asked of it exactly.
    given = (f"ingest.path={tmp_path / 'radar.nc'}", *SMALL, "constrain.exact=null")
    plan = planned("nowcast-taasrad19-prediff.yaml", tmp_path, *given, *tiny())
    assert "after autoencoder, denoiser, alignment (0 of 3 cached)" in plan.text()
    found = scalars(execute(plan, registry=REGISTRY).records())
    assert np.isfinite([found[f"{side}/crps"] for side in ("free", "published")]).all()
    names = [f"{side}/violation/mean-intensity" for side in ("free", "published")]
    assert found[names[0]] != found[names[1]]
    # What draws changes no training.
    again = planned("nowcast-taasrad19-prediff.yaml", tmp_path, *given, *tiny(steps=3, members=3))
    assert "(3 of 3 cached)" in again.text() and not again.steps["train"].cached


def sevir_lr(folder: Path) -> None:
    """CATALOG.csv and three files in the layout of SEVIR-LR: `vil(event, y, x, frame)`, 25 frames of 8 bits."""
    rows: list[dict[str, Any]] = []
    periods = {"2018-05-12 18:30:00": "2018_0101_0630", "2019-03-01 02:00:00": "2019_0101_0430",
               "2019-07-04 23:10:00": "2019_0701_1231"}  # fmt: skip
    y, x, frame = np.ogrid[0:SIZE, 0:SIZE, 0:25]
    for number, (time, period) in enumerate(periods.items()):
        name = f"vil/{time[:4]}/SEVIR_VIL_STORMEVENTS_{period}.h5"
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = 200 * np.exp(-((y - 5 - number) ** 2 + (x - 3 - frame / 3) ** 2) / 12)
        with h5py.File(path, "w") as file:
            file["vil"], file["id"] = image.astype(np.uint8)[None], np.array([f"S{number}"], dtype="S")
        rows.append({
            "id": f"S{number}", "file_name": name, "file_index": 0, "img_type": "vil", "time_utc": time,
            "minute_offsets": ":".join(str(minute) for minute in range(-120, 121, 10)), "event_type": "Hail",
            "llcrnrlat": 30.0, "llcrnrlon": -100.0, "urcrnrlat": 33.5, "urcrnrlon": -96.0, "proj": "",
            "pct_missing": 0.0,
        })  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "CATALOG.csv", index=False)


def test_sevir_lr(tmp_path: Path) -> None:
    sevir_lr(tmp_path)
    overrides = (f"ingest.path={tmp_path}", *SMALL, *tiny(sampler="ddpm"))
    found = scalars(execute(planned("sevir-lr-prediff.yaml", tmp_path, *overrides), registry=REGISTRY).records())
    assert np.isfinite(found["free/crps"]) and "free/csi/mean" in found


def test_bodies_that_keep_their_energy(tmp_path: Path) -> None:
    np.save(tmp_path / "digits.npy", np.full((3, 28, 28), 200, np.uint8))
    plan = planned(
        "nbody-prediff.yaml", tmp_path, f"ingest.nbody-mnist.digits={tmp_path / 'digits.npy'}",
        "ingest.nbody-mnist.sizes=[16,2,3]", *SMALL, *tiny(autoencoder_units=[8], latent=4),
        "constrain.exact=null",
    )  # fmt: skip
    found = scalars(execute(plan, registry=REGISTRY).records())
    assert np.isfinite([value for name, value in found.items() if "crps" in name]).all()
    assert 0 < found["published/violation/energy"] < found["free/violation/energy"]
