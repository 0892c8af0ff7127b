"""Runs are compared on what all of them answered; silence does not win, and other truths are refused."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Metric, Registry, WholeMetric, score
from thalweg.errors import CompareError
from thalweg.pipeline import Execution, execute
from thalweg.recipes.planning import plans
from thalweg.results.answered import answers, hashes
from thalweg.results.bootstrap import Series, half_width, length, weights
from thalweg.results.comparing import compared
from thalweg.results.differences import difference
from thalweg.results.folders import read_run
from thalweg.results.records import Coverage, Record, from_parquet, records_of, to_parquet
from thalweg.results.report import table, without_value
from thalweg.results.scoring import Totals, tally
from thalweg.results.shared import filled
from thalweg.results.sides import Side, sides_of
from thalweg.results.sums import Sums, Writer, flat, parted, per_sample
from typer.testing import CliRunner

from .conftest import Recipes

REGISTRY = Registry.installed()


def ran(file: Path, store: Path, *overrides: str) -> list[Execution]:
    return [
        execute(plan, registry=REGISTRY)
        for plan in plans(file, registry=REGISTRY, store=str(store), overrides=overrides)
    ]


def sides(done: list[Execution]) -> list[Side]:
    accounts = [read_run(each.run.folder, each.plan.store) for each in done]
    return [side for i, each in enumerate(accounts) for side in sides_of(str(i), each["records"], each["stores"])]


def test_sums_by_sample_give_the_scores(recipe: Recipes, tmp_path: Path) -> None:
    (done,) = ran(recipe(), tmp_path / "store")
    (free, held) = sides([done])
    for side in (free, held):
        at = np.arange(free.sums.data.sizes["sample"])
        estimate, truth = side.estimate(at), side.truth(at)
        for name in ("rmse", "mae"):
            metric = REGISTRY.make("metrics", name)
            (kept,) = [each.value for each in side.records if each.metric == name and each.lead is None]
            direct = score(metric, estimate, truth)  # type: ignore[arg-type]
            assert kept == float(direct.overall)
            by_lead = [each.value for each in side.records if each.metric == name and each.lead is not None]
            assert by_lead == direct.by_lead.values.tolist()
        wanted = answers(estimate, truth)["temperature"]
        for part, found in side.sums.answered(side.variant)["temperature"].items():
            np.testing.assert_array_equal(found.values, wanted[part].values)
    np.testing.assert_array_equal(free.sums.truth()["temperature"].values, hashes(truth)["temperature"].values)
    every = [each for side in (free, held) for each in side.records]
    assert {each.coverage for each in every} == {1.0}
    assert {each.units for each in every if each.metric == "rmse"} == {"degC"}
    assert all(each.samples == len(at) and each.first < each.last for each in every)


def test_rows_keep_the_order_of_the_recipe(recipe: Recipes, tmp_path: Path) -> None:
    file = recipe(evaluate=["rmse", "mae", "mse"])
    (first,), (again,) = ran(file, tmp_path / "store"), ran(file, tmp_path / "store")
    assert again.stages["evaluate"].reused
    rows = [row["metric"] for row in first.table()]
    assert rows[:3] == ["rmse", "mae", "mse"]
    assert [row["metric"] for row in again.table()] == rows
    assert again.records() == first.records()


def test_another_truth_is_refused(recipe: Recipes, tmp_path: Path) -> None:
    made = ran(recipe(constrain=None), tmp_path / "store")
    made += ran(recipe(constrain=None), tmp_path / "store", "preprocess[0].anomaly.baseline=[2000,2001]")
    with pytest.raises(CompareError, match="the truths of 'temperature' in 0 and 1 differ in 42 of 42"):
        compared(sides(made), registry=REGISTRY)
    names = [Path(each.run.folder).name for each in made]
    from thalweg.commands.cli import app

    done = CliRunner().invoke(app, ["compare", *names, "--store", str(tmp_path / "store")])
    assert done.exit_code == 1
    assert "the truths of 'temperature'" in done.output


def test_other_test_periods_are_compared_where_both_have_samples(recipe: Recipes, tmp_path: Path) -> None:
    made = ran(recipe(constrain=None), tmp_path / "store")
    made += ran(recipe(constrain=None), tmp_path / "store", "preprocess[2].split.test=[2008,2009]")
    found = compared(sides(made), registry=REGISTRY)
    ours, theirs = ({each.row: each.value for each in side.records} for side in found.sides)
    assert found.samples == made[1].records()[0].samples < made[0].records()[0].samples
    assert ours == pytest.approx(theirs)
    assert all(each.value == 0 for each in found.differences[1][next(iter(found.differences[1]))])


def test_what_is_left_of_a_law_is_that_of_the_samples_that_all_have(recipe: Recipes, tmp_path: Path) -> None:
    made = ran(recipe(), tmp_path / "store") + ran(recipe(), tmp_path / "store", "preprocess[2].split.test=[2008,2009]")
    found = compared(sides(made), registry=REGISTRY)
    ours, theirs = (
        {(each.row, each.lead): (each.value, each.count, each.coverage) for each in side.records}
        for side in (found.sides[0], found.sides[2])
    )
    assert ours == theirs, "one method, on the same samples"
    assert {each.row for each in found.sides[0].records} >= {"violation/area-mean", "violation/area-mean/largest"}


def test_a_metric_of_one_run_alone_is_of_the_samples_that_all_have(recipe: Recipes, tmp_path: Path) -> None:
    made = ran(recipe(constrain=None, evaluate=["rmse", "mae"]), tmp_path / "store")
    made += ran(recipe(constrain=None, evaluate=["rmse"]), tmp_path / "store", "preprocess[2].split.test=[2008,2009]")
    long, _ = compared(sides(made), registry=REGISTRY).sides
    short = ran(recipe(constrain=None), tmp_path / "store", "preprocess[2].split.test=[2008,2009]")[0]
    (mae,) = [each for each in long.records if each.metric == "mae" and each.lead is None]
    (wanted,) = [each for each in short.records() if each.metric == "mae" and each.lead is None]
    assert (mae.value, mae.count) == (pytest.approx(wanted.value), wanted.count)


def test_a_difference_is_from_the_first_column_or_is_not_shown(recipe: Recipes, tmp_path: Path) -> None:
    made = ran(recipe(constrain=None, evaluate=["rmse"]), tmp_path / "store")
    for method in ("persistence", "linear-inverse-model"):
        made += ran(recipe(constrain=None), tmp_path / "store", f"train.method={method}", f"name={method}")
    found = compared(sides(made), registry=REGISTRY)
    assert {i: [label for label, _ in rows] for i, rows in found.differences.items()} == {1: ["rmse"], 2: ["rmse"]}


def test_one_metric_is_one_row_whatever_recipes_call_it(recipe: Recipes, tmp_path: Path) -> None:
    weighted = {"rmse": {"weights": "area"}}
    laws = [
        {"hold": {"area-mean": {"variable": "temperature", "weights": weights}}, "by": "additive"}
        for weights in ("equal", "cosine")
    ]
    one = ran(recipe(evaluate=[weighted], constrain=laws[1:]), tmp_path / "store")
    two = ran(recipe(evaluate=["rmse", weighted], constrain=laws), tmp_path / "store")
    assert "rmse/area" in {each.metric for each in two[0].records()}
    for made in (one + two, two + one):
        found = compared(sides(made), registry=REGISTRY)
        alike = found.sides[0].rows.keys() & found.sides[2].rows.keys()
        assert {label.split("/")[0] for label, _ in alike} == {"rmse", "violation"}
        assert {label.split("/")[0] for label, _ in found.differences[2]} == {"rmse", "violation"}
        # The free estimates are the same.
        assert all(each.value == 0 for rows in found.differences[2].values() for each in rows)


def test_a_difference_holds_no_square_of_its_samples() -> None:
    rng = np.random.default_rng(5)
    count = 30_000
    truth = xr.Dataset({"v": (("sample", "lead"), rng.normal(size=(count, 1)))})
    metric: Any = REGISTRY.make("metrics", "rmse")
    one, other = (tally(metric, truth + each, truth) for each in (0.1, 0.2))
    tracemalloc.start()
    try:
        (found,) = difference(metric, one, other, keys=xr.Dataset(), draws=20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.value == pytest.approx(0.1)
    assert peak < 500e6


def test_two_variants_of_one_method_are_two_columns(recipe: Recipes, tmp_path: Path) -> None:
    from thalweg.commands.cli import app

    methods = [{"linear-inverse-model": {"modes": modes}} for modes in (2, 3)]
    file = recipe(train={"method": methods}, constrain=None)
    done = CliRunner().invoke(app, ["run", str(file), "--store", str(tmp_path / "store")])
    assert "linear-inverse-model (modes: 2)" in done.output
    assert "linear-inverse-model (modes: 3)" in done.output
    assert done.output.index("rmse") < done.output.index("mae")


class _Kept:
    """Two columns whose stages are made here."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(3)
        self.truth = xr.Dataset(
            {"v": (("sample", "x"), rng.normal(size=(60, 5)))},
            {"reference_time": ("sample", np.arange(60).astype("datetime64[M]").astype("datetime64[ns]"))},
        )
        self.folder = folder
        self.estimates: dict[str, xr.Dataset] = {}
        monkeypatch.setattr(Side, "truth", lambda _, at: self.truth.isel(sample=at))
        monkeypatch.setattr(Side, "estimate", lambda side, at: self.estimates[side.title].isel(sample=at))

    def side(self, title: str, estimate: xr.Dataset) -> Side:
        self.estimates[title] = estimate
        metric = REGISTRY.make("metrics", "rmse")
        ones = Totals(xr.DataArray(np.arange(60.0), dims="sample"), xr.DataArray(np.ones(60, int), dims="sample"))
        parts = {"rmse": tally(metric, estimate, self.truth), "violation/sum": {"mean": ones}}  # type: ignore[arg-type]
        if title == "other":
            parts["violation/sum"] = {"mean": Totals(ones.sum + 2, ones.count)}
        tallies, _ = per_sample(parts)
        arrays: dict[str, Any] = {
            "free": tallies,
            "answered_free": {
                (name, "", part): each
                for name, of in answers(estimate, self.truth).items()
                for part, each in of.items()
            },
            "truth": {(name, "", "values"): each for name, each in hashes(self.truth).items()},
        }
        writer = Writer(str(self.folder / title), 60)
        keys = {"reference_time": self.truth["reference_time"]}
        writer.lay_out(arrays, keys, samples=60)
        writer.put(arrays, slice(0, 60))
        value = float(score(metric, estimate, self.truth).overall)  # type: ignore[arg-type]
        options = '{"rmse": {}}'
        first = Record("rmse", (), "free", None, value, 300.0, 0.9, "1", "lower", options, 60, "", "")
        others = [
            replace(first, metric="whole", options='{"whole": {}}'),
            replace(first, metric="adding", options='{"adding": {}}'),
            replace(first, metric="violation/sum", options='{"sum": {}}'),
        ]
        return Side(title, "free", (first, *others), {"sums": writer.url, "batch": 7})


