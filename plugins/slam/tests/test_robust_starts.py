"""Robust losses: which start wins, what is said of the loops that lose, and what a certificate may speak of then."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg import OptionError
from thalweg_slam import (
    Graph,
    Problem,
    Robust,
    Trajectory,
    certify,
    geometry,
    optimise,
    write_g2o,
    write_store,
    write_toro,
    write_tum,
)
from thalweg_slam.enforcers._status import Status
from thalweg_slam.graph import LOOP
from thalweg_slam.posegraph.synthetic import grid

LOSSES = [
    Robust("huber"),
    Robust("cauchy"),
    Robust("cauchy", scale=3.0),
    Robust("geman-mcclure"),
    Robust("geman-mcclure", scale=3.0),
    Robust("geman-mcclure", scale=5.0),
]


def ring(seed: int, *, dims: int, drifting: bool = False) -> Graph:
    """Rounds of a circle, loops to the round before; no poses are given. Noise is what information says."""
    draw = np.random.default_rng([0x52494E47, seed])
    count = int(draw.integers(60, 200))
    radius, linear, angular = draw.uniform(3, 20), draw.uniform(0.01, 0.06), draw.uniform(0.002, 0.012)
    if drifting:
        count, radius, linear, angular = 200, 10.0, 0.05, 0.01
    round_, n = count // 2, np.arange(count)
    heading = 2 * np.pi * n / round_
    at = radius * np.stack([np.sin(heading), -np.cos(heading), 0.05 * np.sin(3 * heading)], axis=1)[:, :dims]
    half = np.stack([0 * heading, 0 * heading, np.sin(heading / 2), np.cos(heading / 2)], axis=1)
    turn = geometry.wrap(heading) if dims == 2 else half
    first = draw.integers(0, count - round_ - 3, 9 if drifting else int(draw.integers(5, 25)))
    loops = np.stack([first, first + round_ + draw.integers(-2, 3, len(first))], axis=1)
    edges = np.concatenate([np.stack([n[:-1], n[1:]], axis=1), loops])
    scale = np.repeat([linear, angular], [dims, 2 * dims - 3])
    exact = geometry.compose(
        geometry.inverse((turn[edges[:, 0]], at[edges[:, 0]])), (turn[edges[:, 1]], at[edges[:, 1]])
    )
    measured = geometry.compose(exact, geometry.exp(draw.normal(size=(len(edges), len(scale))) * scale))
    return Graph(
        translation=np.zeros_like(at),
        rotation=np.zeros(count) if dims == 2 else np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        edges=edges,
        edge_translation=measured[1],
        edge_rotation=measured[0],
        information=np.tile(np.diag(scale**-2.0), (len(edges), 1, 1)),
        kind=np.where(np.arange(len(edges)) < count - 1, 0, LOOP).astype(np.uint8),
        ids=n,
        fixed=n == 0,
        given=False,
    )


def lattice(seed: int, *, dims: int) -> Graph:
    draw = np.random.default_rng([0x47524944, seed])
    made = grid(
        int(draw.integers(40, 130)), seed=seed, dims=dims, width=5 if dims == 2 else 4,
        linear=draw.uniform(0.01, 0.08), angular=draw.uniform(0.005, 0.03),
    )  # fmt: skip
    return dataclasses.replace(made, translation=np.zeros_like(made.translation), given=False)


def spoilt(graph: Graph, *, seed: int, share: float, alike: bool) -> Graph:
    """With false loops, `share` of all, between any poses: each says another motion, or (`alike`) all say the same."""
    draw = np.random.default_rng([0x46414C53, seed])
    count = max(1, round(int((graph.kind == LOOP).sum()) * share / (1 - share)))
    first = draw.integers(0, len(graph) - 12, count)
    edges = np.stack([first, draw.integers(first + 4, len(graph))], axis=1)
    size = graph.information.shape[1]
    span = float(np.linalg.norm(graph.edge_translation[graph.kind != LOOP], axis=1).sum()) / 12
    bounds = np.repeat([span, 1.7], [graph.dims, size - graph.dims])
    said = (
        np.tile(np.resize([0.1, 0.2, 0.3], size), (count, 1)) if alike else draw.uniform(-bounds, bounds, (count, size))
    )
    turn, shift = geometry.exp(said)
    return dataclasses.replace(
        graph,
        edges=np.concatenate([graph.edges, edges]),
        edge_translation=np.concatenate([graph.edge_translation, shift]),
        edge_rotation=np.concatenate([graph.edge_rotation, turn]),
        information=np.concatenate([graph.information, np.tile(graph.information[-1], (count, 1, 1))]),
        kind=np.concatenate([graph.kind, np.full(count, LOOP, np.uint8)]),
    )


def rings(*, false: int, seed: int = 0) -> tuple[Graph, Graph]:
    """A ring whose odometry drifts by many times what loops leave, and the same with false loops."""
    clean = ring(seed, dims=2, drifting=True)
    share = false / (false + int((clean.kind == LOOP).sum()))
    return clean, spoilt(clean, seed=0, share=share, alike=True)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("family", ["ring 2", "ring 3", "grid 2", "grid 3"])
def test_a_robust_solution_costs_no_more_than_that_of_the_true_loops(family: str, share: float) -> None:
    """The robust cost is not above that to which the solution of the graph without its false loops leads."""
    name, dims = family.split()
    seed = int(100 * share) + int(dims)
    clean = (ring if name == "ring" else lattice)(seed, dims=int(dims))
    graph = spoilt(clean, seed=seed, share=share, alike=bool(seed % 2))
    true = optimise(clean).graph
    known = dataclasses.replace(graph, translation=true.translation, rotation=true.rotation, given=True)
    robust = LOSSES[(seed + len(name)) % len(LOSSES)]
    reached = optimise(known, robust=robust, initial="given").chi2
    assert optimise(graph, robust=robust).chi2 <= reached * (1 + 1e-4)


@pytest.mark.parametrize(("seed", "scale"), [(2, 3.0), (5, 1.345), (10, 3.0)])
def test_loops_that_agree_win_over_odometry_that_none_contradicts(seed: int, scale: float) -> None:
    """Odometry drifts so far that all loops lie beyond the scale: those that agree are kept, the false are rejected."""
    clean, graph = rings(false=4, seed=seed)
    true = optimise(clean).graph
    robust = Robust("geman-mcclure", scale=scale)
    found = optimise(graph, robust=robust)
    known = dataclasses.replace(graph, translation=true.translation, rotation=true.rotation, given=True)
    assert found.chi2 <= optimise(known, robust=robust, initial="given").chi2 * (1 + 1e-4)
    assert found.rejected[len(clean.edges) :].all()
    assert (found.rejected[: len(clean.edges)] & (clean.kind == LOOP)).sum() <= 4


def test_what_edges_weigh_is_the_derivative_of_the_loss() -> None:
    from thalweg_slam.posegraph.robust import CODES, influence

    squares = np.array([0.0, 0.3, 1.0, 7.0, 400.0])
    for loss, code in CODES.items():
        robust: Any = Robust(loss, scale=1.5)  # type: ignore[arg-type]
        expected = [influence(code, 1.5, each)[1] for each in squares]
        np.testing.assert_allclose(robust.weight(squares), expected)


def test_rejected_loops_are_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    _, graph = rings(false=4)
    found = optimise(graph, robust=Robust("geman-mcclure", scale=3.0))
    assert not optimise(graph).rejected.any() and optimise(graph).weights is None
    odometry = optimise(graph, initial="odometry", iterations=0,
                        robust=Robust("geman-mcclure", scale=1e-3))  # fmt: skip
    status = Status()
    for name, each in (("a", found), ("b", odometry), ("c", None)):
        status.add(each, source=name)
    with caplog.at_level(logging.WARNING, logger="thalweg"):
        status.say(logging.getLogger("thalweg"))
    loops, lost = int((graph.kind == LOOP).sum()), int(found.rejected.sum())
    assert f"a: by the robust loss {lost} of {loops} loops weigh nothing (less than 0.01)\n" in caplog.text
    assert (
        f"b: by the robust loss {loops} of {loops} loops weigh nothing (less than 0.01); the poses are" in caplog.text
    )
    assert status.arrays()["rejected"].tolist() == [lost, loops, 0]


def test_a_robust_solution_is_certified_without_what_it_rejects() -> None:
    """With false loops among plain squares there is a bound, and no error; without them there is a proof."""
    _, graph = rings(false=4)
    found = optimise(graph, robust=Robust("geman-mcclure", scale=3.0))
    every = certify(found.graph)
    assert not every.certified and every.given > every.bound
    assert f"of all {len(graph.edges)} edges" in str(every)
    near, best = certify(found.kept), certify(optimise(found.kept).graph)
    assert len(found.kept.edges) == len(graph.edges) - found.rejected.sum()
    assert near.optimal and near.relative < 0.1 and best.certified


@pytest.mark.bad_input("trajectories", "a certificate asked of {id}")
@pytest.mark.parametrize("what", ["a result, not a graph", "a graph without poses"])
def test_a_certificate_is_of_poses(what: str) -> None:
    graph = ring(0, dims=2)
    given: Any = optimise(graph) if what.startswith("a result") else graph
    with pytest.raises(OptionError, match=r"certify\(") as error:
        certify(given)
    assert "graph" in str(error.value.advice)


@pytest.mark.bad_input("trajectories", "{id} with its arguments in the wrong order")
@pytest.mark.parametrize("name", ["write_g2o", "write_toro", "write_tum", "write_store"])
def test_a_path_comes_first(name: str, tmp_path: Path) -> None:
    graph = ring(0, dims=3)
    call: dict[str, tuple[Any, Any]] = {
        "write_g2o": (write_g2o, graph),
        "write_toro": (write_toro, graph),
        "write_tum": (write_tum, Trajectory(graph.translation, graph.rotation)),
        "write_store": (write_store, [Problem(graph)]),
    }
    write, what = call[name]
    with pytest.raises(OptionError, match=f"{name} of a .* and '") as error:
        write(what, str(tmp_path / "a"))
    assert str(error.value.advice).startswith(f"write {name}(path, ")
    write(tmp_path / "a", what)
