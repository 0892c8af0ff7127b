"""The recipes of published trainings, on small trees laid out as the archives are: only paths and sizes are changed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors import safe_open
from thalweg import Registry, scalars
from thalweg.commands.cli import app
from thalweg.errors import RecipeError
from thalweg.learning import TrainOptions
from thalweg.pipeline import execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg.recipes.recipe import Recipe
from typer.testing import CliRunner, Result

ROOT = Path(__file__).resolve().parents[1]
RECIPES, GOLDEN = ROOT / "recipes", ROOT / "tests" / "golden"
REGISTRY = Registry.installed()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("thalweg_earthformer") is None, reason="needs thalweg_earthformer"),
]

THRESHOLDS = (16, 74, 133, 160, 181, 219)
PERIODS = {"2018-05-12 18:30:00": "vil/2018/SEVIR_VIL_STORMEVENTS_2018_0101_0630.h5",
           "2019-03-01 02:00:00": "vil/2019/SEVIR_VIL_RANDOMEVENTS_2019_0101_0430.h5",
           "2019-07-04 23:10:00": "vil/2019/SEVIR_VIL_STORMEVENTS_2019_0701_1231.h5"}  # fmt: skip
"""A time of training, validation and test, and the file that holds it."""


def sevir(folder: Path, *, events: int = 2, size: int = 24) -> None:
    """CATALOG.csv and three files of radar, `vil(event, y, x, frame)`: blobs that move east, `events` in each file."""
    rows: list[dict[str, Any]] = []
    random = np.random.default_rng(0)
    y, x, frame = np.ogrid[0:size, 0:size, 0:49]
    for time, name in PERIODS.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        centre = random.uniform(size / 4, 3 * size / 4, (events, 2))
        images = [255 * np.exp(-((y - a) ** 2 + (x - b - frame / 10) ** 2) / 20) for a, b in centre]
        names = [f"{'R' if 'RANDOM' in name else 'S'}{len(rows) + i:06d}" for i in range(events)]
        with h5py.File(path, "w") as file:
            file["vil"] = np.stack(images).astype(np.uint8)
            file["id"] = np.array(names, dtype="S")
        rows += [
            {
                "id": each, "file_name": name, "file_index": i, "img_type": "vil", "time_utc": time,
                "minute_offsets": ":".join(str(minute) for minute in range(-120, 121, 5)), "episode_id": 1.0,
                "event_id": 1.0, "event_type": "Hail" if each[0] == "S" else "", "llcrnrlat": 30.0,
                "llcrnrlon": -100.0, "urcrnrlat": 33.5, "urcrnrlon": -96.0, "proj": "", "size_x": size, "size_y": size,
                "height_m": 384000.0, "width_m": 384000.0, "data_min": 0.0, "data_max": 255.0, "pct_missing": 0.0,
            }
            for i, each in enumerate(names)
        ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "CATALOG.csv", index=False)


def icar_enso(folder: Path) -> None:
    """All 4,645 rows of 36 months on a grid of 3 x 12 cells; a wave of four years, of another phase in each model."""
    month = np.arange(36)
    rows = [
        0.3 * model + 2 * np.pi * (12 * year + month) / 48
        for model, years in enumerate([151] * 15 + [140] * 17)
        for year in range(years)
    ]
    lat, lon = np.array([-5.0, 0, 5]), np.arange(0.0, 360, 30)
    phase = np.array(rows, dtype=np.float32)[:, :, None, None] + np.radians(lon).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal((*phase.shape[:2], 3, 12), dtype=np.float32)
    dims = ("year", "month", "lat", "lon")
    sst = xr.Dataset({"sst": (dims, np.sin(phase) + 0.1 * noise)}, {"lat": lat, "lon": lon})
    nino = sst["sst"].sel(lon=[210, 240]).mean(("lat", "lon"))
    sst.to_netcdf(folder / "CMIP_train.nc", engine="h5netcdf")
    nino.to_dataset(name="nino").to_netcdf(folder / "CMIP_label.nc", engine="h5netcdf")


def digits(folder: Path) -> None:
    """An IDX file, as MNIST's."""
    images = np.zeros((8, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[6:22, 8 : 12 + number] = 200
    content = b"\x00\x00\x08\x03" + np.array(images.shape, ">i4").tobytes() + images.tobytes()
    (folder / "train-images-idx3-ubyte").write_bytes(content)


SMALL = (
    "train.method.units=16", "train.method.heads=2", "train.method.depth=[1,1]", "train.epochs=2",
    "train.batch=2", "train.accumulate=1",
)  # fmt: skip
SKILL = {"free/nino34-skill", "free/nino34-skill/icar", "free/mse"}
CASES: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...], set[str]]] = {
    "sevir": (sevir, "ingest.path=TREE", (), {"free/mse", *(f"free/csi/{each}" for each in (*THRESHOLDS, "mean"))}),
    "icar-enso": (
        icar_enso,
        "ingest.path=TREE",
        ("preprocess[0].stride=500", "train.batch=16", "train.validate_every=1"),
        SKILL,
    ),
    "nbody-mnist": (
        digits,
        "ingest.digits=TREE/train-images-idx3-ubyte",
        ("ingest.sizes=[4,2,2]",),
        {"free/frame-mse", "free/frame-mae", "free/ssim"},
    ),
}
CASES |= {f"{name}-published": CASES[name] for name in ("sevir", "icar-enso")}