class Whole(WholeMetric):
    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate.v - truth.v).median()


class Adding(Metric):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> dict[str, Totals]:
        error = abs(estimate.v - truth.v)
        return {"error": Totals(error.sum(), error.notnull().sum())}

    def value(self, mean: Any) -> xr.DataArray:
        return mean["error"]


class _Parts:
    """The installed parts, and two metrics that keep no sums by sample."""

    def make(self, kind: Any, options: Any) -> Any:
        own = {"whole": Whole, "adding": Adding}.get(next(iter(options)))
        return own() if own else REGISTRY.make(kind, options)

    parts = REGISTRY.parts


def test_a_method_that_is_silent_where_it_is_wrong_gains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _Kept(tmp_path, monkeypatch)
    error = np.random.default_rng(5).normal(size=(60, 5))
    whole = world.truth + xr.Dataset({"v": (("sample", "x"), error)})
    silent = whole.where(abs(whole.v - world.truth.v) < 1)
    other = world.truth + 0.9
    columns = [world.side("whole", whole), world.side("silent", silent), world.side("other", other)]
    found = compared(columns, registry=_Parts())
    there = silent.v.notnull()
    by_hand = [float(np.sqrt((((each - world.truth).v.where(there)) ** 2).mean())) for each in (whole, silent, other)]
    assert [side.records[0].value for side in found.sides] == pytest.approx(by_hand, rel=1e-12)
    assert columns[1].records[0].value < 0.9 * columns[0].records[0].value, "alone, silence pays"
    assert found.sides[0].records[0].value == pytest.approx(found.sides[1].records[0].value)
    assert found.read_again == int((~there).any("x").sum()) > 30
    (against,) = found.differences[1]["rmse", '{"rmse": {}}']
    assert against.value == pytest.approx(0, abs=1e-12)
    (worse,) = found.differences[2]["rmse", '{"rmse": {}}']
    assert worse.value == pytest.approx(by_hand[2] - by_hand[0])
    assert worse.half > 0
    # Metrics that keep no sums by sample are scored on the same points, without an interval.
    values = [{each.metric: each for each in side.records} for side in found.sides]
    errors = [abs((each - world.truth).v).where(there) for each in (whole, silent, other)]
    assert [each["whole"].value for each in values] == pytest.approx([float(each.median()) for each in errors])
    assert [each["adding"].value for each in values] == pytest.approx([float(each.mean()) for each in errors])
    assert {each["whole"].count for each in values} == {float(there.sum())}
    assert not found.own_points
    # What is left of a law does not depend on the points that were answered.
    (more,) = found.differences[2]["violation/sum", '{"sum": {}}']
    assert (more.value, more.half) == pytest.approx((2.0, 0.0))
    assert found.differences[2].keys() == {("rmse", '{"rmse": {}}'), ("violation/sum", '{"sum": {}}')}


