"""A solver stands alone, and forecasts from the newest data in the units of its source."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thalweg
import xarray as xr
import yaml
from thalweg import HandshakeError, Registry, Transform, UnknownNameError, hookimpl
from thalweg.errors import CorruptError, OptionError, RecipeError
from thalweg.pipeline import Execution, execute
from thalweg.recipes.planning import plans
from thalweg.results.cf import as_cf, write_forecast
from thalweg.results.forecasts import Forecasting
from thalweg.stores.arrays import read
from thalweg.stores.store import Store
from typer.testing import CliRunner

REGISTRY = Registry.installed()
MONTHS = 120


@pytest.fixture(scope="module")
def archive() -> xr.Dataset:
    """Ten years of months in kelvin: a season, a wave, noise, and land."""
    rng = np.random.default_rng(3)
    months, latitude, longitude = np.arange(MONTHS), np.linspace(-20, 20, 5), np.arange(0.0, 360.0, 45.0)
    phase = 2 * np.pi * (months[:, None, None] / 17 - longitude / 360)
    field = 290 + 5 * np.sin(2 * np.pi * months / 12)[:, None, None] + np.cos(phase) * np.ones((5, 1))
    field = (field + 0.1 * rng.standard_normal(field.shape)).astype("float32")
    field[:, 2, 3] = np.nan
    attrs = {"units": "K", "long_name": "temperature", "valid_range": [200.0, 400.0]}
    return xr.Dataset(
        {"temperature": (("time", "latitude", "longitude"), field, attrs)},
        {
            "time": xr.date_range("2000-01-01", periods=MONTHS, freq="MS", use_cftime=False),
            "latitude": ("latitude", latitude, {"units": "degrees_north"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )


def written(folder: Path, data: xr.Dataset, name: str = "archive.nc", **sections: Any) -> Path:
    """A recipe on data, written beside it."""
    file = folder / name
    data.to_netcdf(file, engine="h5netcdf")
    tree = {
        "name": "world",
        "ingest": {"array": {"path": str(file), "variables": ["temperature"], "missing": "allow"}},
        "preprocess": [
            {"rescale": {"variable": "temperature", "offset": -273.15, "to": "degC", "units": "K"}},
            {"anomaly": {"over": "time.month", "baseline": [2000, 2005]}},
            {"windows": {"inputs": 3, "targets": 4}},
            {"split": {"train": [2000, 2005], "test": [2006, 2009]}},
        ],
        "train": {"method": {"linear-inverse-model": {"modes": 3, "lag": 1, "weights": "none"}}},
        "constrain": [{"hold": {"area-mean": {"variable": "temperature", "target": "last-input"}}, "by": "additive"}],
        "evaluate": ["rmse"],
        **sections,
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree, sort_keys=False))
    return recipe


def ran(recipe: Path, store: Path) -> Execution:
    (plan,) = plans(recipe, registry=REGISTRY, store=str(store))
    return execute(plan, registry=REGISTRY)


@pytest.fixture(scope="module")
def done(archive: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Execution]:
    folder = tmp_path_factory.mktemp("world")
    return folder, ran(written(folder, archive), folder / "store")


@pytest.fixture
def folder(done: tuple[Path, Execution], tmp_path: Path) -> Path:
    """A copy of the fitted folder, alone."""
    import shutil

    return Path(shutil.copytree(done[1].stages["train"].store, tmp_path / "alone"))


def test_it_solves_in_a_fresh_process_with_only_its_folder(done: tuple[Path, Execution], folder: Path) -> None:
    samples = done[1].prepared.samples("test")
    inputs = samples.inputs([0, 5])
    inputs.to_netcdf(folder.parent / "inputs.nc", engine="h5netcdf")
    code = f"""
import thalweg, xarray
inputs = xarray.load_dataset({str(folder.parent / "inputs.nc")!r}, engine="h5netcdf")
thalweg.load({str(folder)!r}).solve(inputs)[["temperature"]].reset_coords(drop=True).to_netcdf(
    {str(folder.parent / "out.nc")!r}, engine="h5netcdf")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder.parent)
    found = xr.load_dataset(folder.parent / "out.nc", engine="h5netcdf")["temperature"]
    variants = (done[0] / "store" / "estimate").glob("*/attempt-*/data")
    kept = [read(str(each))["temperature"].isel(sample=[0, 5]).values for each in variants]
    assert any(np.array_equal(found.values, each, equal_nan=True) for each in kept)