def overrides(name: str, folder: Path, *more: str) -> list[str]:
    """With the tree made."""
    make, path, sizes, _ = CASES[name]
    tree = folder / "tree"
    if not tree.exists():
        tree.mkdir()
        make(tree)
    return [path.replace("TREE", str(tree)), *SMALL, *sizes, *more]


def planned(name: str, folder: Path, *more: str) -> Plan:
    given = overrides(name, folder, *more)
    (plan,) = plans(RECIPES / f"{name}.yaml", overrides=given, registry=REGISTRY, store=str(folder / "store"))
    return plan


def test_those_as_published_are_planned(tmp_path: Path) -> None:
    """They differ in what a training of full length does."""
    for name in ("sevir-published", "icar-enso-published"):
        (tmp_path / name).mkdir()
        assert planned(name, tmp_path / name).method.name == "earthformer"


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("-published")])
def test_a_recipe_runs_from_end_to_end_by_changing_a_path(name: str, tmp_path: Path) -> None:
    done = execute(planned(name, tmp_path), registry=REGISTRY)
    numbers = scalars(done.records())
    assert CASES[name][3] <= set(numbers)
    assert all(np.isfinite(numbers[each]) for each in CASES[name][3])


# ---- the schedules


def schedule(name: str) -> tuple[TrainOptions, list[float]]:
    recipe = Recipe.load(RECIPES / f"{name}.yaml")
    given = {key: value for key, value in recipe.train.items() if key not in ("method", "judge")}
    options = TrainOptions.of(given, defaults={})
    steps = {"sevir": 35_718, "icar": 52_350, "nbody": 20_000}[name.split("-")[0]] * options.epochs // options.batch
    return options, [options.learning_rate_at(step, steps=steps) for step in range(steps)]


@pytest.mark.parametrize("name", ["sevir", "icar-enso", "nbody-mnist"])
def test_a_schedule_rises_for_a_fifth_and_falls_to_a_thousandth(name: str) -> None:
    options, rates = schedule(name)
    top = int(np.argmax(rates))
    assert top == round(0.2 * len(rates))
    assert rates[0] == 0
    assert rates[top] == options.learning_rate == {"icar-enso": 1e-4}.get(name, 1e-3)
    assert rates[-1] == pytest.approx(1e-3 * options.learning_rate, rel=1e-3)
    assert (np.diff(rates[top:]) < 0).all()


