"""Graphs of much noise, bad starts and uneven weights end at their optimum, or say that they do not; certificates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from thalweg.errors import OptionError
from thalweg_slam import Graph, certify, geometry, optimise
from thalweg_slam.graph import LOOP
from thalweg_slam.posegraph.damping import FIRST, Damping, Shortening
from thalweg_slam.posegraph.synthetic import grid
from thalweg_slam.residuals import chi2


def ring(count: int, *, seed: int, dims: int, noise: tuple[float, float]) -> Graph:
    """Once round with a few chords: a long chain whose ends meet, the hardest for Gauss-Newton."""
    draw = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(count) / count
    at = count / 6 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    half, blank = angle / 2, np.zeros(count)
    rotation = angle if dims == 2 else np.stack([blank, blank, np.sin(half), np.cos(half)], axis=1)
    at = at if dims == 2 else np.column_stack([at, blank])
    chords = [tuple(sorted(draw.choice(count, 2, replace=False))) for _ in range(count // 10)]
    edges = np.array([*((i, i + 1) for i in range(count - 1)), (count - 1, 0), *chords])
    spread = np.repeat(noise, [dims, 2 * dims - 3])
    one, other = ((rotation[edges[:, k]], at[edges[:, k]]) for k in (0, 1))
    off = geometry.exp(draw.normal(size=(len(edges), len(spread))) * spread)
    turn, shift = geometry.compose(geometry.compose(geometry.inverse(one), other), off)
    return Graph(
        translation=at, rotation=rotation, edges=edges, edge_translation=shift, edge_rotation=turn,
        information=np.tile(np.diag(spread**-2), (len(edges), 1, 1)),
        kind=np.where(np.arange(len(edges)) < count - 1, 0, LOOP).astype(np.uint8),
        ids=np.arange(count), fixed=np.arange(count) == 0,
    )  # fmt: skip


def weighed(graph: Graph, decades: float, *, seed: int) -> Graph:
    weight = 10 ** np.random.default_rng(seed).uniform(-decades / 2, decades / 2, len(graph.edges))
    return dataclasses.replace(graph, information=graph.information * weight[:, None, None])


def with_false_loops(graph: Graph, part: float, *, seed: int) -> Graph:
    """A part of the loops is anywhere, and weighs as much as the others: residuals that stay large."""
    draw = np.random.default_rng(seed)
    loops = np.flatnonzero(graph.kind == LOOP)
    false = draw.choice(loops, int(np.ceil(part * len(loops))), replace=False)
    shift, turn = graph.edge_translation.copy(), graph.edge_rotation.copy()
    shift[false] += 5 * draw.normal(size=shift[false].shape)
    if graph.dims == 2:
        turn[false] = draw.uniform(-np.pi, np.pi, len(false))
    else:
        any_turn = draw.normal(size=(len(false), 4))
        turn[false] = any_turn / np.linalg.norm(any_turn, axis=1, keepdims=True)
    return dataclasses.replace(graph, edge_translation=shift, edge_rotation=turn)


def scaled(graph: Graph, by: float, *, away: float = 0.0) -> Graph:
    """The same graph in other units of length, and far from the origin."""
    size = np.repeat([1 / by, 1.0], [graph.dims, 2 * graph.dims - 3])
    return dataclasses.replace(
        graph,
        translation=graph.translation * by + away,
        edge_translation=graph.edge_translation * by,
        information=graph.information * size * size[:, None],
    )


BASE = {dims: grid(150, seed=1, dims=dims, width=5, linear=0.1, angular=0.1) for dims in (2, 3)}
HARD: dict[str, tuple[Graph, str]] = {
    "ring": (ring(50, seed=0, dims=3, noise=(0.02, 0.3)), "given"),
    "ring, chordal": (ring(50, seed=0, dims=3, noise=(0.02, 0.3)), "auto"),
    "ring in the plane": (ring(120, seed=3, dims=2, noise=(0.1, 0.1)), "odometry"),
    "noise of half a radian": (grid(120, seed=0, dims=3, width=5, linear=0.05, angular=0.6), "odometry"),
    "noise of half a radian, chordal": (grid(120, seed=2, dims=3, width=5, linear=0.05, angular=0.6), "auto"),
    "uneven weights": (weighed(BASE[2], 8, seed=2), "odometry"),
    "uneven weights in space": (weighed(BASE[3], 8, seed=2), "odometry"),
    "far from the origin": (scaled(BASE[3], 1.0, away=4e6), "odometry"),
    "in tenths of millimetres": (scaled(BASE[2], 1e4), "odometry"),
    "in light-years": (scaled(BASE[3], 1e-8), "odometry"),
    "little information": (dataclasses.replace(BASE[3], information=1e-8 * BASE[3].information), "odometry"),
    "much information": (dataclasses.replace(BASE[2], information=1e8 * BASE[2].information), "odometry"),
    "a long chain": (ring(300, seed=0, dims=3, noise=(0.02, 0.1)), "odometry"),
    "a long chain in the plane": (ring(300, seed=0, dims=2, noise=(0.02, 0.3)), "odometry"),
    "a long chain, chordal": (ring(300, seed=0, dims=3, noise=(0.02, 0.3)), "auto"),
    "false loops": (with_false_loops(ring(120, seed=1, dims=3, noise=(0.02, 0.3)), 0.3, seed=1), "auto"),
    "false loops in the plane": (with_false_loops(ring(120, seed=0, dims=2, noise=(0.02, 0.3)), 0.3, seed=0), "auto"),
    "false loops of a grid": (
        with_false_loops(grid(120, seed=1, dims=3, width=5, linear=0.05, angular=0.6), 0.3, seed=1),
        "auto",
    ),
    "three poses": (grid(3, seed=0, dims=3, width=2, linear=1.0, angular=1.0), "odometry"),
}


@pytest.mark.parametrize("precision", ["double", "mixed-adaptive"])
@pytest.mark.parametrize("name", HARD)
def test_hard_graphs_end_at_their_optimum(name: str, precision: str) -> None:
    graph, initial = HARD[name]
    found = optimise(graph, precision, initial=initial)
    assert found.converged
    further: dict[str, Any] = {"initial": "given", "tolerance": 1e-15, "iterations": 100}
    least = min(
        optimise(found.graph, "double", method=method, **further).chi2  # type: ignore[arg-type]
        for method in ("gauss-newton", "levenberg-marquardt")
    )
    # What rounding leaves where measurements agree: 1e-9 of an edge.
    assert found.chi2 - least <= 1e-5 * least + 1e-9


def test_gtsam_agrees() -> None:
    """Its Levenberg-Marquardt, from the same start, on graphs on which Gauss-Newton's steps are refused."""
    gtsam = pytest.importorskip("gtsam", reason="gtsam is not installed")
    for name in ("ring", "noise of half a radian, chordal"):
        graph, initial = HARD[name]
        start = optimise(graph, "double", initial=initial, iterations=0).graph
        found = optimise(start, "double", initial="given")
        problem, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        order = [3, 4, 5, 0, 1, 2]

        def pose(rotation: Any, translation: Any) -> Any:
            x, y, z, w = rotation
            return gtsam.Pose3(gtsam.Rot3.Quaternion(w, x, y, z), translation)

        for i in range(len(graph)):
            values.insert(i, pose(start.rotation[i], start.translation[i]))
        problem.add(gtsam.NonlinearEqualityPose3(0, values.atPose3(0)))
        for e, (i, j) in enumerate(graph.edges.tolist()):
            noise = gtsam.noiseModel.Gaussian.Information(graph.information[e][np.ix_(order, order)])
            problem.add(gtsam.BetweenFactorPose3(i, j, pose(graph.edge_rotation[e], graph.edge_translation[e]), noise))
        options = gtsam.LevenbergMarquardtParams()
        options.setMaxIterations(2000)
        options.setRelativeErrorTol(1e-14)
        options.setAbsoluteErrorTol(1e-14)
        ended = gtsam.LevenbergMarquardtOptimizer(problem, values, options).optimize()
        assert found.chi2 <= 2 * problem.error(ended) * (1 + 1e-5), name
        assert chi2(found.graph) == pytest.approx(found.chi2, rel=1e-12)


