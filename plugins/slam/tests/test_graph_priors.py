"""Priors of some directions alone: a position holds no heading, wherever that is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg.errors import OptionError, RunError, SourceError
from thalweg_slam import Graph, certify, geometry, optimise, optimise_many, read_g2o, repair, validate
from thalweg_slam.graph import POSITION, PRIOR
from thalweg_slam.posegraph.synthetic import grid
from thalweg_slam.priors import free, with_gauge
from thalweg_slam.residuals import chi2
from thalweg_slam.validation import Defect

NOISE = 0.05
NONE = np.array([0.0, 0, 0, 1])

CASES: dict[str, tuple[int, list[int], list[float], int, Any, str]] = {
    "positions in the plane": (2, [3, 20, 35], [1, 1, 0], PRIOR, None, ""),
    "positions in the plane, no turn measured": (2, [3, 20, 35], [1, 1, 0], POSITION, 0.0, ""),
    "one position in the plane": (2, [3], [1, 1, 0], PRIOR, 0.0, "heading"),
    "one heading": (2, [30], [0, 0, 1], PRIOR, None, "x, y"),
    "x alone": (2, [0, 9, 20, 33], [1, 0, 0], POSITION, 0.0, "y"),
    "positions in space": (3, [0, 7, 20, 33], [1, 1, 1, 0, 0, 0], PRIOR, NONE, ""),
    "two positions in space": (3, [0, 33], [1, 1, 1, 0, 0, 0], POSITION, NONE, "1 direction askew"),
    "one position in space": (
        3,
        [7],
        [1, 1, 1, 0, 0, 0],
        PRIOR,
        NONE,
        "turn about x, turn about y, turn about z",
    ),
    "heights": (3, list(range(0, 40, 3)), [0, 0, 1, 0, 0, 0], POSITION, NONE, "x, y, turn about z"),
    "one rotation": (3, [7], [0, 0, 0, 1, 1, 1], PRIOR, None, "x, y, z"),
    "two full priors": (3, [7, 20], [1] * 6, PRIOR, None, ""),
}
"""Dims, poses, directions that weigh, kind, measured turn (None: the pose's), what is free."""


def scene(name: str, *, seed: int = 1) -> tuple[Graph, Graph]:
    """A walk moved far away and turned, with priors there: begun at home, and begun where it is."""
    dims, rows, directions, kind, turn, _ = CASES[name]
    draw, size = np.random.default_rng(seed), 3 * (dims - 1)
    walk = grid(40, seed=seed, dims=dims, width=6)
    scale = np.repeat([50.0, 2.0], [dims, size - dims])
    world = tuple(np.repeat(each[None], len(walk), 0) for each in geometry.exp(draw.normal(size=size) * scale))
    rotation, translation = geometry.compose(world, (walk.rotation, walk.translation))
    at = np.array(rows)
    error = geometry.exp(draw.normal(size=(len(at), size)) * NOISE * np.repeat([1, 0.1], [dims, size - dims]))
    seen = geometry.compose((rotation[at], translation[at]), error)
    swing = seen[0] if turn is None else np.repeat(np.asarray(turn)[None], len(at), 0)
    weight = np.repeat(np.diag(directions)[None] / NOISE**2, len(at), 0)
    graph = replace(
        walk,
        fixed=np.zeros(len(walk), bool),
        edges=np.concatenate([walk.edges, np.stack([at, at], 1)]),
        edge_translation=np.concatenate([walk.edge_translation, seen[1]]),
        edge_rotation=np.concatenate([walk.edge_rotation, swing]),
        information=np.concatenate([walk.information, weight]),
        kind=np.concatenate([walk.kind, np.full(len(at), kind)]).astype(np.uint8),
    )
    return graph, replace(graph, rotation=rotation, translation=translation)


@pytest.mark.bad_input("trajectories", "priors that hold a pose graph in some directions only: {id}")
@pytest.mark.parametrize("name", CASES)
def test_every_start_finds_the_optimum(name: str) -> None:
    home, there = scene(name)
    found = [each.names for each in free(home)]
    assert found == ([CASES[name][-1]] if CASES[name][-1] else [])
    wanted = optimise(with_gauge(there)[0], "double", initial="given").chi2
    graph, told = with_gauge(home)
    assert len(told) == len(found)
    assert not free(graph)
    for initial in ("chordal", "odometry", "spanning-tree"):
        for precision in ("double", "mixed-adaptive"):
            result = optimise(graph, precision, initial=initial)
            assert result.converged
            assert result.chi2 == pytest.approx(wanted, rel=1e-6)
    # What was added weighs nothing where the rest is met.
    result = optimise(graph, "double", tolerance=1e-14)
    assert chi2(home, (result.graph.translation, result.graph.rotation)) == pytest.approx(result.chi2, rel=1e-9)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[-1]])
def test_what_is_free_is_named_and_repaired(name: str) -> None:
    graph, _ = scene(name)
    with pytest.raises(RunError) as caught:
        optimise(graph)
    assert f"free: the part of pose 0: {CASES[name][-1]}" in str(caught.value)
    assert "thalweg_slam.repair(graph)" in str(caught.value)
    report = validate(graph)
    assert not report.ok
    assert report.counts[Defect.PARTIAL_GAUGE] == 1
    mended, told = repair(graph)
    assert told.ok
    assert "held at their first poses" in str(told)
    assert validate(mended).ok
    assert optimise(mended).converged


