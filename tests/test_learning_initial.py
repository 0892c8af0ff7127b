"""Trainings that begin with weights: of an earlier one, or of a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from thalweg import OptionError, Registry, Samples
from thalweg.errors import CorruptError
from thalweg.learning.arrays import arrays
from thalweg.learning.initial import begin_with, weights_at
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.results.solver import write_fitted
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn
from torch import nn

DATA = windowed(series()).load()
STILL: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-12, "warm_up": 0.0}
"""Steps too small to be seen."""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray[Any, Any]]:
    return dict(learn(ToyLearner(), DATA, tmp_path_factory.mktemp("earlier"), seed=3).state)


@pytest.fixture
def places(earlier: dict[str, np.ndarray[Any, Any]], tmp_path: Path) -> dict[str, str]:
    """The same weights, as they may lie."""
    tensors = {name: torch.from_numpy(each.copy()) for name, each in earlier.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.pt")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "c.ckpt")
    solver = ToyLearner.fitted(
        learner={}, given=Samples.of(DATA).given, wanted=Samples.of(DATA).wanted, output=Samples.of(DATA).wanted,
        scales={},
    )  # fmt: skip
    write_fitted(str(tmp_path / "solver"), solver.with_state(earlier), card="")
    return {each: str(tmp_path / each) for each in ("a.safetensors", "b.pt", "c.ckpt", "solver")}


def test_a_training_begins_with_the_weights_of_a_file(
    earlier: dict[str, np.ndarray[Any, Any]], places: dict[str, str], tmp_path: Path
) -> None:
    for name, place in places.items():
        solver = learn(ToyLearner(), DATA, tmp_path / f"of {name}", initial=place, **STILL)
        for key, expected in earlier.items():
            np.testing.assert_allclose(solver.state[key], expected, atol=1e-7)


def test_the_same_weights_elsewhere_are_the_same_training(places: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(places["solver"], tmp_path / "moved")
    marks = [
        ToyLearner().resolved({"initial": each})["initial"] for each in (places["solver"], str(tmp_path / "moved"))
    ]
    assert marks[0] == marks[1]
    assert marks[0] != ToyLearner().resolved({"initial": places["b.pt"]})["initial"]
    assert ToyLearner().resolved({})["initial"] is None


def test_a_network_inside_another_is_found_by_the_names_of_its_weights() -> None:
    inner, other = nn.Linear(3, 2), nn.Linear(3, 2)
    begin_with(nn.ModuleDict({"network": inner}), other.state_dict(), source="x")
    assert torch.equal(inner.weight, other.weight)
    fresh = nn.Linear(3, 2)
    begin_with(fresh, {f"network.{name}": each for name, each in other.state_dict().items()}, source="x")
    assert torch.equal(fresh.weight, other.weight)


def test_weights_of_another_network_are_refused_before_anything_is_learned(places: dict[str, str]) -> None:
    samples = Samples.of(DATA, "train")
    ToyLearner().demand(samples.given, samples.wanted, {"initial": places["a.safetensors"]})
    with pytest.raises(CorruptError, match=r"into.weight \(4, 6\), not \(5, 6\)"):
        ToyLearner(width=5).demand(samples.given, samples.wanted, {"initial": places["a.safetensors"]})


@pytest.mark.parametrize(
    ("name", "content"), [("none", None), ("x.pt", b"no weights"), ("x.safetensors", b"no weights")]
)
def test_what_holds_no_weights_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    samples = Samples.of(DATA, "train")
    with pytest.raises((OptionError, CorruptError), match=r"there are no weights|cannot be read as weights"):
        ToyLearner().demand(samples.given, samples.wanted, {"initial": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda each: each.to("meta"), "holds no values of 'into.weight': it is a tensor of the device `meta`"),
        (lambda each: each > 0, "of another kind: into.weight bool, not float32"),
        (lambda each: each.to(torch.int64), "of another kind: into.weight int64, not float32"),
        (lambda each: each.to(torch.complex64), "of another kind: into.weight complex64, not float32"),
    ],
    ids=["meta", "bool", "int", "complex"],
)
def test_weights_of_other_numbers_are_refused_by_the_plan(places: dict[str, str], change: Any, said: str) -> None:
    tensors = torch.load(places["b.pt"])
    torch.save({**tensors, "into.weight": change(tensors["into.weight"])}, places["b.pt"])
    samples = Samples.of(DATA, "train")
    with pytest.raises(CorruptError) as caught:
        ToyLearner().demand(samples.given, samples.wanted, {"initial": places["b.pt"]})
    assert said in caught.value.given and caught.value.where == "train.initial"


@pytest.mark.parametrize(
    "change",
    [torch.Tensor.to_sparse, torch.Tensor.half, lambda each: each.to(torch.float8_e5m2)],
    ids=["sparse", "half", "float8"],
)
def test_weights_that_lie_otherwise_are_taken_as_they_are(places: dict[str, str], change: Any) -> None:
    tensors = torch.load(places["b.pt"])
    rounded = {name: change(each) for name, each in tensors.items()}
    torch.save(rounded, places["b.pt"])
    network = ToyLearner().build(Samples.of(DATA).given, Samples.of(DATA).wanted)
    begin_with(network, weights_at(places["b.pt"]), source="x")
    for name, each in network.state_dict().items():
        assert torch.equal(each, rounded[name].to_dense().float())
    assert all(each.dtype.kind == "f" for each in arrays(weights_at(places["b.pt"])).values())


def test_a_recipe_goes_on_from_an_earlier_run(recipe: Any, tmp_path: Path) -> None:
    registry = Registry.installed()
    method = {"fno": {"width": 4, "modes": 2, "layers": 1}}

    def planned(**more: Any) -> Any:
        file = recipe(train={"method": method, "epochs": 1, "batch": 8, **more})
        return plans(file, registry=registry, store=str(tmp_path / "store"))[0]

    first = execute(planned(), registry=registry, to="train")
    warm = planned(initial=first.run.folder, learning_rate=1e-12)
    assert warm.solver_digest(held=False) != planned(learning_rate=1e-12).solver_digest(held=False)
    done = execute(warm, registry=registry, to="train")
    ends = [each._begun().made.solvers["free"].content("data/state.safetensors") for each in (first, done)]
    from safetensors.torch import load

    for name, weights in load(ends[0]).items():
        torch.testing.assert_close(load(ends[1])[name], weights, atol=1e-6, rtol=0)
