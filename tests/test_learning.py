"""Learning with torch: what is learned is exact, reproducible, and survives death."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from laid import stored
from thalweg import (
    EstimateError,
    Fields,
    HandshakeError,
    Held,
    Hold,
    Law,
    LossEnforcer,
    OperatorEnforcer,
    OptionError,
    Registry,
    Samples,
    Signature,
    hookimpl,
    scalars,
)
from thalweg.errors import CorruptError, RecipeError, TooLargeError
from thalweg.learning import Layout, TorchLearner, TrainOptions, load_weights, to_dataset, to_tensor
from thalweg.learning.checkpoint import NAME
from thalweg.learning.checkpoint import load as load_checkpoint
from thalweg.learning.reader import ZarrReader, reader_of
from thalweg.pipeline import execute
from thalweg.recipes.parts import with_parts
from thalweg.recipes.planning import plans
from thalweg.results.scoring import score
from thalweg.results.solver import read_fitted, write_fitted
from thalweg.stores.arrays import read
from thalweg.testing import check_method, series, windowed
from thalweg.testing.scenes import difference
from thalweg.testing.toy_learner import ToyLearner, ToyLoss, learn, learn_and_die
from torch import nn

Curves = list[tuple[int, dict[str, float]]]


@pytest.fixture
def data(tmp_path: Path) -> xr.Dataset:
    return read(stored(windowed(series()), tmp_path, time=7))


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def loud(curves: Curves) -> Any:
    return lambda numbers, step: curves.append((step, dict(numbers)))


# ---- options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"epoch": 2}, "train: there is no option 'epoch'\n  allowed: epochs, batch, "),
        ({"warm_up": 2}, "train.warm_up: 2 is too large\n  allowed: number from 0 to 1 (share of the sch"),
        (
            {"precision": "int8"},
            "train.precision: 'int8' is none of the allowed words\n  allowed: fp32, bf16 or fp16 (floating-",
        ),
        ({"batch": 3, "ranks": 2, "accumulate": 2}, "train.batch: a batch of 3 does not go round 2 ranks x 2 pieces\n"),
        ({"judge": "cis"}, "train.judge: no metric is called 'cis'\n  allowed: "),
        (
            {"judge": {"csi": {"thresholds": [1], "threshold": 1}}},
            "train.judge.csi: there is no option 'threshold'\n  allowed: ",
        ),
        ({"judge": {"frequency-bias": {"thresholds": [1]}}}, "train.judge: frequency-bias cannot judge"),
    ],
)
def test_options_are_refused_with_the_place(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        ToyLearner().check_options(with_parts(given, Registry.installed(), ToyLearner()))
    assert str(caught.value).startswith(expected)
    assert caught.value.advice


def test_the_schedule_is_torchs_warm_up_and_cosine_also_beyond_its_end() -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, SequentialLR

    options = TrainOptions(learning_rate=0.01, warm_up=0.2, floor=1e-3, schedule_steps=50)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    warm, cosine = LambdaLR(optimizer, lambda step: step / 10), CosineAnnealingLR(optimizer, 40, eta_min=1e-5)
    schedule = SequentialLR(optimizer, [warm, cosine], [10])
    for step in range(90):
        assert options.learning_rate_at(step, steps=90) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6, abs=1e-9)
        optimizer.step()
        schedule.step()
    assert options.learning_rate_at(90, steps=90) == pytest.approx(0.01)  # too short a schedule rises again


# ---- tensors


def test_fields_go_to_a_tensor_and_back() -> None:
    data = windowed(series())
    height = xr.DataArray(np.arange(48.0, dtype=np.float32).reshape(6, 8), dims=("y", "x"))
    samples = Samples.of(data.assign(height=height), "test")
    inputs = samples.inputs(slice(0, 3))
    tensor = to_tensor(inputs)
    assert tensor.shape == (3, 6, 6, 8, 2)
    np.testing.assert_array_equal(tensor[..., 0], inputs["field"].values)
    for lead in range(6):
        np.testing.assert_array_equal(tensor[1, lead, ..., 1], height.values)
    truth = samples.truth(slice(0, 3))
    wanted = type(samples.wanted)(samples.wanted.fields, {**samples.wanted.sizes, "sample": 3})
    again = to_dataset(to_tensor(truth), gives=wanted, inputs=inputs)
    assert not difference(again["field"], truth["field"])
    np.testing.assert_array_equal(again["lead"], truth["lead"])
    np.testing.assert_array_equal(again["reference_time"], truth["reference_time"])


def test_fields_of_two_grids_are_refused() -> None:
    with pytest.raises(HandshakeError, match=r"lies on fine, where .* does not"):
        Layout.of(Samples.of(windowed(series()).assign(other=("fine", np.zeros(3, np.float32)))).given)


def test_land_stays_land_and_does_not_teach(tmp_path: Path) -> None:
    """NaN at some cells: the estimate is NaN there, and the rest is learned as if they were not there."""
    sea = windowed(series())
    land = sea.assign(field=sea["field"].where(sea["x"] < 5e3))
    smaller = sea.isel(x=slice(0, 5))
    one = learn(ToyLearner(scale="none"), land, tmp_path / "land")
    other = learn(ToyLearner(scale="none"), smaller, tmp_path / "sea")
    for name in one.state:
        np.testing.assert_allclose(one.state[name], other.state[name], atol=1e-5)
    test = Samples.of(land, "test")
    estimate = one.solve(test.inputs(slice(0, 2)), test.wanted)["field"]
    np.testing.assert_array_equal(np.isnan(estimate.values[0, 0]), np.isnan(land["field"].values[0]))


def test_scales_are_fitted_on_the_training_split(data: xr.Dataset, tmp_path: Path) -> None:
    solver: Any = learn(ToyLearner(scale="standard"), data, tmp_path, epochs=1)
    steps = data["field"].values[:40]  # four windows of ten steps that do not overlap, of 29
    first = steps[: 10 * -(-29 // 10)]
    assert solver.scales["field"] == pytest.approx((first.mean(), first.std()), rel=1e-5)
    ranged = data.assign(field=data["field"].assign_attrs(valid_range=[-1.0, 3.0]))
    solver = learn(ToyLearner(), ranged, tmp_path / "unit", epochs=1)
    assert solver.scales == {"field": (-1.0, 4.0)}
    solver = learn(ToyLearner(scale={"field": {"by": 2.0}}), data, tmp_path / "given", epochs=1)
    assert solver.scales == {"field": (0.0, 2.0)}
    with pytest.raises(OptionError, match="needs the range of 'field'"):
        learn(ToyLearner(scale="unit"), data, tmp_path / "none")
    with pytest.raises(OptionError, match="names 'sst', which is no variable"):
        learn(ToyLearner(scale={"sst": "none"}), data, tmp_path / "none")


# ---- learning


def test_it_keeps_what_a_method_keeps() -> None:
    check_method(ToyLearner(width=3))


def test_a_decay_is_learned(tmp_path: Path) -> None:
    """A field that falls by a tenth at each step: there is an estimate without error, and it is nearly reached."""
    values = np.random.default_rng(0).uniform(1, 2, (1, 4, 4)) * 0.9 ** np.arange(60)[:, None, None]
    data = windowed(xr.Dataset({"field": (("time", "y", "x"), values.astype(np.float32))}), inputs=1, targets=1)
    curves: Curves = []
    learn(ToyLearner(width=8), data, tmp_path, report=loud(curves), epochs=60, learning_rate=3e-2)
    assert curves[-1][1]["loss/train"] < 1e-2 * curves[0][1]["loss/train"]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(data: xr.Dataset, tmp_path: Path) -> None:
    learner = ToyLearner(dropout=0.3)
    one, two, other = (learn(learner, data, tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2)))
    assert same(one.state, two.state)
    assert not same(one.state, other.state)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_learns_the_same(data: xr.Dataset, tmp_path: Path) -> None:
    plain, compiled = (learn(ToyLearner(), data, tmp_path / str(each), compile=each) for each in (False, True))
    for name, weights in plain.state.items():
        np.testing.assert_allclose(compiled.state[name], weights, rtol=1e-3, atol=1e-5)


def test_the_callers_generators_are_left_alone(data: xr.Dataset, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    solver = learn(ToyLearner(), data, tmp_path)
    test = Samples.of(data, "test")
    solver.solve(test.inputs([0]), test.wanted)
    assert torch.equal(torch.rand(3), expected)


def test_pieces_of_a_batch_give_the_gradient_of_the_whole(data: xr.Dataset, tmp_path: Path) -> None:
    whole = learn(ToyLearner(), data, tmp_path / "1", batch=7)
    cut = learn(ToyLearner(), data, tmp_path / "3", batch=7, accumulate=3)
    for name in whole.state:
        np.testing.assert_allclose(whole.state[name], cut.state[name], atol=1e-6)


def test_curves_and_early_stopping(data: xr.Dataset, tmp_path: Path) -> None:
    curves: Curves = []
    solver = learn(
        ToyLearner(), data, tmp_path, report=loud(curves), epochs=60, patience=2, learning_rate=0.3, warm_up=0.0
    )
    found = [numbers["loss/validate"] for _, numbers in curves]
    best = int(np.argmin(found))
    assert [step for step, _ in curves] == list(range(len(curves)))
    assert len(curves) < 60
    assert len(curves) == best + 3
    for _, numbers in curves:
        assert set(numbers) == {
            "loss/train", "loss/validate", "learning_rate", "loader/megabytes_per_second", "loader/stall_share"
        }  # fmt: skip
        assert 0 <= numbers["loader/stall_share"] <= 1
        assert numbers["loader/megabytes_per_second"] > 0
    # The weights that are kept are those of the best epoch.
    assert _loss(solver, data) == pytest.approx(found[best], rel=1e-4)
    last = learn(
        ToyLearner(), data, tmp_path / "last", epochs=60, patience=2, learning_rate=0.3, warm_up=0.0, choose="last"
    )
    assert _loss(last, data) == pytest.approx(found[-1], rel=1e-4)


def test_a_metric_judges_the_epochs(data: xr.Dataset, tmp_path: Path) -> None:
    """What is reported is what the kept weights score; every second epoch is validated, and the last."""
    curves: Curves = []
    options: dict[str, Any] = {"epochs": 5, "judge": {"anomaly-correlation": {}}, "validate_every": 2, "ema": 0.9}
    solver = learn(ToyLearner(), data, tmp_path / "one", report=loud(curves), batch=5, accumulate=2, **options)
    assert ["loss/validate" in numbers for _, numbers in curves] == [False, True, False, True, True]
    found = {step: numbers["anomaly-correlation/validate"] for step, numbers in curves if step in (1, 3, 4)}
    test = Samples.of(data, "test")
    estimate = solver.solve(test.inputs(slice(None)), test.wanted)
    metric = Registry.installed().make("metrics", "anomaly-correlation")
    scored = score(metric, estimate, test.truth(slice(None)))  # type: ignore[arg-type]
    assert float(scored.overall) == pytest.approx(max(found.values()), rel=1e-4)


@pytest.mark.parametrize(("judge", "best"), [("rmse", min), ({"csi": {"thresholds": [0.4, 0.6]}}, max)])
def test_patience_waits_for_a_better_score(data: xr.Dataset, tmp_path: Path, judge: Any, best: Any) -> None:
    curves: Curves = []
    options: dict[str, Any] = {"judge": judge, "patience": 2, "epochs": 40, "learning_rate": 0.3, "warm_up": 0.0}
    learn(ToyLearner(), data, tmp_path, report=loud(curves), **options)
    name = judge if isinstance(judge, str) else "csi"
    found = [numbers[f"{name}/validate"] for _, numbers in curves]
    assert len(found) < 40
    assert len(found) == found.index(best(found)) + 3


def _loss(solver: Any, data: xr.Dataset) -> float:
    """The scaled mean squared error on the test split."""
    test = Samples.of(data, "test")
    estimate = solver.solve(test.inputs(slice(None)), test.wanted)["field"].values
    scaled = (estimate - test.truth(slice(None))["field"].values) / solver.scales["field"][1]
    return float((scaled**2).mean())


def test_the_running_mean_is_what_is_kept(data: xr.Dataset, tmp_path: Path) -> None:
    seen: Curves = []
    solver = learn(ToyLearner(), data, tmp_path, report=loud(seen), epochs=3, ema=0.9)
    plain = learn(ToyLearner(), data, tmp_path / "plain", epochs=3)
    assert not same(solver.state, plain.state)
    assert _loss(solver, data) == pytest.approx(min(n["loss/validate"] for _, n in seen), rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_nearly_the_same(data: xr.Dataset, tmp_path: Path, precision: str) -> None:
    losses = {}
    for name in ("fp32", precision):
        curves: Curves = []
        learn(ToyLearner(), data, tmp_path / name, report=loud(curves), epochs=4, precision=name)
        losses[name] = curves[-1][1]["loss/train"]
    assert losses[precision] == pytest.approx(losses["fp32"], rel=0.1)
    assert losses[precision] != losses["fp32"]


def test_a_loss_is_an_option(data: xr.Dataset, tmp_path: Path) -> None:
    curves: Curves = []
    learn(ToyLearner(scale="none"), data, tmp_path, report=loud(curves), epochs=1, loss=ToyLoss())
    test = Samples.of(data, "test")
    plain = learn(ToyLearner(scale="none"), data, tmp_path, epochs=1, loss=ToyLoss())
    estimate = plain.solve(test.inputs(slice(None)), test.wanted)["field"]
    error = float(abs(estimate - test.truth(slice(None))["field"]).mean())
    assert curves[0][1]["loss/validate"] == pytest.approx(error, rel=1e-4)


def test_the_solver_works_in_another_process(data: xr.Dataset, tmp_path: Path) -> None:
    solver = learn(ToyLearner(), data, tmp_path / "work")
    write_fitted(str(tmp_path / "solver"), solver, card="")
    test = Samples.of(data, "test")
    expected = solver.solve(test.inputs(slice(0, 3)), test.wanted)["field"].values
    np.save(tmp_path / "expected.npy", expected)
    code = f"""