def test_a_solve_that_did_not_converge_says_so() -> None:
    graph, initial = HARD["noise of half a radian"]
    found = optimise(graph, initial=initial, iterations=4)
    assert not found.converged
    assert len(found.history) == 4


def test_a_chain_is_bent_before_it_is_damped() -> None:
    """The optimum that short steps lead to: damping from the first refused step on ended at 8,000 and above."""
    found = optimise(HARD["a long chain"][0], "double", initial="odometry")
    assert found.chi2 == pytest.approx(1804.419, rel=1e-5)


def test_shortening_halves_doubles_and_ends() -> None:
    short = Shortening()
    assert short.enough(0.0, 1.0)
    short.refused()
    short.refused()
    assert short.fraction == 0.25
    # A short step must gain a part of what its slope promises.
    assert not short.enough(1e-6, 1.0) and short.enough(1e-4, 1.0)
    short.accepted(0.5, 1.0)
    assert short.fraction == 0.5 and not short.over
    for _ in range(3):
        short.fraction = 0.25
        short.accepted(1e-3, 1.0)
    assert short.over and short.fraction == 1.0
    other = Shortening()
    for _ in range(11):
        other.refused()
    assert other.over and other.fraction == 1.0


@pytest.mark.parametrize("dims", [2, 3])
def test_newton_converges_quadratically(dims: int) -> None:
    """From where damped least squares creep a few steps end at a gradient of nothing."""
    graph = with_false_loops(ring(50, seed=0, dims=dims, noise=(0.02, 0.3)), 0.3, seed=0)
    found = optimise(graph, "double", tolerance=1e-12)
    assert found.converged and len(found.history) < 400
    newton = [each for each in found.history if each.products]
    assert newton and all(each.direct for each in newton)
    again = optimise(found.graph, "double", initial="given", iterations=1)
    assert again.chi2 == pytest.approx(found.chi2, rel=1e-10)


