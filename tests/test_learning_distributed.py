"""Ranks on the workers of a Dask cluster: the same curve as one process, the same bits after a loss."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from laid import stored
from thalweg import Hold, Registry
from thalweg.cluster import Workers, cluster_from
from thalweg.errors import ClusterError, EstimateError
from thalweg.learning.distributed import Group, run_on
from thalweg.learning.ranks import Alone
from thalweg.stores.arrays import read
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"judge": "rmse", "epochs": 4, "batch": 6, "timeout": 30.0}
TWO: dict[str, Any] = {**OPTIONS, "ranks": 2}


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with cluster_from({"local": {"workers": 2, "memory": "2GiB"}}).open() as opened:
        yield opened


@pytest.fixture
def data(tmp_path: Path) -> xr.Dataset:
    return read(stored(windowed(series()), tmp_path, time=7))


def test_two_ranks_learn_the_curve_of_one_process(workers: Workers, data: xr.Dataset, tmp_path: Path) -> None:
    """29 windows in batches of 6: the last batch leaves the ranks unequal shares."""
    curves: dict[str, list[Mapping[str, float]]] = {"one": [], "two": [], "four pieces": []}
    one = learn(ToyLearner(), data, tmp_path / "one", report=lambda n, _: curves["one"].append(n), **OPTIONS)
    two = learn(
        ToyLearner(), data, tmp_path / "two", workers=workers, report=lambda n, _: curves["two"].append(n), **TWO
    )
    cut = learn(
        ToyLearner(), data, tmp_path / "cut", workers=workers, accumulate=2,
        report=lambda n, _: curves["four pieces"].append(n), **TWO,
    )  # fmt: skip
    for name in ("two", "four pieces"):
        assert len(curves[name]) == 4
        for expected, found in zip(curves["one"], curves[name], strict=True):
            for key in ("loss/train", "loss/validate", "rmse/validate", "learning_rate"):
                assert found[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-7)
    for other in (two, cut):
        for name in one.state:
            np.testing.assert_allclose(other.state[name], one.state[name], atol=1e-6)


def test_laws_hold_on_two_ranks_as_on_one(workers: Workers, data: xr.Dataset, tmp_path: Path) -> None:
    """In the network and in the loss: what laws know of a batch is cut with it."""
    registry = Registry.installed()
    # Not a mean: nothing would teach the last bias, and Adam makes large steps of what rounding leaves.
    edge = registry.make("laws", {"boundary-value": {"variable": "field", "dim": "x", "target": "last-input"}})
    below = registry.make("laws", {"bounds": {"variable": "field", "upper": 0.5}})
    holds: Any = (
        Hold((edge,), registry.make("enforcers", "last-layer")),
        Hold((below,), registry.make("enforcers", {"penalty": {"weight": 3.0}})),
    )
    options = {"holds": holds, "epochs": 1, "batch": 6, "timeout": 30.0}
    one = learn(ToyLearner(), data, tmp_path / "one", **options)
    two = learn(ToyLearner(), data, tmp_path / "two", workers=workers, **options, ranks=2)
    free = learn(ToyLearner(), data, tmp_path / "free", **{**options, "holds": ()})
    for name in one.state:
        np.testing.assert_allclose(two.state[name], one.state[name], atol=1e-6)
    own = {name.rpartition("network.")[2]: each for name, each in one.state.items()}
    assert (
        max(float(np.abs(each - own[name.rpartition("network.")[2]]).max()) for name, each in free.state.items()) > 1e-3
    )


def test_a_killed_worker_changes_nothing(workers: Workers, data: xr.Dataset, tmp_path: Path) -> None:
    learner, options = ToyLearner(dropout=0.3), {**TWO, "epochs": 12, "checkpoint_steps": 2}
    whole = learn(learner, data, tmp_path / "whole", workers=workers, **options)
    client: Any = workers.client
    before = client.run(os.getpid)
    heard: list[int] = []

    def report(_: Mapping[str, float], step: int) -> None:
        heard.append(step)
        if step == 1:
            # Whichever step the ranks are at by now.
            os.kill(before[max(before)], signal.SIGKILL)

    again = learn(learner, data, tmp_path / "killed", workers=workers, report=report, **options)
    assert heard == list(range(12))
    assert set(client.run(os.getpid).values()).isdisjoint(before.values())
    for name in whole.state:
        np.testing.assert_array_equal(again.state[name], whole.state[name])


def test_one_rank_learns_on_a_worker(workers: Workers, data: xr.Dataset, tmp_path: Path) -> None:
    here = learn(ToyLearner(), data, tmp_path / "here", **OPTIONS)
    there = learn(ToyLearner(), data, tmp_path / "there", workers=workers, **OPTIONS)
    for name in here.state:
        np.testing.assert_allclose(there.state[name], here.state[name], atol=1e-6)


def test_what_a_rank_raises_is_raised_here(workers: Workers, tmp_path: Path) -> None:
    dirty = windowed(series())
    values = dirty["field"].values.copy()
    values[20] = np.inf
    data = read(stored(dirty.assign(field=(dirty["field"].dims, values, dirty["field"].attrs)), tmp_path, time=7))
    with pytest.raises(EstimateError, match=r"turned (nan|inf)"):
        learn(ToyLearner(scale="none"), data, tmp_path / "work", workers=workers, **TWO)
    # And the workers are fit for work.
    fine = read(stored(windowed(series()), tmp_path / "fine", time=7))
    learn(ToyLearner(), fine, tmp_path / "again", workers=workers, **{**TWO, "epochs": 1})


def test_too_few_workers(workers: Workers, data: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.learning.distributed.WAIT", 0.5)
    with pytest.raises(ClusterError, match="`ranks: 3` needs as many workers; there are 2"):
        learn(ToyLearner(), data, tmp_path / "work", workers=workers, **{**OPTIONS, "ranks": 3})


def contrasted(folder: Path, ranks: Any, _: Any) -> dict[str, Any]:
    """Two encoders on any number of ranks; weights by name."""
    import test_learning_loop as loops

    drawn = loops.Drawn(batch=9, ranks=ranks)
    learned = loops.loop(folder, loops.encoders, loops.pair, drawn=drawn, ranks=ranks, epochs=2).run()
    return {f"{name}/{key}": each.numpy() for name, part in learned.items() for key, each in part.items()}


def test_a_loss_over_the_batch_is_the_same_on_two_ranks(workers: Workers, tmp_path: Path) -> None:
    """29 samples by 9: the last batch has 2, one for each rank; the one before it 9, 5 and 4."""
    one = contrasted(tmp_path / "one", Alone(), None)
    client: Any = workers.client
    client.run(lambda path: sys.path.append(path), str(Path(__file__).parent))
    group = Group(partial(contrasted, tmp_path / "two"), ranks=2, folder=tmp_path / "two", timeout=30.0)
    two = run_on(client, group, lambda *_: None)
    for name, expected in one.items():
        np.testing.assert_allclose(two[name], expected, rtol=0, atol=1e-12)