import sys, numpy as np
from thalweg import Registry, Samples
from thalweg.stores.arrays import read
from thalweg.samples.prepared import Prepared
from thalweg.results.solver import read_fitted
from thalweg.testing.toy_learner import ToyLearner
assert "torch" not in sys.modules
solver = read_fitted(ToyLearner.fitted, {str(tmp_path / "solver")!r}, registry=Registry())
test = Samples.of(read({str(tmp_path / "data")!r}), "test")
estimate = solver.solve(test.inputs(slice(0, 3)), test.wanted)["field"].values
np.testing.assert_array_equal(estimate, np.load({str(tmp_path / "expected.npy")!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- death and bad input

OPTIONS: dict[str, Any] = {"epochs": 3, "batch": 5, "checkpoint_steps": 2, "ema": 0.9, "accumulate": 2, "patience": 5}


@pytest.mark.slow
def test_a_killed_training_ends_bit_equal(tmp_path: Path) -> None:
    url = stored(windowed(series()), tmp_path, time=7)
    learner = ToyLearner(dropout=0.3)
    reference: Curves = []
    whole = learn(learner, read(url), tmp_path / "whole", report=loud(reference), **OPTIONS)
    died = 0
    for at in range(int(np.random.default_rng().integers(1, 8)), 60, 7):
        folder = tmp_path / f"at-{at}"
        heard: Curves = []
        died += learn_and_die(learner, url, folder, at=at, **OPTIONS)
        again = learn(learner, read(url), folder, report=loud(heard), **OPTIONS)
        assert same(again.state, whole.state)
        steps = [step for step, _ in heard]
        assert steps == sorted(steps)
        for step, numbers in heard:
            assert numbers["loss/train"] == reference[step][1]["loss/train"]
            assert numbers["loss/validate"] == reference[step][1]["loss/validate"]
    assert died > 3


def test_nan_stops_and_names_the_batch(tmp_path: Path) -> None:
    clean = windowed(series())
    values = clean["field"].values.copy()
    values[20] = np.inf
    dirty = clean.assign(field=(clean["field"].dims, values, clean["field"].attrs))
    data = read(stored(dirty, tmp_path, time=7))
    options: dict[str, Any] = {"epochs": 2, "batch": 2, "shuffle": "none", "checkpoint_steps": 1}
    with pytest.raises(EstimateError) as caught:
        learn(ToyLearner(scale="none"), data, tmp_path / "work", **options)
    text = str(caught.value)
    assert "the loss turned" in text or "the gradient turned" in text
    # The first window that holds step 20 begins at 11; batches of two.
    assert "epoch 1, batch 6, step 5" in text
    assert "windows 10, 11" in text
    assert str(tmp_path / "data") in text
    assert "1 infinite" not in text.split("truth")[0]
    assert "48 infinite" in text
    assert "reference times 2001-04-01" in text
    kept = load_checkpoint(tmp_path / "work")
    assert kept is not None
    assert kept[1]["position"]["step"] == 5
    assert all(bool(torch.isfinite(each).all()) for each in kept[0].values())


def test_a_checkpoint_of_another_architecture_is_refused(data: xr.Dataset, tmp_path: Path) -> None:
    learn(ToyLearner(width=4), data, tmp_path)
    with pytest.raises(CorruptError) as caught:
        learn(ToyLearner(width=5), data, tmp_path)
    assert "of another shape: into.weight (4, 6), not (5, 6), into.bias (4,), not (5,)" in str(caught.value)
    with pytest.raises(CorruptError, match="missing: weight\n  not in the network: kernel"):
        load_weights(nn.Linear(2, 2, bias=False), {"kernel": torch.zeros(1)}, source="x.pt")


def test_a_torn_checkpoint_is_refused(data: xr.Dataset, tmp_path: Path) -> None:
    learn(ToyLearner(), data, tmp_path)
    file = tmp_path / NAME
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CorruptError, match="is no checkpoint"):
        learn(ToyLearner(), data, tmp_path)


def test_ranks_need_workers(data: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="needs as many worker processes"):
        learn(ToyLearner(), data, tmp_path, ranks=2)


def test_the_peak_counts_weights_activations_and_batches() -> None:
    samples = Samples.of(windowed(series()), "train")
    small, large = (ToyLearner(width=width).demand(samples.given, samples.wanted, {}).memory for width in (4, 4000))
    batch = 3 * 4 * (6 + 4) * 48 * 4
    weights = 4 * (6 * 4 + 4 + 4 * 4 + 4 + 3)
    assert small > batch + 5 * weights
    # tanh, of 4 samples x 48 cells, is kept; four weights in five copies.
    assert large - small == 4 * 48 * 3996 * 4 + 5 * 4 * 3996 * (6 + 1 + 4)


class Toy:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        register("toy", ToyLearner)

    @hookimpl
    def register_losses(self, register: Any) -> None:
        register("toy-loss", ToyLoss)


def test_a_recipe_trains_it_and_reuses_what_it_learned(
    recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.installed()
    registry.add("toy", Toy())
    # A solver that is read back finds the parts inside its learner among those that are installed.
    monkeypatch.setattr(Registry, "installed", classmethod(lambda cls: registry))  # noqa: ARG005
    method = {"toy": {"scale": "standard"}}
    file = recipe(train={"method": method, "loss": "toy-loss", "epochs": 3, "batch": 6, "learning_rate": 0.01})
    (plan,) = plans(file, registry=registry, store=str(tmp_path / "store"))
    done = execute(plan, registry=registry)
    numbers = scalars(done.records())
    assert numbers["free/rmse"] > 0
    assert numbers["held/violation/area-mean"] < 1e-6 < numbers["free/violation/area-mean"]
    prepared = done.prepared
    assert isinstance(reader_of(prepared.samples("train"), batch=6), ZarrReader)
    again = execute(plan, registry=registry)
    assert again.stages["train"].reused


@pytest.mark.parametrize(
    ("train", "cluster", "error", "message"),
    [
        ({"epochs": 0}, "threads", OptionError, "0 is too small"),
        ({"epoch": 3}, "threads", OptionError, "no option 'epoch'"),
        ({"ranks": 2}, "threads", OptionError, "learn on 2 workers, but there is room for 1"),
        ({}, {"threads": {"memory": "1MB", "threads": 1}}, TooLargeError, "a worker has 1.0 MB"),
    ],
)
def test_a_plan_refuses_what_cannot_be_learned(
    recipe: Any, tmp_path: Path, train: dict[str, Any], cluster: Any, error: type[Exception], message: str
) -> None:
    registry = Registry.installed()
    registry.add("toy", Toy())
    file = recipe(train={"method": {"toy": {"width": 9000, "scale": "standard"}}, **train})
    with pytest.raises(error, match=message):
        plans(file, registry=registry, store=str(tmp_path / "store"), cluster=cluster)


def test_a_plan_says_what_a_training_takes(recipe: Any, tmp_path: Path) -> None:
    registry = Registry.installed()
    registry.add("toy", Toy())
    (plan,) = plans(recipe(train={"method": "toy"}), registry=registry, store=str(tmp_path / "store"))
    assert plan.steps["train"].peak > 0


# ---- laws


class Mean(Law):
    """The mean over the field is zero."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return fields.mean(["y", "x"])


class Penalty(LossEnforcer):
    """The mean of each map, squared."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {"size": np.full((context.sizes["sample"], 1), context.sizes["target_lead"], dtype=np.float64)}

    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        field = estimate.values["field"]
        assert estimate.dims["field"] == ("sample", *held.grid["field"].dims)
        assert field.shape[1:] == held.grid["field"].shape
        assert known["size"].shape == (len(field), 1) and bool((known["size"] == field.shape[1]).all())
        return 100 * field.mean((2, 3)).square().mean()


class Centred(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.units = module, nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        assert known["operator-0/seen"].shape == (len(inputs), 1)
        estimate: torch.Tensor = self.module(inputs, known)
        return estimate - estimate.mean((2, 3), keepdim=True) + self.units * 0


class Centre(OperatorEnforcer):
    """Subtracts the mean of each map, in the field's units."""

    example: ClassVar[Mapping[str, Any]] = {}

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {"seen": np.ones((context.sizes["sample"], 1))}

    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        assert network.wanted.names == ("field",)
        assert held.grid["field"].dims == ("lead", "y", "x")
        return Centred(network)


class Laws:
    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("mean", Mean)

    @hookimpl
    def register_enforcers(self, register: Any) -> None:
        register("centre", Centre)


def test_a_law_at_the_loss_pulls_the_estimate_towards_it(data: xr.Dataset, tmp_path: Path) -> None:
    """Against the data, whose mean is 0.5."""
    test = Samples.of(data, "test")
    means = []
    for holds in ((), (Hold((Mean(),), Penalty()),)):
        solver = learn(ToyLearner(), data, tmp_path / str(len(holds)), epochs=20, holds=holds)
        means.append(float(abs(solver.solve(test.inputs(slice(None)), test.wanted)["field"].mean())))
    assert means[0] > 0.4
    assert means[1] < 0.1


def test_a_law_in_the_operator_is_held_exactly_also_when_read_back(
    data: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({"laws": Laws()})
    monkeypatch.setattr(Registry, "installed", classmethod(lambda cls: registry))  # noqa: ARG005
    law: Any = registry.make("laws", "mean")
    centre: Any = registry.make("enforcers", "centre")
    solver = learn(ToyLearner(), data, tmp_path / "work", holds=(Hold((law,), centre),))
    write_fitted(str(tmp_path / "solver"), solver, card="")
    options = json.loads((tmp_path / "solver" / "options.json").read_text())
    assert options["options"]["holds"] == [{"hold": [{"mean": {}}], "by": {"centre": {}}}]
    test = Samples.of(data, "test")
    inputs = test.inputs(slice(0, 3))
    estimate = solver.solve(inputs, test.wanted)
    assert float(abs(estimate["field"].mean(["y", "x"])).max()) < 1e-6
    assert not math.isclose(float(estimate["field"].std()), 0.0)
    again = read_fitted(ToyLearner.fitted, str(tmp_path / "solver"), registry=registry)
    assert not difference(again.solve(inputs, test.wanted), estimate)


# ---- inputs that are taken one by one


class Lifted(nn.Module):
    """A line over `x`, of what the points of a sample add up to."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        assert {name: each.ndim for name, each in inputs.items()} == {"points": 2, "level": 1, "x": 1}
        total = (inputs["points"].sum(1) + inputs["level"])[:, None] * torch.ones_like(inputs["x"])
        estimate: torch.Tensor = self.line(torch.stack([total, inputs["x"].expand_as(total)], -1))
        return estimate


class FromPoints(TorchLearner):
    """From points that lie on no grid, to one."""

    separate_inputs: ClassVar[bool] = True

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Lifted()


def test_inputs_that_lie_on_no_grid_are_given_apart_and_scaled(tmp_path: Path) -> None:
    draw, x = np.random.default_rng(1), np.linspace(0.0, 2.0, 5)
    points = draw.normal(5.0, 1.0, (40, 3))
    level = draw.uniform(size=40)
    truth = (points.sum(1) + level)[:, None] + 3 * x
    points[::7, 1] = np.nan
    spec = {"kind": "pairs", "dim": "sample", "inputs": ["points", "level", "label"], "truth": ["u"]}
    data = xr.Dataset(
        {
            "points": (("sample", "point"), points),
            "level": ("sample", level),
            "label": ("sample", np.array(["a", "b"] * 20)),
            "u": (("sample", "x"), truth),
            "pair_split": ("sample", np.repeat([0, 2], 20)),
        },
        {"x": x, "sample": np.arange(40)},
        {"samples": spec},
    )
    scale: Any = {"points": {"by": 2.0, "offset": 5.0}, "level": "none", "label": "none", "u": "none"}
    solver = learn(FromPoints(scale=scale), data, tmp_path, epochs=2, batch=4)
    given, wanted = (getattr(Samples.of(data, "train"), each) for each in ("given", "wanted"))
    assert FromPoints().demand(given, wanted, {"batch": 4}).memory > 40 * 4
    test = Samples.of(data, "test")
    inputs = test.inputs(slice(None))
    network = Lifted()
    network.load_state_dict({name: torch.from_numpy(np.array(each)) for name, each in solver.state.items()})
    fed = {"points": np.nan_to_num((inputs.points - 5) / 2), "level": inputs.level, "x": inputs.x}
    with torch.inference_mode():
        wanted = network({name: torch.as_tensor(np.array(each), dtype=torch.float32) for name, each in fed.items()})
    np.testing.assert_allclose(solver.solve(inputs, test.wanted)["u"], wanted[..., 0], rtol=1e-5)
