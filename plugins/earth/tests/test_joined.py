"""Several sources one after another: train on one, test on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from running import REGISTRY, planned, ran
from thalweg import OptionError, SourceError, index_of
from thalweg.results.forecasts import Forecasting
from thalweg_earth.transforms.anomaly import Anomaly
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows


def source(path: Path, first: str, months: int, *, mean: float = 0.0, units: str = "K", grid: int = 3) -> str:
    """A file of a field `t(time, x)` that is the month's number plus a mean, and noise."""
    time = xr.date_range(first, periods=months, freq="MS", use_cftime=False)
    rng = np.random.default_rng(months)
    values = time.month.values[:, None] + mean + 0.1 * rng.standard_normal((months, grid))
    xr.Dataset({"t": (("time", "x"), values, {"units": units})}, {"time": time, "x": np.arange(grid)}).to_netcdf(path)
    return str(path)


def joined(**paths: str) -> xr.Dataset:
    of = {name: {"array": {"path": path, "variables": ["t"]}} for name, path in paths.items()}
    return REGISTRY.make("datasets", {"joined": {"of": of}}).open()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def two(tmp_path: Path) -> dict[str, str]:
    """A simulation of 1950-1961, and observations of 1962-1967 that follow it at once."""
    return {
        "simulation": source(tmp_path / "one.nc", "1950-01", 144, mean=5.0),
        "observed": source(tmp_path / "two.nc", "1962-01", 72),
    }


def test_each_step_says_its_source_and_no_window_holds_two(two: dict[str, str]) -> None:
    data = joined(**two)
    assert data.sizes["time"] == 216
    assert dict(zip(*np.unique(data["source"], return_counts=True), strict=True)) == {"observed": 72, "simulation": 144}
    windows = Windows(inputs=4, targets=2)
    index = index_of(windows.apply(data, windows.statistics(data)))
    sources = data["source"].values[index.steps(index.numbers())]
    assert (sources == sources[:, :1]).all()
    assert len(index) == 144 - 5 + 72 - 5


def test_a_period_is_of_a_source(two: dict[str, str], tmp_path: Path) -> None:
    two["observed"] = source(tmp_path / "again.nc", "1956-01", 72)
    windows, split = (
        Windows(inputs=4, targets=2),
        Split(train={"simulation": (1950, 1958)}, test={"observed": (1958, 1960)}),
    )
    data = joined(**two)
    data = split.apply(windows.apply(data, xr.Dataset()), xr.Dataset())
    index = index_of(data)
    for name, label, years in (("train", "simulation", (1950, 1958)), ("test", "observed", (1958, 1960))):
        steps = data.isel(time=np.unique(index.steps(index.numbers(name))))  # type: ignore[arg-type]
        assert set(steps["source"].values) == {label}
        assert (int(steps["time"].dt.year.min()), int(steps["time"].dt.year.max())) == years


@pytest.mark.bad_input("sources", "a period of a source that is not there, or periods of one source that overlap")
def test_periods_that_no_source_has_are_refused(two: dict[str, str]) -> None:
    data = Windows(inputs=4, targets=2).apply(joined(**two), xr.Dataset())
    with pytest.raises(OptionError, match="a period of 'radar' is given, and no source is called so"):
        Split(train={"radar": (1950, 1958)}).apply(data, xr.Dataset())
    with pytest.raises(OptionError, match=r"a period of .simulation. is given, and no name"):
        Split(train={"simulation": (1950, 1958)}, of="name").apply(data, xr.Dataset())
    for test in ({"simulation": (1955, 1960)}, (1955, 1970)):
        with pytest.raises(OptionError, match="overlap"):
            REGISTRY.make("transforms", {"split": {"train": {"simulation": [1950, 1958]}, "test": test}})
    Split(train={"simulation": (1950, 1958)}, test={"observed": (1950, 1958)})