def test_the_first_column_may_answer_for_those_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _Kept(tmp_path, monkeypatch)
    rng = np.random.default_rng(5)
    first, other = (world.truth + xr.Dataset({"v": (("sample", "x"), rng.normal(size=(60, 5)))}) for _ in range(2))
    there = rng.random((60, 5)) < 0.5
    silent = other.where(xr.DataArray(there, dims=("sample", "x")))
    columns = [world.side("first", first), world.side("silent", silent)]
    found = compared(columns, registry=_Parts(), missing="reference")
    filled = silent.fillna(first)
    by_hand = [float(np.sqrt(((each - world.truth).v ** 2).mean())) for each in (first, filled)]
    assert [side.records[0].value for side in found.sides] == pytest.approx(by_hand, rel=1e-12)
    assert found.sides[0].records[0].value == columns[0].records[0].value, "the reference is scored as by itself"
    assert compared(columns, registry=_Parts()).sides[1].records[0].value != found.sides[1].records[0].value


def test_an_uncertainty_that_the_reference_does_not_give_is_zero_there() -> None:
    truth = xr.Dataset({"v": (("sample", "x"), np.zeros((2, 3)))})
    mean, variance = np.ones((2, 3)), np.full((2, 3), 4.0)
    mean[0, 0] = variance[1, 2] = np.nan
    own = xr.Dataset({"v": (("sample", "x"), mean), "v_variance": (("sample", "x"), variance)})
    made = filled(own, truth + 7, truth)
    assert made.v.values.tolist() == [[7, 1, 1], [1, 1, 7]]
    assert made.v_variance.values.tolist() == [[0, 4, 4], [4, 4, 0]]
    members = own[["v"]].expand_dims(member=2).transpose("sample", "member", "x")
    spread = filled(members, (truth + 7).expand_dims(member=3) * [[[1]], [[2]], [[0]]], truth)
    assert spread.v.sel(sample=0, x=0).values.tolist() == [7, 7]