def test_damping_stays_near_what_is_needed() -> None:
    """Where steps with less than 1e-6 are refused it stays within a hundred of it, and does not begin anew."""
    damping, values, refusals = Damping(), [], 0
    for _ in range(200):
        values.append(damping.value)
        if damping.value < 1e-6:
            damping.refused(1.0)
            refusals += 1
        else:
            damping.accepted(0.9, 1.0)
            damping.gained()
    assert values[:2] == [0, FIRST]
    assert min(values[20:]) > 1e-8 and max(values[20:]) < 1e-4
    assert refusals < 100


def test_a_small_gain_under_damping_is_not_the_end() -> None:
    damping = Damping(value=1.0)
    damping.accepted(1e-12, 1e-12)
    # Whatever was refused with about as much damping, much less of it is tried.
    damping.refused(1e-12)
    damping.accepted(1e-12, 1e-12)
    now = damping.value
    assert not damping.settled(1e-10)
    assert damping.value == pytest.approx(1e-3 * now)
    # Refused, though it promised much: the optimum is elsewhere. It promised nothing: this is it.
    damping.refused(5.0)
    assert damping.value == now
    assert not damping.settled(1e-10)
    damping.promised = 1e-12
    assert damping.settled(1e-10)


# Certificates


def test_a_certificate_speaks_of_the_poses_handed_in() -> None:
    graph = BASE[3]
    found = optimise(graph, "double").graph
    draw = np.random.default_rng(0)
    shaken = dataclasses.replace(found, translation=found.translation + 0.05 * draw.normal(size=(len(graph), 3)))
    best, worse = certify(found), certify(shaken)
    assert best.certified and worse.optimal and not worse.certified
    assert worse.given > best.given >= best.bound
    assert worse.bound == pytest.approx(best.bound, rel=1e-9)
    assert worse.absolute == pytest.approx(worse.given - worse.bound)
    assert worse.gap() == worse.relative == pytest.approx(worse.absolute / worse.bound)
    assert worse.chi2 == pytest.approx(chi2(shaken), rel=1e-12) and worse.chi2_best == pytest.approx(
        best.chi2, rel=1e-6
    )
    assert "of the poses handed in" in str(worse)