@pytest.mark.bad_input("sources", "sources of unlike grids, units or names joined to one")
@pytest.mark.parametrize(
    ("change", "match"), [({"grid": 4}, "'x' of shape"), ({"units": "degC"}, "'t' in 'degC'|'t' in 'K'")]
)
def test_sources_that_do_not_agree_are_refused(
    two: dict[str, str], tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    other = source(tmp_path / "other.nc", "1962-01", 24, **change)
    with pytest.raises(SourceError, match=match):
        joined(simulation=two["simulation"], observed=other)


def test_each_source_may_have_a_climatology_of_its_own(two: dict[str, str]) -> None:
    data = joined(**two)
    shared, own = Anomaly(), Anomaly(per="source")
    biased = shared.apply(data, shared.statistics(data))["t"].groupby("source").mean(...)
    assert float(biased.sel(source="simulation") - biased.sel(source="observed")) == pytest.approx(5, abs=0.1)
    kept = own.statistics(data).compute()
    free = own.apply(data, kept)["t"].groupby("source").mean(...)
    assert abs(free).max() < 1e-6
    # Newer data of the last source, and an estimate of it.
    later = data.isel(time=data["source"] == "observed")
    xr.testing.assert_allclose(own.apply(later, kept)["t"], own.apply(data, kept)["t"].isel(time=slice(144, None)))
    estimate = xr.Dataset(
        {"t": (("sample", "lead", "x"), np.zeros((1, 2, 3)))},
        {"valid_time": (("sample", "lead"), later["time"].values[None, -2:])},
    )
    found = own.invert(estimate, kept)["t"].values
    np.testing.assert_allclose(found, kept["t"].sel(group=[1011, 1012]).values[None], rtol=1e-6)
    with pytest.raises(OptionError, match="`per` names 'model', which is no coordinate along time"):
        Anomaly(per="model").statistics(data)
    with pytest.raises(SourceError, match="no climatology of the source 'simulation'"):
        own.apply(data, own.statistics(later).compute())


def recipe(folder: Path, paths: dict[str, str], **sections: Any) -> Path:
    of = {name: {"array": {"path": path, "variables": ["t"]}} for name, path in paths.items()}
    tree = {
        "name": "two-sources",
        "experiment": "tests",
        "ingest": {"joined": {"of": of}},
        "preprocess": [
            {"anomaly": {"per": "source", "baseline": [1950, 1963]}},
            {"windows": {"inputs": 3, "targets": 2}},
            {"split": {"train": {"simulation": [1950, 1961]}, "test": {"observed": [1964, 1967]}}},
        ],
        "train": {"method": {"linear-inverse-model": {"modes": 2, "weights": "none"}}},
        "evaluate": ["rmse"],
        **sections,
    }
    file = folder / "two.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def test_another_test_source_trains_nothing_again(two: dict[str, str], tmp_path: Path) -> None:
    before = ran(recipe(tmp_path, two), tmp_path / "store")
    other = {**two, "observed": source(tmp_path / "other.nc", "1962-01", 72, mean=1.0)}
    after = ran(recipe(tmp_path, other), tmp_path / "store")
    costs = [each.stages["train"].numbers["cost/seconds/train"] for each in (before, after)]
    assert costs[0] == costs[1], "what it took is what the training took"
    assert before.prepared.samples("test").inputs([0])["t"].shape == (1, 3, 3)
    assert after.records()[0].first == before.records()[0].first == "1964-03-01T00:00:00"


def test_a_plan_says_where_a_climatology_holds_test_steps(two: dict[str, str], tmp_path: Path) -> None:
    assert "its statistics include" not in planned(recipe(tmp_path, two), tmp_path / "store").text()
    text = planned(recipe(tmp_path, two), tmp_path / "store", "preprocess[0].anomaly.baseline=[1950, 1964]").text()
    assert "anomaly: its statistics include 12 of 48 test steps" in text


@pytest.mark.parametrize("names", [("simulation", "observed"), ("older", "younger")])
def test_a_forecast_begins_at_the_end_of_the_last_source(tmp_path: Path, names: tuple[str, str]) -> None:
    """Whatever the names, and though their times overlap, so that the axis as a whole has no step."""
    paths = (source(tmp_path / "one.nc", "1950-01", 144), source(tmp_path / "two.nc", "1957-01", 72))
    file = tmp_path / "recipe.yaml"
    of = {name: {"array": {"path": path, "variables": ["t"]}} for name, path in zip(names, paths, strict=True)}
    recipe = {
        "name": "joined",
        "experiment": "tests",
        "ingest": {"joined": {"of": of}},
        "preprocess": [
            {"anomaly": {"over": "time.month", "per": "source"}},
            {"windows": {"inputs": 2, "targets": 3}},
            {"split": {"train": {names[0]: [1950, 1961]}, "test": {names[1]: [1957, 1962]}}},
        ],
        "train": {"method": {"linear-inverse-model": {"modes": 1, "weights": "none"}}},
        "evaluate": ["rmse"],
    }
    file.write_text(yaml.safe_dump(recipe, sort_keys=False))
    done = ran(file, tmp_path / "store")
    found = Forecasting.of(Path(done.run.folder).name, done.plan.store).forecast(REGISTRY, origins=2)
    assert found["reference_time"].values.astype("datetime64[D]").astype(str).tolist() == ["1962-11-01", "1962-12-01"]
    valid = found["valid_time"].values[-1].astype("datetime64[D]").astype(str).tolist()
    assert valid == ["1963-01-01", "1963-02-01", "1963-03-01"]
    assert set(found["source"].values.tolist() if "source" in found.coords else [names[1]]) == {names[1]}


def test_a_coordinate_that_comes_later_does_not_hide_test_steps() -> None:
    from thalweg.recipes.leaks import notes

    time = xr.date_range("2000-01", periods=24, freq="MS", use_cftime=False)
    data = xr.Dataset({"t": ("time", np.arange(24.0))}, {"time": time})
    learned = [("anomaly", data["time"].copy(data=np.ones(24, bool)))]
    later = Windows(inputs=2, targets=1).apply(data.assign_coords(season=("time", list("abcd") * 6)), xr.Dataset())
    split = Split(train=(2000, 2000), test=(2001, 2001)).apply(later, xr.Dataset())
    assert notes(learned, split) == ["anomaly: its statistics include 12 of 12 test steps"]