def test_points_are_counted_where_they_are_weighted() -> None:
    latitude = np.array([0.0, 60.0])
    truth = xr.Dataset({"v": (("sample", "latitude"), np.zeros((4, 2)))}, {"latitude": latitude})
    estimate = (truth + 1).where(truth["latitude"] + xr.DataArray([1, 0, 0, 0], dims="sample") > 0)
    metric = REGISTRY.make("metrics", {"rmse": {"weights": "area"}})
    assert score(metric, estimate, truth).counts is None  # type: ignore[arg-type]
    counts = [(each["points"], each["answered"]) for each in answers(estimate, truth).values()]
    (record,) = records_of(
        score(metric, estimate, truth),  # type: ignore[arg-type]
        Record("rmse", (), "free", None, 0.0, 0.0, 0.0, "1", "lower", "", 4, "", ""),
        coverage=Coverage.of(counts),
        units="1",
    )
    assert (record.count, record.coverage) == (5.0, 0.625)


def test_a_score_without_value_comes_back_from_the_table() -> None:
    record = Record("rmse", (), "free", 3, float("nan"), float("nan"), float("nan"), "K", "lower", "{}", 3, "", "")
    whole = replace(record, lead=None, value=1.0, count=4.0, coverage=1.0)
    found, other = from_parquet(to_parquet([record, whole]))
    assert np.isnan([found.value, found.count, found.coverage]).all()
    assert (replace(found, value=0.0, count=0.0, coverage=0.0), other) == (
        replace(record, value=0.0, count=0.0, coverage=0.0),
        whole,
    )
    assert without_value([found, other]) == [
        "no value at lead 3 (the score over all leads is of the other leads): rmse"
    ]


