"""The five stages end to end: reuse, resume, notice, refuse."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import fresh
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from running import REGISTRY, planned, ran
from thalweg import scalars
from thalweg.errors import CorruptError, StoreError
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.results.records import Coverage, Record, from_parquet, records_of, to_parquet
from thalweg.results.run import STAGES
from thalweg.results.scoring import Score
from thalweg.stores.arrays import read
from thalweg.stores.store import Store
from thalweg.testing.crash import run_and_die, run_recipe

Recipes = Callable[..., Path]


def scores(store: Path) -> pd.DataFrame:
    files = sorted(store.glob("evaluate/*/attempt-*/data/scores.parquet"))
    frame = pd.concat([pd.read_parquet(file) for file in files])
    return frame.sort_values(["metric", "entry", "variant", "lead"], ignore_index=True)


def test_a_law_is_held_and_both_estimates_are_scored(recipe: Recipes, tmp_path: Path) -> None:
    done = ran(recipe(), tmp_path / "store")
    numbers = scalars(done.records())
    assert numbers["free/violation/area-mean"] > 1e-3
    assert numbers["held/violation/area-mean"] < 1e-6
    assert 0 < numbers["free/rmse"] < 1
    assert {row["metric"] for row in done.table()} >= {"rmse", "mae", "violation/area-mean"}
    assert set(done.stages["evaluate"].files) >= {"figures/scores.png", "figures/maps.png", "scores.parquet", "card.md"}


def test_the_scores_are_those_of_a_plain_script(recipe: Recipes, wave: Path, tmp_path: Path) -> None:
    """Anomalies, windows, persistence and RMSE written out in numpy."""
    done = ran(recipe(train={"method": "persistence"}, constrain=None), tmp_path / "store")
    field = xr.open_dataset(wave, engine="h5netcdf")["temperature"].values.astype("float64")
    climate = field[:72].reshape(6, 12, 5, 8).mean(0)
    anomaly = field - np.tile(climate, (10, 1, 1))
    errors = [anomaly[t + 3 + lead] - anomaly[t + 2] for t in range(72, 120 - 7 + 1) for lead in range(4)]
    assert scalars(done.records())["free/rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-6)


def test_the_same_recipe_again_runs_nothing(recipe: Recipes, tmp_path: Path) -> None:
    first = ran(recipe(), tmp_path / "store")
    assert not any(stage.reused for stage in first.stages.values())
    again = ran(recipe(), tmp_path / "store")
    assert all(stage.reused for stage in again.stages.values())
    assert again.run.digest == first.run.digest
    assert scalars(again.records()) == scalars(first.records())


def test_what_a_change_leaves_alone_is_reused(recipe: Recipes, tmp_path: Path) -> None:
    ran(recipe(), tmp_path / "store")
    changed = ran(recipe(), tmp_path / "store", "train.method.modes=2")
    assert [stage.reused for stage in changed.stages.values()] == [True, True, False, False, False]
    # The free estimate does not depend on what is held: a recipe without `constrain` finds it.
    free = ran(recipe(constrain=None), tmp_path / "store")
    assert [stage.reused for stage in free.stages.values()] == [True, True, True, True, False]


def test_stages_asked_for_again_are_run_again(recipe: Recipes, tmp_path: Path) -> None:
    ran(recipe(), tmp_path / "store")
    again = ran(recipe(), tmp_path / "store", redo=STAGES[2:])
    assert [stage.reused for stage in again.stages.values()] == [True, True, False, False, False]


def test_processes_and_threads_give_the_same_bits(recipe: Recipes, tmp_path: Path) -> None:
    ran(recipe(), tmp_path / "threads")
    ran(recipe(cluster={"local": {"workers": 2}}), tmp_path / "processes")
    measured = [scores(tmp_path / each).query("not metric.str.contains('cost')") for each in ("threads", "processes")]
    pd.testing.assert_frame_equal(*measured, check_exact=True)


def test_a_changed_source_is_noticed(recipe: Recipes, wave: Path, tmp_path: Path) -> None:
    ran(recipe(), tmp_path / "store")
    newer = wave.with_name("newer.nc")
    (xr.load_dataset(wave, engine="h5netcdf") + 1).to_netcdf(newer, engine="h5netcdf")
    newer.replace(wave)
    plan = planned(recipe(), tmp_path / "store")
    assert not plan.steps["ingest"].cached
    assert "the source changed since" in plan.steps["ingest"].note


def test_a_corrupt_chunk_ends_the_run_and_is_named(recipe: Recipes, tmp_path: Path) -> None:
    ran(recipe(), tmp_path / "store")
    (chunk,) = (tmp_path / "store").glob("preprocess/*/attempt-*/data/temperature/c/0/0/0")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(content)
    with pytest.raises(CorruptError, match=r"chunk temperature/c/0/0/0 is corrupt"):
        ran(recipe(), tmp_path / "store", "train.method.modes=2")
    mended = ran(recipe(), tmp_path / "store", "train.method.modes=2", redo=STAGES[1:])
    assert scalars(mended.records())["held/violation/area-mean"] < 1e-6


def test_a_full_disk_leaves_what_was_committed(
    recipe: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(recipe(), tmp_path / "store", to="preprocess")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.open_array", full)
    with pytest.raises(StoreError, match="no space is left"):
        ran(recipe(), tmp_path / "store")
    monkeypatch.undo()
    assert [stage.reused for stage in ran(recipe(), tmp_path / "store").stages.values()][:2] == [True, True]


def test_a_store_at_a_url(recipe: Recipes) -> None:
    (plan,) = plans(recipe(), registry=REGISTRY, store="memory://pipeline-test")
    done = execute(plan, registry=REGISTRY)
    assert read(done.stages["constrain"].store).sizes["lead"] == 4


def test_the_held_estimate_keeps_the_truths_coordinates(recipe: Recipes, tmp_path: Path) -> None:
    done = ran(recipe(), tmp_path / "store")
    held = read(done.stages["constrain"].store)
    assert held["temperature"].dims == ("sample", "lead", "latitude", "longitude")
    assert held["lead"].values.tolist() == [1, 2, 3, 4]
    assert held["valid_time"].dims == ("sample", "lead")
    assert str(held["valid_time"].values[0, 0])[:7] == "2006-04"


@pytest.mark.slow
def test_death_at_any_write_changes_nothing(recipe: Recipes, tmp_path: Path) -> None:
    """SIGKILL before (odd) or after (even) the n-th write, then the same recipe again: the scores are bit-equal."""
    file = recipe()
    run_recipe(file, tmp_path / "whole")
    reference = _measured(scores(tmp_path / "whole"))
    fresh = 0
    # Every ninth write, from another one each time: over some runs of the tests, every instant between two writes.
    for at in itertools.count(int(np.random.default_rng().integers(1, 10)), 9):
        store = tmp_path / f"dies-at-{at}"
        died = run_and_die(file, store, at=at, block=8000)
        _nothing_half_written(store)
        if died and at % 2 == 0:
            run_and_die(file, store, at=at, block=8000)
        run_recipe(file, store)
        pd.testing.assert_frame_equal(_measured(scores(store)), reference, check_exact=True)
        fresh += died
        if not died:
            break
    assert fresh > 3


@pytest.mark.slow
def test_death_at_random_instants_changes_nothing(recipe: Recipes, tmp_path: Path) -> None:
    """kill -9 of the command itself, after random times, then the same command again."""
    rng = np.random.default_rng()
    file, store = recipe(), tmp_path / "store"
    run_recipe(file, tmp_path / "whole")
    command = ["run", str(file), "--store", str(store)]
    for seconds in rng.uniform(0.2, 2.5, size=6):
        running = fresh.Forked(fresh.thalweg, *command)
        time.sleep(seconds)
        running.process.kill()
        running.ended()
        _nothing_half_written(store)
    assert fresh.command(*command).returncode == 0
    pd.testing.assert_frame_equal(_measured(scores(store)), _measured(scores(tmp_path / "whole")), check_exact=True)


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame["metric"].str.contains("cost|seconds")].reset_index(drop=True)


def _nothing_half_written(folder: Path) -> None:
    """Whatever a manifest names is whole."""
    store = Store(folder)
    for manifest in folder.glob("*/*/manifest-*.json"):
        found = store.find(manifest.parts[-3], manifest.parts[-2])
        assert found is not None
        if (Path(found.url()) / "zarr.json").exists():
            read(found.url()).load()


def test_a_mean_is_over_numbers_only() -> None:
    scores = xr.DataArray(
        [[1.0, 3.0]], coords={"statistic": ["rmse"], "threshold": [16, 74]}, dims=("statistic", "threshold")
    )
    about = Record("ate", (), "held", None, 0.0, 0.0, 1.0, "m", "lower", "", 3, "", "")
    told = {"coverage": Coverage(8.0, 0.5, {}, {}), "units": "K"}
    made = tuple(records_of(Score(scores, scores), about, **told))
    assert [each.row for each in made] == ["ate/rmse/16", "ate/rmse/74"]
    csi = tuple(records_of(Score(scores[0], scores[0]), about, **told))
    assert {each.name: each.value for each in csi}["held/ate/mean"] == 2.0
    assert {(each.count, each.coverage) for each in csi} == {(8.0, 0.5)}
    assert from_parquet(to_parquet(csi)) == csi
    hole = tuple(records_of(Score(scores[0].where(scores[0] > 1), scores[0].where(scores[0] > 1)), about, **told))
    assert np.isnan(hole[-1].value), "a threshold without a value marks the mean"