def test_the_published_schedule_of_sevir_is_half_as_long() -> None:
    """At its lowest in epoch 50, back at the top in epoch 90, as torch's own schedulers give with 55,809 steps."""
    options, rates = schedule("sevir-published")
    epoch = 35_718 / options.batch
    assert int(np.argmax(rates)) == 11_162
    assert rates[55_809] == pytest.approx(1e-6)
    assert rates[int(90 * epoch)] == pytest.approx(1e-3, rel=1e-3)


def test_published_recipes_differ_where_they_say() -> None:
    for name, changed in (
        ("sevir", {"schedule_steps", "shuffle"}),
        ("icar-enso", {"schedule_steps", "choose"}),
    ):
        recipe, published = (Recipe.load(RECIPES / f"{each}.yaml") for each in (name, f"{name}-published"))
        assert recipe.model_copy(update={"train": {}, "name": "", "file": ""}) == published.model_copy(
            update={"train": {}, "name": "", "file": ""}
        )
        told = {key for key, value in published.train.items() if value != recipe.train.get(key)}
        assert told == changed | {"method"}
        (mine,), (theirs,) = recipe.train["method"].values(), published.train["method"].values()
        assert theirs == {**mine, "compat": True}


# ---- what goes wrong, as a user sees it


def golden(name: str, text: str, folder: Path) -> None:
    """`REGOLD=1 pytest` writes the texts anew: read them before you commit them."""
    text = re.sub(r"[0-9a-f]{12,}", "...", text.replace(str(folder), "."))
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("REGOLD"):
        file.write_text(text)
    assert text == file.read_text()


def run(name: str, folder: Path, *more: str) -> Result:
    given = [word for each in overrides(name, folder, *more) for word in ("--set", each)]
    words = ["run", str(RECIPES / f"{name}.yaml"), "--store", str(folder / "store"), "--to", "train", *given]
    return CliRunner().invoke(app, words)


def errors(done: Result) -> str:
    lines = done.stderr.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if re.match(r"\w+Error: ", line))
    return "".join(lines[first:])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("sevir", "preprocess[1].train=[null, 2019-02-01]"),
        ("icar-enso", "preprocess[1].train=[0, 30]"),
        ("icar-enso", "preprocess[1]={split: {by: window_start, train: [0, 999], test: [1000, 1679]}}"),
        ("nbody-mnist", "preprocess[1].validate=[0, 1]"),
    ],
)
def test_a_test_that_is_learned_from_is_refused_by_the_plan(name: str, split: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"overlap|share \d+ steps") as caught:
        planned(name, tmp_path, "preprocess[0].stride=12", split)
    assert caught.value.advice
    assert not (tmp_path / "store").exists()


def test_a_training_that_breaks_names_its_batch_and_refuses_strange_weights(tmp_path: Path) -> None:
    """The loss turns NaN under a wild learning rate; what was good is kept; another network's weights are named."""
    wild = ("train.learning_rate=1e30", "train.clip=null", "train.warm_up=0", "train.checkpoint_steps=1")
    broken = run("icar-enso", tmp_path, *wild)
    assert broken.exit_code == 1
    golden("loss-turned-nan", errors(broken), tmp_path)
    (kept,) = tmp_path.glob("store/train/*/attempt-*/checkpoints/checkpoint.safetensors")
    with safe_open(kept, framework="numpy") as file:
        names = [name for name in file.keys() if name.startswith("module/network")]  # noqa: SIM118
        assert names
        assert all(np.isfinite(file.get_tensor(name)).all() for name in names)

    broken = run("icar-enso", tmp_path, *wild, "train.method.units=32")
    (other,) = (
        each for each in tmp_path.glob("store/train/*/attempt-*/checkpoints/checkpoint.safetensors") if each != kept
    )
    shutil.copy(other, kept)
    strange = run("icar-enso", tmp_path, *wild)
    assert strange.exit_code == 1
    golden("another-architecture", errors(strange), tmp_path)
