"""What an optimiser says of graphs it cannot take, word for word: edges and poses by their names, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from thalweg.errors import ThalwegError
from thalweg_slam import Graph, optimise, optimise_many, repair
from thalweg_slam.posegraph.synthetic import grid

Array = np.ndarray[Any, np.dtype[Any]]


def graph(dims: int = 2) -> Graph:
    """Thirty poses, named from 1000 on."""
    made = grid(30, seed=8, dims=dims, width=5)
    return dataclasses.replace(made, ids=made.ids + 1000)


def put(array: Array, at: Any, value: object) -> Array:
    made = array.copy()
    made[at] = value
    return made


def keeping(whole: Graph, keep: Array) -> Graph:
    names = ("edges", "edge_translation", "edge_rotation", "information", "kind")
    return dataclasses.replace(whole, **{name: getattr(whole, name)[keep] for name in names})


def indefinite() -> Graph:
    whole = graph()
    return dataclasses.replace(
        whole, information=put(whole.information, (7, [0, 1], [1, 0]), 2 * whole.information[7, 0, 0])
    )


def disconnected() -> Graph:
    whole = graph()
    ahead = whole.edges < 15
    return keeping(whole, np.asarray(ahead.all(1) | ~ahead.any(1)))


def unmeasured(directions: Array) -> Graph:
    """The last pose is measured as `directions` has it."""
    whole = graph()
    last = (whole.edges == 29).any(1)
    level = dataclasses.replace(whole, edge_rotation=0 * whole.edge_rotation, rotation=0 * whole.rotation)
    return dataclasses.replace(level, information=put(whole.information, last, directions))


def scalar_first() -> Graph:
    whole = grid(60, seed=8, dims=3, width=4)
    straight = np.zeros_like(whole.edge_rotation)
    straight[:, 0] = 1
    return dataclasses.replace(whole, edge_rotation=straight)


CASES: dict[str, tuple[Graph, str]] = {
    "indefinite information": (
        indefinite(),
        "the information is indefinite at 1 of 49 edges: 7 (1007 to 1008)\n"
        "  allowed: positive semidefinite matrices\n"
        "  do: mend them: thalweg_slam.repair(graph, indefinite='project'), or 'isotropic'",
    ),
    "disconnected": (
        disconnected(),
        "the graph is in 2 pieces; held by nothing: 15 poses with 1015\n"
        "  allowed: one piece, or a fixed pose or prior in each\n"
        "  do: add an edge between them; or hold the first pose of each: gauge='each'",
    ),
    "measurement": (
        dataclasses.replace(graph(), edge_translation=put(graph().edge_translation, 3, np.nan)),
        "edge_translation is not finite at 1 of 49 edges: 3 (1003 to 1004)\n"
        "  allowed: numbers\n"
        "  do: leave these edges out",
    ),
    "not a number": (
        dataclasses.replace(graph(), information=put(graph().information, (4, 1, 1), np.inf)),
        "the information is not finite at 1 of 49 edges: 4 (1004 to 1005)\n"
        "  allowed: numbers\n"
        "  do: leave these edges out",
    ),
    "length of a quaternion": (
        dataclasses.replace(graph(3), edge_rotation=put(graph(3).edge_rotation, 6, 2 * graph(3).edge_rotation[6])),
        "the quaternion is not of norm 1 at 1 of 49 edges: 6 (1006 to 1007)\n"
        "  allowed: unit quaternions, x y z w\n"
        "  do: normalise them: thalweg_slam.repair(graph)",
    ),
    "w first": (
        scalar_first(),
        "quaternions seem to have w first: half turns along odometry, 59 of 118 edges: "
        "0 (0 to 1), 1 (1 to 2), 2 (2 to 3), 3 (3 to 4), 4 (4 to 5), ...\n"
        "  allowed: x y z w, as g2o has them\n"
        "  do: read the file with quaternion='wxyz'",
    ),
    "free pose": (
        unmeasured(np.zeros((3, 3))),
        "the measurements leave pose 1029 free; it has 2 of 49 edges: 28 (1028 to 1029), 48 (1020 to 1029)\n"
        "  allowed: information that fixes every pose against the gauge\n"
        "  do: add a prior or an edge there, leave the pose out, or damp: method='levenberg-marquardt'",
    ),
    "free direction": (
        unmeasured(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])),
        "the measurements leave pose 1029 free in a direction; it has 2 of 49 edges: "
        "28 (1028 to 1029), 48 (1020 to 1029)\n"
        "  allowed: information that fixes every pose against the gauge\n"
        "  do: add a prior or an edge there, leave the pose out, or damp: method='levenberg-marquardt'",
    ),
    "no edges": (
        keeping(graph(), np.zeros(len(graph().edges), bool)),
        "the graph has no edges\n  allowed: at least one\n  do: add measurements",
    ),
}


@pytest.mark.parametrize("precision", ["double", "mixed-adaptive"])
@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, precision: str) -> None:
    wrong, said = CASES[name]
    with pytest.raises(ThalwegError) as found:
        optimise(wrong, precision, initial="given")
    assert str(found.value) == said


@pytest.mark.parametrize("precision", ["double", "mixed-adaptive"])
@pytest.mark.parametrize("name", ["free pose", "free direction"])
def test_damping_holds_what_is_free(name: str, precision: str) -> None:
    found = optimise(CASES[name][0], precision, initial="given", method="levenberg-marquardt")
    assert found.converged
    assert np.isfinite(found.graph.translation).all()


def test_what_is_advised_helps() -> None:
    assert optimise(disconnected(), gauge="each").converged
    for name in ("indefinite information", "measurement", "length of a quaternion", "disconnected"):
        wrong = CASES[name][0]
        found = optimise(repair(wrong)[0])
        assert found.converged and found.chi2 < 3 * found.freedom, name


def test_without_loops_there_is_nothing_to_gain() -> None:
    whole = graph(3)
    for precision in ("double", "mixed", "mixed-adaptive"):
        found = optimise(keeping(whole, whole.kind == 0), precision)
        assert found.converged and found.chi2 < 1e-20 and len(found.history) < 5


def test_the_wrong_one_of_many_is_named() -> None:
    for backend in ("sparse", "dense"):
        with pytest.raises(ThalwegError, match=r"7 \(1007 to 1008\)"):
            optimise_many([graph(), indefinite()], backend=backend)