def test_a_lead_without_value_is_named() -> None:
    record = Record("rmse", (), "free", None, 1.0, 9.0, 1.0, "K", "lower", "", 3, "", "")
    leads = [replace(record, lead=lead, value=value) for lead, value in ((1, 1.0), (2, np.nan), (3, np.nan))]
    assert without_value([record, *leads]) == [
        "no value at lead 2, 3 (the score over all leads is of the other leads): rmse"
    ]
    assert without_value([record, leads[0]]) == without_value([replace(record, value=np.nan), *leads]) == []


def test_columns_give_back_what_was_laid_into_them(tmp_path: Path) -> None:
    arrays = {
        ("csi", "hits", "sum"): xr.DataArray(
            np.arange(24).reshape(2, 3, 4),
            {"lead": [1, 2, 3], "threshold": [0.5, 1, 2, 4]},
            ("sample", "lead", "threshold"),
        ),
        ("rmse", "squared_error", "count"): xr.DataArray(np.array([2.5, 3.5]), dims="sample"),
    }
    columns, values = flat(arrays)
    for of, array in parted(columns, values).items():
        xr.testing.assert_identical(array, arrays[of])
    writer = Writer(str(tmp_path / "sums"), 2)
    writer.lay_out({"free": arrays}, {}, samples=2)
    writer.put({"free": arrays}, slice(0, 2))
    for of, array in Sums(writer.url)._parts("free").items():
        xr.testing.assert_identical(array, arrays[of])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
def test_an_interval_holds_a_null(memory: float) -> None:
    """Of 100 differences whose mean is zero about 95 intervals hold it; 1 in 8 may not, of blocks that are few."""
    rng, count, held = np.random.default_rng(1), 240, 0
    for _ in range(100):
        noise = rng.normal(size=count + 100)
        for i in range(1, noise.size):
            noise[i] += memory * noise[i - 1]
        values = noise[100:]
        series = Series((np.arange(count),), 1)
        drawn, blocks = weights(series, length(values - values.mean(), series), draws=100, seed=0)
        means = drawn @ values / drawn.sum(1)
        held += bool(abs(values.mean()) <= half_width(means[:, None], blocks)[0])
    assert 88 <= held <= 99


def test_blocks_stay_inside_a_series_and_cross_no_gap() -> None:
    time = np.array([0, 1, 2, 3, 10, 11, 12, 0, 1, 2]).astype("datetime64[D]").astype("datetime64[ns]")
    keys = xr.Dataset({"reference_time": ("sample", time), "event": ("sample", list("aaaaaaabbb"))})
    series = Series.of(keys, 10)
    assert [each.tolist() for each in series.segments] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    drawn, blocks = weights(series, 3, draws=400, seed=0)
    assert blocks == pytest.approx(10 / 3)
    assert drawn.sum(1).tolist() == [9.0] * 400
    np.testing.assert_allclose(drawn.mean(0), 0.9, atol=0.15)
    one, _ = weights(Series(series.segments, 1), 4, draws=1, seed=3)
    assert one.sum() <= 4 * 3


def test_windows_that_overlap_make_longer_blocks() -> None:
    time = np.arange(20).astype("datetime64[D]").astype("datetime64[ns]")
    valid = time[:, None] + np.arange(1, 7).astype("timedelta64[D]")
    keys = xr.Dataset({"reference_time": ("sample", time), "valid_time": (("sample", "lead"), valid)})
    assert Series.of(keys, 20).overlap == 6


def test_a_difference_of_a_score_that_is_no_mean_is_that_of_the_scores() -> None:
    metric = REGISTRY.make("metrics", {"csi": {"thresholds": [0.0, 0.5]}})
    rng = np.random.default_rng(2)
    truth, one, other = (xr.Dataset({"v": (("sample", "lead", "x"), rng.normal(size=(40, 2, 6)))}) for _ in range(3))
    tallies = [tally(metric, each, truth) for each in (one, other)]  # type: ignore[arg-type]
    found = list(difference(metric, *tallies, keys=xr.Dataset(), draws=50))  # type: ignore[arg-type, misc]
    assert [each.row for each in found] == ["0", "0.5", "mean"]
    values = [score(metric, each, truth).overall.values for each in (one, other)]  # type: ignore[arg-type]
    assert [each.value for each in found[:2]] == pytest.approx((values[1] - values[0]).tolist())
    assert isinstance(tallies[0]["hits"], Totals)
    assert table([]) == []