def test_a_certificate_is_of_the_convention_of_the_graph() -> None:
    """Isotropic information of the vector part: the chordal cost is chi2, and the optimum has no gap."""
    graph = dataclasses.replace(BASE[3], convention="vector")
    found = optimise(graph, "double", tolerance=1e-12)
    proof = certify(found.graph)
    assert proof.given == pytest.approx(found.chi2, rel=1e-9)
    assert proof.bound == pytest.approx(found.chi2, rel=1e-6)
    assert proof.certified and proof.relative < 1e-6
    angles = certify(dataclasses.replace(found.graph, convention="log"))
    assert angles.given > 1.5 * proof.given


def test_a_bound_holds_where_the_point_is_not_the_best() -> None:
    """A ring wound once too often: nothing below the bound, and the best above it."""
    count = 12
    turn, n = 2 * np.pi / count, np.arange(count)
    graph = dataclasses.replace(
        ring(count, seed=0, dims=2, noise=(1.0, 1.0)), translation=np.zeros((count, 2)), rotation=n * turn
    )
    straight = np.stack([n, (n + 1) % count], axis=1)
    graph = dataclasses.replace(
        graph, edges=straight, edge_translation=np.zeros((count, 2)), edge_rotation=np.zeros(count),
        information=np.tile(np.eye(3), (count, 1, 1)), kind=np.zeros(count, np.uint8),
    )  # fmt: skip
    wound = certify(graph)
    assert not wound.certified and wound.given == pytest.approx(wound.cost)
    assert wound.bound <= 0 <= wound.absolute
    assert certify(dataclasses.replace(graph, rotation=np.zeros(count))).certified


@pytest.mark.bad_input("trajectories", "a certificate asked of a graph with singular information")
@pytest.mark.parametrize("dims", [2, 3])
def test_a_certificate_of_singular_information_is_refused(dims: int) -> None:
    information = BASE[dims].information.copy()
    information[7, 0, 0] = 0.0
    with pytest.raises(OptionError, match=r"singular, or none, in 1 of .* edge 7"):
        certify(dataclasses.replace(BASE[dims], information=information))


def test_freedom_counts_the_directions_that_are_measured() -> None:
    graph = BASE[3]
    whole = optimise(graph, "double").freedom
    information = graph.information.copy()
    information[-1] = 0.0
    assert optimise(dataclasses.replace(graph, information=information), "double").freedom == whole - 6
    direction = np.array([1.0, 2.0, 0.0, 0.0, 1e3, 0.0])
    information[-1] = np.outer(direction, direction)
    assert optimise(dataclasses.replace(graph, information=information), "double").freedom == whole - 5


@pytest.mark.bad_input("trajectories", "information that is not symmetric")
def test_of_asymmetric_information_the_symmetric_part_weighs() -> None:
    graph = BASE[3]
    skew = np.triu(np.random.default_rng(0).normal(size=(6, 6)), 1)
    tilted = dataclasses.replace(graph, information=graph.information + 20 * (skew - skew.T))
    found = optimise(tilted, "double")
    assert found.chi2 == pytest.approx(chi2(found.graph), rel=1e-9)
    assert found.chi2 == pytest.approx(optimise(graph, "double").chi2, rel=1e-9)
