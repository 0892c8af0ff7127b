"""What is wrong with a graph is named, and mended where it can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from thalweg.errors import SourceError
from thalweg_slam import Graph, read_g2o, repair, validate, write_g2o
from thalweg_slam.generate import Settings, tour
from thalweg_slam.poses import Array
from thalweg_slam.validation import Defect, pose_name


@pytest.fixture(params=[2, 3])
def graph(request: pytest.FixtureRequest) -> Graph:
    return tour(5, Settings(dims=request.param, poses=(50, 50), gap=10)).graph


@pytest.fixture
def space() -> Graph:
    return tour(5, Settings(poses=(50, 50), gap=10)).graph


def put(array: Array, at: object, value: object) -> Array:
    made = array.copy()
    made[at] = value
    return made


def indefinite(graph: Graph) -> Graph:
    return replace(graph, information=put(graph.information, (4, 0, 0), -graph.information[4, 0, 0]))


def twice(graph: Graph) -> Graph:
    names = ("edges", "edge_translation", "edge_rotation", "information", "kind")
    return replace(graph, **{name: getattr(graph, name)[[*range(len(graph.edges)), 7]] for name in names})


def apart(graph: Graph) -> Graph:
    kept = (graph.edges < 20).all(axis=1) | (graph.edges >= 20).all(axis=1)
    names = ("edges", "edge_translation", "edge_rotation", "information", "kind")
    return replace(graph, **{name: getattr(graph, name)[kept] for name in names})


CASES: dict[Defect, tuple[Callable[[Graph], Graph], str, str]] = {
    Defect.NOT_FINITE_EDGE: (
        lambda graph: replace(graph, edge_translation=put(graph.edge_translation, (3, 0), np.nan)),
        "edge 3 (3 -> 4)",
        "dropped",
    ),
    Defect.NOT_FINITE_POSE: (
        lambda graph: replace(graph, translation=put(graph.translation, 9, np.inf)),
        "pose 9",
        "all poses composed of odometry",
    ),
    Defect.ASYMMETRIC: (
        lambda graph: replace(graph, information=put(graph.information, (2, 0, 1), 1.0)),
        "edge 2 (2 -> 3)",
        "their symmetric part taken",
    ),
    Defect.INDEFINITE: (indefinite, "edge 4 (4 -> 5)", "negative eigenvalues set to zero"),
    Defect.COPY: (twice, "edge ", ""),
    Defect.DISCONNECTED: (apart, "pose 0, pose 20", ""),
    Defect.NO_GAUGE: (
        lambda graph: replace(graph, fixed=np.zeros_like(graph.fixed)),
        "pose 0",
        "their first poses fixed",
    ),
}


def test_nothing_is_wrong_with_a_tour(graph: Graph) -> None:
    report = validate(graph)
    assert report.ok
    assert not report.findings
    assert str(report).endswith("nothing wrong")
    mended, report = repair(graph)
    assert not report.findings
    for name in ("translation", "edges", "information", "fixed"):
        assert np.array_equal(getattr(mended, name), getattr(graph, name))


@pytest.mark.parametrize("defect", CASES, ids=lambda defect: defect.name.lower())
def test_each_defect_is_named_and_mended(graph: Graph, defect: Defect) -> None:
    spoil, where, done = CASES[defect]
    spoiled = spoil(graph)
    report = validate(spoiled)
    found = {each.defect: each for each in report.findings}
    assert found[defect].count == (2 if defect is Defect.DISCONNECTED else 1)
    assert found[defect].where.startswith(where)
    mended, told = repair(spoiled)
    assert {each.defect: each.done for each in told.findings}[defect] == done
    assert told.ok
    assert validate(mended).ok
    assert all(np.isfinite(each).all() for each in (mended.translation, mended.edge_translation, mended.information))


def test_a_part_of_its_own_gets_a_gauge(graph: Graph) -> None:
    mended, report = repair(apart(graph))
    assert np.flatnonzero(mended.fixed).tolist() == [0, 20]
    assert "disconnected parts: 2 (pose 0, pose 20)" in str(report)


def test_quaternions(space: Graph) -> None:
    long = replace(space, edge_rotation=put(space.edge_rotation, 6, 2 * space.edge_rotation[6]))
    assert validate(long).counts == {Defect.NOT_UNIT: 1}
    mended, _ = repair(long)
    np.testing.assert_allclose(mended.edge_rotation, space.edge_rotation, atol=1e-15)
    none = replace(space, edge_rotation=put(space.edge_rotation, 6, 0.0))
    assert len(repair(none)[0].edges) == len(space.edges) - 1


def test_w_first_is_seen(tmp_path: object, space: Graph) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "a.g2o"
    write_g2o(
        path,
        replace(space, edge_rotation=space.edge_rotation[:, [3, 0, 1, 2]], rotation=space.rotation[:, [3, 0, 1, 2]]),
    )
    wrong = read_g2o(path)
    assert Defect.SCALAR_FIRST in validate(wrong).counts
    with pytest.raises(SourceError, match="quaternion='wxyz'"):
        repair(wrong)
    right = read_g2o(path, quaternion="wxyz")
    assert np.array_equal(right.edge_rotation, space.edge_rotation)


def test_what_becomes_of_indefinite_information(graph: Graph) -> None:
    spoiled = indefinite(graph)
    projected, _ = repair(spoiled)
    values = np.linalg.eigvalsh(projected.information[4])
    assert values[0] == pytest.approx(0, abs=1e-9 * values[-1])
    # The nearest positive semidefinite matrix differs by the negative part alone.
    assert np.linalg.norm(projected.information[4] - spoiled.information[4]) == pytest.approx(
        abs(np.linalg.eigvalsh(spoiled.information[4])[0])
    )
    isotropic, report = repair(spoiled, indefinite="isotropic")
    shift = np.diag(isotropic.information[4])[: graph.dims]
    assert shift == pytest.approx(spoiled.information[4].diagonal()[: graph.dims].mean())
    assert "made isotropic" in str(report)
    with pytest.raises(SourceError, match=r"indefinite information matrices: 1 \(edge 4 \(4 -> 5\)\)"):
        repair(spoiled, indefinite="refuse")


def test_copies_can_be_dropped(graph: Graph) -> None:
    mended, report = repair(twice(graph), duplicates="drop")
    assert len(mended.edges) == len(graph.edges)
    assert "dropped" in str(report)


def test_a_graph_without_loops_is_told(graph: Graph) -> None:
    names = ("edges", "edge_translation", "edge_rotation", "information", "kind")
    alone = replace(graph, **{name: getattr(graph, name)[graph.kind == 0] for name in names})
    report = validate(alone)
    assert report.ok
    assert "graphs without a loop: 1 (there is nothing to optimise)" in str(report)


def test_symbols_have_names() -> None:
    assert pose_name((ord("a") << 56) + 12) == "a12"
    assert pose_name(12) == "12"