def test_the_folder_says_what_it_is(folder: Path) -> None:
    said = json.loads((folder / "solver.json").read_text())
    assert said["method"]["linear-inverse-model"]["modes"] == 3
    assert [each["units"] for side in ("source", "given", "wanted") for each in said[side]["fields"]] == [
        "K",
        "degC",
        "degC",
    ]
    assert said["versions"]["thalweg"]
    assert {"options.json", "state.safetensors", "preparation/transforms.json"} <= set(said["files"])


@pytest.mark.fault("stores", "a byte of any file of a fitted folder changes, or the file is lost")
def test_a_changed_or_lost_file_is_refused(folder: Path) -> None:
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 8
    for file in files:
        content = file.read_bytes()
        broken = bytearray(content or b"x")
        broken[len(broken) // 2] ^= 1
        file.write_bytes(broken)
        with pytest.raises(CorruptError):
            thalweg.load(str(folder))
        file.unlink()
        with pytest.raises(CorruptError):
            thalweg.load(str(folder))
        file.write_bytes(content)
    assert thalweg.load(str(folder)).name == "linear-inverse-model"


@pytest.mark.bad_input("authors", "a fitted folder whose plugin is not installed")
def test_an_absent_plugin_is_named(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="no method is called 'linear-inverse-model'"):
        thalweg.load(str(folder), Registry())


def test_a_forecast_is_the_estimate_of_the_same_origin(archive: xr.Dataset, done: tuple[Path, Execution]) -> None:
    """In kelvin, from a series that ends there; several origins contain the newest one."""
    end = MONTHS - 20
    cut = archive.isel(time=slice(0, end)).chunk(time=7)
    solved = thalweg.load(done[1].stages["train"].store)
    made = solved.forecast(cut, origins=3)
    samples = done[1].prepared.samples("test")
    starts = samples.index.begin[samples.numbers]
    number = int(np.flatnonzero(starts == end - 3)[0])
    estimate = solved.solve(samples.inputs([number]))["temperature"].values[0]
    clim = archive["temperature"].astype("float32").values[:72].reshape(6, 12, 5, 8)
    months = [(end + lead) % 12 for lead in range(4)]
    truth_like = estimate + np.nanmean(clim.astype("float64"), axis=0)[months]
    np.testing.assert_allclose(made["temperature"].values[-1], truth_like, atol=2e-4)
    assert made["temperature"].attrs["units"] == "K"
    assert "valid_range" not in made["temperature"].attrs
    assert str(made["reference_time"].values[-1])[:7] == str(archive["time"].values[end - 1])[:7]
    np.testing.assert_array_equal(made["valid_time"].values[-1], archive["time"].values[end : end + 4])
    one = solved.forecast(cut)
    np.testing.assert_array_equal(one["temperature"].values[0], made["temperature"].values[-1])
    # Nothing before the inputs is needed.
    short = solved.forecast(archive.isel(time=slice(end - 3, end)))
    np.testing.assert_array_equal(short["temperature"], one["temperature"])


@pytest.mark.bad_input("sources", "an archive whose newest months are there, and empty")
def test_the_newest_step_is_the_newest_with_values(archive: xr.Dataset, done: tuple[Path, Execution]) -> None:
    solved = thalweg.load(done[1].stages["train"].store)
    months = xr.DataArray(np.arange(MONTHS), dims="time")
    empty = archive.assign(temperature=archive["temperature"].where(months < 113))
    found = solved.forecast(empty)
    expected = solved.forecast(archive.isel(time=slice(0, 113)))
    assert str(found["reference_time"].values[0])[:7] == "2009-05"
    np.testing.assert_array_equal(found["temperature"], expected["temperature"])
    with pytest.raises(HandshakeError, match="1 origins were asked for, and 0 steps"):
        solved.forecast(archive.where(months < 0))


def test_what_does_not_fit_is_refused(archive: xr.Dataset, done: tuple[Path, Execution]) -> None:
    solved = thalweg.load(done[1].stages["train"].store)
    celsius = archive.assign(temperature=(archive["temperature"] - 273.15).assign_attrs(units="degC"))
    with pytest.raises(HandshakeError, match="units 'degC', not 'K'"):
        solved.forecast(celsius)
    with pytest.raises(HandshakeError, match="4 along 'longitude'"):
        solved.forecast(archive.isel(longitude=slice(0, 4)))
    with pytest.raises(HandshakeError, match="another 'latitude'"):
        solved.forecast(archive.assign_coords(latitude=archive["latitude"] + 5))
    gap = archive.isel(time=[*range(100), 101, 102])
    with pytest.raises(HandshakeError, match="have a gap, from 2008-04"):
        solved.forecast(gap)


def test_laws_of_the_run_are_held(done: tuple[Path, Execution]) -> None:
    asked = Forecasting.of("world", Store(done[0] / "store"))
    held, free = (asked.forecast(REGISTRY, variant=each) for each in (None, "free"))
    weights = np.cos(np.radians(held["latitude"]))
    source = asked.source(REGISTRY)["temperature"]
    climate = source.isel(time=slice(0, 72)).groupby("time.month").mean()

    def anomaly(field: xr.DataArray, time: Any) -> Any:
        month = xr.DataArray(np.asarray(time), dims=field.dims[:1]).dt.month
        return (field - climate.sel(month=month)).weighted(weights).mean(("latitude", "longitude")).values

    last = anomaly(source.isel(time=[-1]), source["time"].values[-1:])
    valid = held["valid_time"].values[0]
    means = [
        anomaly(each["temperature"].isel(sample=0).rename(lead="time").drop_vars("time"), valid)
        for each in (held, free)
    ]
    np.testing.assert_allclose(means[0], np.repeat(last, 4), atol=1e-4)
    assert np.abs(means[1] - last).max() > 1e-3


def test_of_several_variants_one_is_named(
    done: tuple[Path, Execution], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thalweg.commands.cli import app

    def hold(target: float) -> dict[str, Any]:
        return {"hold": {"area-mean": {"variable": "temperature", "target": target}}, "by": "additive"}

    one = Forecasting.of("world", Store(done[0] / "store"))
    asked = replace(one, holds={"cold": [hold(-1.0)], "warm": [hold(1.0)]})
    free, cold, warm = (asked.forecast(REGISTRY, variant=each)["temperature"] for each in ("free", "cold", "warm"))
    means = (warm - cold).weighted(np.cos(np.radians(free["latitude"]))).mean(("latitude", "longitude"))
    np.testing.assert_allclose(means, 2.0, atol=1e-3)
    assert float(abs(free - warm).max()) > 1e-2
    for name, says in ((None, "world has 2 variants"), ("mild", "world has no variant 'mild'")):
        with pytest.raises(OptionError) as caught:
            asked.forecast(REGISTRY, variant=name)
        assert str(caught.value) == (
            f"variant: {says}\n  allowed: free, cold, warm\n  do: name one of these as `variant`"
        )
    # Under laws that are learned there is no free one if it was left out.
    assert replace(asked, solvers={"warm": "there"}).variants == ("warm",)
    monkeypatch.setattr(Forecasting, "of", lambda *_: asked)
    command = ["forecast", "world", "--store", str(tmp_path), "--out", str(tmp_path / "out.nc")]
    assert CliRunner().invoke(app, command).exit_code == 2
    found = CliRunner().invoke(app, [*command, "--variant", "warm"])
    assert found.exit_code == 0, found.output
    said = xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf").attrs
    assert said["title"] == "world, held to area-mean"
    assert said["history"].endswith(" --variant warm")
    beside = CliRunner().invoke(app, [*command[:-2], "--variant", "cold"])
    assert "-cold.nc" in beside.output, "two variants do not lie in one file"


def test_a_method_that_learns_nothing_forecasts(archive: xr.Dataset, tmp_path: Path) -> None:
    recipe = written(tmp_path, archive, train={"method": "persistence"}, constrain=[], evaluate=[])
    ran(recipe, tmp_path / "store")
    made = Forecasting.of("world", Store(tmp_path / "store")).forecast(REGISTRY)
    assert 280 < float(made["temperature"].mean()) < 300
    assert made["temperature"].sizes == {"sample": 1, "lead": 4, "latitude": 5, "longitude": 8}


class Squared(Transform):
    """A transform that does not say how it is undone."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign({name: (each**2).assign_attrs(each.attrs) for name, each in data.data_vars.items()})


class Plugin:
    @hookimpl
    def register_transforms(self, register: Any) -> None:
        register("squared", Squared)


@pytest.mark.bad_input("authors", "a forecast through a transform that cannot be undone")
def test_a_transform_without_an_inverse_is_refused(archive: xr.Dataset, tmp_path: Path) -> None:
    registry = Registry.installed()
    registry.add("squares", Plugin())
    sections = [
        "squared",
        {"windows": {"inputs": 3, "targets": 4}},
        {"split": {"train": [2000, 2005], "test": [2006, 2009]}},
    ]
    recipe = written(tmp_path, archive, preprocess=sections, train={"method": "persistence"}, constrain=[])
    (plan,) = plans(recipe, registry=registry, store=str(tmp_path / "store"))
    execute(plan, registry=registry)
    with pytest.raises(HandshakeError, match="squared has no inverse"):
        Forecasting.of("world", Store(tmp_path / "store")).forecast(registry)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_file_follows_cf(done: tuple[Path, Execution], tmp_path: Path, suffix: str) -> None:
    solved = thalweg.load(done[1].stages["train"].store)
    raw = Forecasting.of("world", Store(done[0] / "store")).source(REGISTRY)
    made = solved.forecast(raw, origins=2)
    many = made.expand_dims(member=3, axis=-1)
    file = tmp_path / f"forecast{suffix}"
    write_forecast(as_cf(many, title="a forecast", history="made by a test"), file)
    options: Any = {"engine": "h5netcdf"} if suffix == ".nc" else {"engine": "zarr", "consolidated": False}
    plain = xr.open_dataset(file, decode_times=False, **options)
    assert plain.attrs["Conventions"].startswith("CF-1.")
    assert set(plain["temperature"].dims) == {"forecast_reference_time", "lead", "latitude", "longitude", "realization"}
    standard = {name: each.attrs.get("standard_name") for name, each in plain.coords.items()}
    for name in ("time", "forecast_reference_time", "forecast_period", "realization", "latitude", "longitude"):
        assert standard[name] == name
    assert plain["time"].attrs["units"].startswith("hours since")
    assert plain["time"].attrs["calendar"] == plain["forecast_reference_time"].attrs["calendar"]
    assert "units" in plain["temperature"].attrs
    assert not any("_FillValue" in each.attrs or "_FillValue" in each.encoding for each in plain.coords.values())
    np.testing.assert_allclose(
        plain["time"],
        plain["forecast_reference_time"] + plain["forecast_period"].transpose("forecast_reference_time", ...),
    )
    decoded = xr.open_dataset(file, **options)
    np.testing.assert_array_equal(decoded["time"].values, made["valid_time"].values)
    with pytest.raises(OptionError, match=r"or \.zarr"):
        write_forecast(many, tmp_path / "forecast.txt")


def test_the_command(archive: xr.Dataset, done: tuple[Path, Execution], tmp_path: Path) -> None:
    from thalweg.commands.cli import app
    from typer.testing import CliRunner

    newer = tmp_path / "newer.nc"
    archive.isel(time=slice(60, 100)).to_netcdf(newer, engine="h5netcdf")
    store = str(done[0] / "store")
    found = CliRunner().invoke(
        app, ["forecast", "world", str(newer), "--out", str(tmp_path / "f.nc"), "--store", store]
    )
    assert found.exit_code == 0, found.output
    assert "2008-05-01" in found.output
    assert (tmp_path / "f.nc").is_file()
    assert (tmp_path / "f.png").is_file()
    missing = CliRunner().invoke(app, ["forecast", "nothing", "--store", store])
    assert missing.exit_code == 2
    assert "names no run" in missing.output
    assert "do: name one of these runs, or give the store of another" in missing.output


def test_a_recipe_may_train_and_forecast_without_a_test(archive: xr.Dataset, tmp_path: Path) -> None:
    """Nothing is estimated or scored; the forecast is that of a run that was scored."""
    file = written(tmp_path, archive)
    scored = ran(file, tmp_path / "scored")
    tree = yaml.safe_load(file.read_text())
    tree["preprocess"][-1] = {"split": {"train": [2000, 2005]}}
    with pytest.raises(RecipeError, match="rmse has nothing to score: `split` gives no test"):
        plans(_rewritten(file, tree), registry=REGISTRY, store=str(tmp_path / "store"))
    del tree["evaluate"]
    from thalweg.commands.cli import app

    (plan,) = plans(_rewritten(file, tree), registry=REGISTRY, store=str(tmp_path / "store"))
    assert plan.text().count("no test period: nothing is estimated or scored") == 2
    shown = CliRunner().invoke(app, ["run", str(file), "--store", str(tmp_path / "store")])
    assert shown.exit_code == 0, shown.output
    assert ": trained, not scored (no test period)" in shown.output
    line = next(each for each in shown.output.splitlines() if each.startswith("forecast"))
    done = execute(plan, registry=REGISTRY)
    assert done.stages["train"].reused
    assert not done.records()
    made = Forecasting.of(Path(done.run.folder).name, Store(tmp_path / "store")).forecast(REGISTRY)
    other = Forecasting.of(Path(scored.run.folder).name, Store(tmp_path / "scored")).forecast(REGISTRY)
    xr.testing.assert_identical(made, other)
    out = tmp_path / "forecast.nc"
    again = CliRunner().invoke(app, [*shlex.split(line)[2:], "--out", str(out)])
    assert again.exit_code == 0, again.output
    assert out.exists()
    compared = CliRunner().invoke(app, ["compare", Path(done.run.folder).name, "--store", str(tmp_path / "store")])
    assert compared.exit_code == 1
    assert "was not scored" in compared.output


def _rewritten(file: Path, tree: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file


def complaints(file: Path, tmp_path: Path) -> list[str]:
    """What the IOOS Compliance Checker says of a file by CF 1.11, but for the order of a lead among the dims.

    It recommends T, Z, Y, X, and knows no place for a lead.
    """
    report = tmp_path / "report.json"
    # A process of its own: the libraries that the checker loads bring a PROJ that is not pyproj's.
    words = ["--test=cf:1.11", "--criteria=strict", "--format=json", f"--output={report}", str(file)]
    checker = Path(sys.executable).with_name("compliance-checker")
    subprocess.run([checker, *words], check=False, capture_output=True)
    found = json.loads(report.read_text())
    found = found.get("cf:1.11", found)
    return [
        message
        for level in ("high_priorities", "medium_priorities", "low_priorities")
        for check in found[level]
        if check["value"][0] < check["value"][1]
        for message in check["msgs"]
        if "recommended order T, Z, Y, X" not in message
    ]


@pytest.mark.parametrize("kind", ["several origins", "members", "a variance", "an anomaly", "a calendar of 360 days"])
def test_a_forecast_complies_with_cf(done: tuple[Path, Execution], tmp_path: Path, kind: str) -> None:
    _, execution = done
    run = Path(execution.run.folder).name
    made = Forecasting.of(run, execution.plan.store).forecast(REGISTRY, origins=3)
    if kind == "members":
        made = made.expand_dims(member=2).transpose("sample", "member", ...)
    if kind == "a variance":
        made["temperature_variance"] = made["temperature"].copy(data=np.ones(made["temperature"].shape, "f4"))
        made["temperature_variance"].attrs = {"units": "K2", "long_name": "variance of temperature"}
    if kind == "an anomaly":
        made["temperature"].attrs = {"units": "K", "long_name": "temperature anomaly"}
    if kind == "a calendar of 360 days":
        first = xr.date_range("2001-01-30", periods=7, freq="MS", calendar="360_day", use_cftime=True).values
        made = made.assign_coords(
            reference_time=("sample", first[:3]),
            valid_time=(("sample", "lead"), np.stack([first[i + 1 : i + 5] for i in range(3)])),
        )
    file = tmp_path / "forecast.nc"
    write_forecast(as_cf(made, title="world", history="made by a test"), file)
    assert complaints(file, tmp_path) == []
    spoilt = xr.open_dataset(file, decode_times=False, engine="h5netcdf").load()
    spoilt["temperature"].attrs["units"] = "furlongs per fortnight squared"
    spoilt["temperature"].attrs["standard_name"] = "air_temperature"
    spoilt.to_netcdf(tmp_path / "spoilt.nc", engine="h5netcdf")
    assert complaints(tmp_path / "spoilt.nc", tmp_path)


def test_of_joined_sources_it_begins_at_the_end_of_the_last(archive: xr.Dataset, tmp_path: Path) -> None:
    """Sources keep the order of the recipe, whatever their names; months of the last are months, beside a jump."""
    early = archive.assign_coords(time=xr.date_range("1950-01-01", periods=MONTHS, freq="MS", use_cftime=False))
    early.to_netcdf(tmp_path / "early.nc", engine="h5netcdf")
    paths = {"simulation": "early.nc", "observed": "archive.nc"}
    each = {
        name: {"array": {"path": str(tmp_path / path), "variables": ["temperature"], "missing": "allow"}}
        for name, path in paths.items()
    }
    recipe = written(
        tmp_path,
        archive,
        ingest={"joined": {"of": each}},
        preprocess=[
            {"anomaly": {"per": "source"}},
            {"windows": {"inputs": 3, "targets": 4}},
            {"split": {"train": {"simulation": [1950, 1959]}, "test": {"observed": [2006, 2009]}}},
        ],
    )
    run = ran(recipe, tmp_path / "store").run
    known = Forecasting.of(run.title, Store(str(tmp_path / "store")))
    found = known.forecast(REGISTRY)
    assert found["reference_time"].values == archive["time"].values[-1]
    months = np.arange("2010-01", "2010-05", dtype="M8[M]").astype("M8[ns]")
    assert (found["valid_time"].values[0] == months).all()
    step = thalweg.load(known.solvers["free"]).description.step
    assert step is not None
    assert step.kind == "months"
