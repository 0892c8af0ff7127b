"""A regression on as many points as coefficients says nothing: refused by the plan; on few, warned of."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Learner, Registry, Samples, Training
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

REGISTRY = Registry.installed()
NONE = xr.Dataset()


def samples(months: int, *, inputs: int = 9, every: int = 1) -> Samples:
    """The training samples of so many months, of which the test is given two years more; no field can be read."""
    time = xr.date_range("2000-01-01", periods=months + 24, freq="MS", use_cftime=False)
    values = np.random.default_rng(0).normal(size=(time.size, 3, 4)).astype("f4")
    axes = {"time": time, "latitude": ("y", [-5.0, 0, 5])}
    data = xr.Dataset({"t": (("time", "y", "x"), values, {"units": "K"})}, axes)
    data = Windows(inputs=inputs, targets=2, every=every).apply(data, NONE)
    ends = [str(time[i].item() if hasattr(time[i], "item") else time[i])[:7] for i in (0, months - 1, months, -1)]
    return Samples.of(Split(train=(ends[0], ends[1]), test=(ends[2], ends[3])).apply(data, NONE), "train")


def fail(_: Any) -> Any:
    raise AssertionError("a field was read")


def learner(part: Any) -> Learner:
    made = REGISTRY.make("methods", part)
    assert isinstance(made, Learner)
    return made


# A part, inputs, months with one point (or a sample, or a pair) too few, coefficients, and the points that there are.
CASES = [
    pytest.param("damped-persistence", 1, 26, 2, 2, id="a line per calendar month"),
    pytest.param({"damped-persistence": {"by": "none", "average": 1}}, 1, 4, 2, 2, id="one line"),
    pytest.param({"seasonal-ridge": {"modes": 2}}, 9, 23, 13, 13, id="a seasonal ridge"),
    pytest.param({"linear-inverse-model": {"modes": 6, "lag": 4}}, 1, 10, 6, 6, id="a linear inverse model"),
]


@pytest.mark.bad_input("sources", "{id} with no more training points than coefficients")
@pytest.mark.parametrize(("part", "inputs", "months", "coefficients", "points"), CASES)
def test_no_more_points_than_coefficients_are_refused_before_a_field_is_read(
    part: Any, inputs: int, months: int, coefficients: int, points: int
) -> None:
    inputs = max(inputs, 3 if part == "damped-persistence" else 1)
    given = samples(months + inputs - 1 if part == "damped-persistence" else months, inputs=inputs)
    lazy = (
        given.data["t"].chunk().copy(data=given.data["t"].chunk().data.map_blocks(fail, dtype="f4", meta=np.empty(0)))
    )
    unread = Samples(given.data.assign(t=lazy), given.numbers, given.index)
    with pytest.raises(HandshakeError, match=f"fit {coefficients} coefficients to {points} points(:| per)") as caught:
        learner(part).check_samples(unread)
    assert "lengthen the training period" in str(caught.value)
    assert f"more than {coefficients} points" in str(caught.value)
    more = 12 if part == "damped-persistence" else 1
    learner(part).check_samples(samples(len(given) + inputs + 1 + more, inputs=inputs))


@pytest.mark.parametrize("every", [1, 3])
def test_pairs_are_counted_in_steps_of_the_windows(every: int, tmp_path: Path) -> None:
    given = samples(40, inputs=1, every=every)
    part = learner({"linear-inverse-model": {"modes": 2, "lag": 4, "weights": "none"}})
    solver = part.fit(Training(given, None, given.wanted, {}, tmp_path, lambda _numbers, _step: None, None))
    assert solver.state["t.propagator"].shape == (2, 2)
    pairs = 40 - 4 * every
    with pytest.raises(HandshakeError, match=f"fit {pairs} coefficients to {pairs} points"):
        learner({"linear-inverse-model": {"modes": pairs, "lag": 4}}).check_samples(given)


def test_few_points_are_warned_of_where_they_are_fitted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def logged(months: int) -> str:
        caplog.clear()
        given = samples(months, inputs=3)
        with caplog.at_level(logging.WARNING, "thalweg"):
            learner("damped-persistence").fit(
                Training(given, None, given.wanted, {}, tmp_path, lambda _numbers, _step: None, None)
            )
        return caplog.text

    said = "fits 2 coefficients to 4 points per calendar month: 't', training samples whose inputs end in month"
    assert said in logged(56)
    assert not logged(124 + 12)


@pytest.mark.bad_input("sources", "a recipe that fits a line per calendar month to two windows each")
@pytest.mark.parametrize(
    "part",
    [
        "damped-persistence",
        {"multi-model": {"of": ["persistence", "damped-persistence"]}},
    ],
    ids=["alone", "in a mixture"],
)
def test_the_plan_refuses_it_with_its_place(part: Any, tmp_path: Path) -> None:
    pytest.importorskip("iris_sample_data")
    recipe = {
        "name": "few",
        "experiment": "few",
        "ingest": "ostia-sample",
        "preprocess": [
            {"windows": {"inputs": 3, "targets": 6}},
            {"split": {"train": ["2006-04", "2008-12"], "test": ["2009-01", "2010-09"]}},
        ],
        "train": {"method": part},
        "evaluate": ["rmse"],
    }
    with pytest.raises(HandshakeError) as caught:
        plans_of(Recipe.parse(recipe, file="few.yaml"), REGISTRY, store=str(tmp_path / "store"))
    name = part if isinstance(part, str) else next(iter(part))
    text = str(caught.value)
    assert text.startswith(f"train.method.{name}: damped-persistence would fit 2 coefficients to 2 points per ")
    assert text.endswith("do: lengthen the training period, or fit one line for all months with `by: none`")
