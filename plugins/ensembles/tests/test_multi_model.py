"""Means of different methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from thalweg import HandshakeError, Learner, OptionError, Registry, Samples, Solver
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn
from thalweg_ensembles.multi_model import MultiModel

REGISTRY = Registry.installed()
DATA = windowed(series(), inputs=4, targets=3)
TEST = Samples.of(DATA, "test")
UNET = {"unet": {"widths": [4], "centre": 8}}
MODELS = ["persistence", {"damped-persistence": {"by": "none"}}, UNET]


def make(*models: object) -> MultiModel:
    made = REGISTRY.make("methods", {"multi-model": {"of": list(models)}})
    assert isinstance(made, MultiModel)
    return made


def solve(solver: Solver) -> dict[str, np.ndarray]:
    estimate = solver.solve(TEST.inputs(slice(0, 3)), TEST.first(3).wanted)
    return {str(name): each.values.astype(np.float64) for name, each in estimate.data_vars.items()}


def test_it_keeps_the_contract_of_a_method() -> None:
    check_method(make(*MODELS))


def test_mean_and_variance_are_those_of_methods_that_learned_alone(tmp_path: Path) -> None:
    found = solve(learn(make(*MODELS), DATA, tmp_path, epochs=1, seed=3))  # type: ignore[arg-type]
    alone = []
    for i, each in enumerate(MODELS):
        method = REGISTRY.make("methods", each)
        options = {"epochs": 1, "seed": 3} if each is UNET else {}
        solver = learn(method, DATA, tmp_path / str(i), **options) if isinstance(method, Learner) else method  # type: ignore[arg-type]
        assert isinstance(solver, Solver)
        alone.append(solve(solver)["field"])
    np.testing.assert_allclose(found["field"], np.mean(alone, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["field_variance"], np.var(alone, axis=0), rtol=1e-4, atol=1e-9)


def test_it_reads_what_any_reads_and_holds_what_all_hold() -> None:
    unet = REGISTRY.make("methods", UNET)
    assert isinstance(unet, Learner)
    assert make(*MODELS).trains_on == unet.trains_on
    assert make(*MODELS).sites == frozenset()
    assert make(UNET, UNET).sites == unet.sites
    given, options = Samples.of(DATA, "train").given, {"epochs": 1, "batch": 2}
    assert make(*MODELS).demand(given, TEST.wanted, options) == unet.demand(given, TEST.wanted, options)


def test_what_one_of_them_cannot_do_is_refused() -> None:
    with pytest.raises(HandshakeError, match="needs the last 9 steps of its inputs"):
        make("persistence", {"persistence": {"average": 9}}).check(Samples.of(DATA, "train").given)
    with pytest.raises(OptionError, match="2 or more"):
        make("persistence")