SQUARE = [
    "VERTEX_SE2 0 0 0 0",
    "VERTEX_SE2 1 1 0 1.5707963",
    "VERTEX_SE2 2 1 1 3.14159265",
    "VERTEX_SE2 3 0 1 -1.5707963",
    "EDGE_SE2 0 1 1.02 0.01 1.56 100 0 0 100 0 400",
    "EDGE_SE2 1 2 0.98 0.02 1.58 100 0 0 100 0 400",
    "EDGE_SE2 2 3 1.01 -0.01 1.55 100 0 0 100 0 400",
    "EDGE_SE2 3 0 1.03 0.0 1.57 100 0 0 100 0 400",
]


def square(path: Path, *lines: str) -> Graph:
    (path / "a.g2o").write_text("\n".join([*SQUARE, *lines]) + "\n")
    return read_g2o(path / "a.g2o")


def test_positions_of_a_file(tmp_path: Path) -> None:
    graph = square(tmp_path, "EDGE_PRIOR_SE2 0 0.1 0.2 0 10 0 0 10 0 0", "EDGE_PRIOR_SE2 2 1.3 0.9 0 10 0 0 10 0 0")
    for initial in ("chordal", "odometry", "spanning-tree", "given"):
        assert optimise(graph, initial=initial).chi2 == pytest.approx(0.103631788, rel=1e-7)


def test_a_file_with_one_position_is_held_and_says_so(tmp_path: Path) -> None:
    graph = square(tmp_path, "EDGE_PRIOR_SE2_XY 2 50 -20 10 0 10")
    assert graph.attrs["gauge"] == "pose 0: heading"
    assert graph.attrs["notes"] == ["held at pose 0, for no prior does: heading"]
    found = optimise(graph)
    assert found.chi2 == pytest.approx(0.093830000396, rel=1e-8)
    np.testing.assert_allclose(found.graph.translation[2], [50, -20], atol=1e-6)
    assert found.graph.rotation[0] == pytest.approx(0, abs=1e-6)


def test_priors_that_contradict_loops_do_not_wind_them(tmp_path: Path) -> None:
    """The chordal relaxation puts half a turn into the square itself: 4,421."""
    lines = [f"EDGE_PRIOR_SE2 {k} 0 0 0 100 0 0 100 0 400" for k in (1, 3)]
    for initial in ("chordal", "odometry", "spanning-tree", "given"):
        assert optimise(square(tmp_path, *lines), initial=initial).chi2 < 1406


def test_poses_that_are_not_known_are_no_place_to_begin() -> None:
    home, there = scene("positions in space")
    lost = replace(home, translation=np.full_like(home.translation, np.nan))
    wanted = optimise(there, "double", initial="given").chi2
    for initial in ("chordal", "odometry"):
        assert optimise(lost, "double", initial=initial).chi2 == pytest.approx(wanted, rel=1e-6)


def test_a_fixed_pose_and_positions(tmp_path: Path) -> None:
    graph = square(tmp_path, "FIX 0", "EDGE_PRIOR_SE2 2 1.3 0.9 2 10 0 0 10 0 0")
    assert not free(graph)
    values = [optimise(graph, initial=initial).chi2 for initial in ("chordal", "odometry", "given")]
    np.testing.assert_allclose(values, values[0], rtol=1e-7)


def test_singular_information_in_no_direction_of_an_axis(tmp_path: Path) -> None:
    """A prior of a position at a sensor that is turned and away from the pose: rank 3, and dense."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        turn = draw.normal(size=(2, 4))
        turn /= np.linalg.norm(turn, axis=1, keepdims=True)
        numbers = [" ".join(map(repr, each.tolist())) for each in (*turn, draw.normal(size=3), draw.normal(size=3))]
        weight = "100 0 0 0 0 0 100 0 0 0 0 100 0 0 0 0 0 0 0 0 0"
        (tmp_path / "a.g2o").write_text(
            f"PARAMS_SE3OFFSET 0 {numbers[2]} {numbers[0]}\nEDGE_SE3:QUAT 0 1 1 0 0 0 0 0 1 "
            "1 0 0 0 0 0 1 0 0 0 0 1 0 0 0 1 0 0 1 0 1\n"
            f"EDGE_SE3_PRIOR 1 0 {numbers[3]} {numbers[1]} {weight}\n"
        )
        found = optimise(read_g2o(tmp_path / "a.g2o"), "double")
        assert found.converged
        assert found.chi2 == pytest.approx(0, abs=1e-12)


def test_what_takes_no_priors_says_so() -> None:
    graph, there = scene("positions in the plane, no turn measured")
    with pytest.raises(OptionError, match="priors of the position alone"):
        optimise_many([graph], backend="dense")
    with pytest.raises(OptionError, match="take the priors out"):
        certify(there)


@pytest.mark.bad_input("trajectories", "an edge from a pose to itself in a graph of arrays")
def test_an_edge_of_one_pose_that_is_no_prior() -> None:
    graph, _ = scene("two full priors")
    wrong = replace(graph, kind=np.where(graph.kind == PRIOR, 1, graph.kind).astype(np.uint8))
    with pytest.raises(SourceError, match=r"an edge from a pose to itself that is no prior.*\(7 to 7\)"):
        optimise(wrong)
    assert validate(wrong).counts[Defect.SELF] == 2
    mended, report = repair(wrong)
    assert "edges from a pose to itself: 2" in str(report)
    assert optimise(mended).chi2 == pytest.approx(optimise(grid(40, seed=1, dims=3, width=6)).chi2, rel=1e-6)
