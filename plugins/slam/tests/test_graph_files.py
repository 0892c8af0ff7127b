"""Files of pose graphs as they come: what is obeyed, what is left out and said, and what is refused with its line."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg.errors import SourceError
from thalweg_slam import (
    Graph,
    Problem,
    Robust,
    optimise,
    read_g2o,
    read_store,
    read_toro,
    repair,
    write_g2o,
    write_store,
    write_toro,
)
from thalweg_slam.datasets.pose_graph import PoseGraph
from thalweg_slam.generate import Settings, tour
from thalweg_slam.geometry import adjoint, inverse
from thalweg_slam.graph import LOOP, ODOMETRY, POSITION, PRIOR, kinds
from thalweg_slam.residuals import chi2, errors

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
"""Once round a square; chi2 .09383 at the optimum."""
BEST = 0.093830000396
ARRAYS = (
    "translation",
    "rotation",
    "edges",
    "edge_translation",
    "edge_rotation",
    "information",
    "kind",
    "ids",
    "fixed",
)


def written(path: Path, *lines: str) -> Path:
    file = path / "a.g2o"
    file.write_text("\n".join(lines) + "\n")
    return file


def words(*parts: Any) -> str:
    return " ".join(repr(float(value)) for part in parts for value in np.ravel(part))


def semidefinite(draw: np.random.Generator, size: int) -> np.ndarray:
    root = draw.normal(size=(size, size))
    return np.asarray(root @ root.T + np.eye(size))


def triangle(matrix: np.ndarray) -> str:
    return words(matrix[np.triu_indices(len(matrix))])


@pytest.mark.bad_input("trajectories", "an edge of a pose graph from a pose to itself")
@pytest.mark.parametrize(("again", "constant"), [("0 0 0", "0"), ("0.1 0 0", "1"), ("0 0 0.1", "4")])
def test_an_edge_from_a_pose_to_itself_is_a_constant(
    tmp_path: Path, again: str, constant: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"EDGE_SE2 {k} {k} {again} 100 0 0 100 0 400" for k in (2, 3)]
    with caplog.at_level(logging.WARNING, logger="thalweg"):
        graph = read_g2o(written(tmp_path, *SQUARE, lines[0], "FIX 0"))
    assert "left out: 1 edges from a pose to itself (lines 9)" in caplog.text
    assert f"a constant of {constant}" in caplog.text
    assert graph.fixed.tolist() == [True, False, False, False]
    assert optimise(graph).chi2 == pytest.approx(BEST, rel=1e-8)
    assert optimise(read_g2o(written(tmp_path, *SQUARE, *lines))).chi2 == pytest.approx(BEST, rel=1e-8)
    with pytest.raises(SourceError, match="no edges between two poses"):
        read_g2o(written(tmp_path, *SQUARE[:4], *lines))


OUTLIERS = {
    "of the first step": "EDGE_SE2 0 1 30 0 0 100 0 0 100 0 400",
    "of a later step": "EDGE_SE2 1 2 30 0 0 100 0 0 100 0 400",
    "backwards": "EDGE_SE2 3 2 30 0 0 100 0 0 100 0 400",
    "far": "EDGE_SE2 0 2 30 0 0 100 0 0 100 0 400",
}


@pytest.mark.bad_input("trajectories", "a wrong loop between two poses that odometry joins as well: {id}")
@pytest.mark.parametrize("where", ["after", "before"])
@pytest.mark.parametrize("outlier", OUTLIERS.values(), ids=OUTLIERS)
def test_a_second_edge_between_neighbours_is_a_loop(tmp_path: Path, outlier: str, where: str) -> None:
    """Listed before odometry, an outlier is told by the poses that the file gives."""
    lines = [*SQUARE, outlier] if where == "after" else [*SQUARE[:4], outlier, *SQUARE[4:]]
    graph = read_g2o(written(tmp_path, *lines))
    steps = graph.edges[graph.kind == ODOMETRY]
    assert sorted(map(tuple, steps.tolist())) == [(0, 1), (1, 2), (2, 3)]
    assert np.abs(graph.edge_translation[graph.kind == ODOMETRY]).max() < 2
    found = optimise(graph, "double", robust=Robust("geman-mcclure", scale=3.0))
    assert found.chi2 == pytest.approx(9.09, abs=0.02)


def test_what_is_odometry() -> None:
    edges = np.array([[0, 1], [1, 2], [1, 0], [1, 2], [3, 2], [0, 2], [3, 3]])
    ids = np.array([5, 10, 15, 20])
    priors = np.array([0, 0, 0, 0, 0, 0, PRIOR], np.uint8)
    assert kinds(edges, ids=ids, priors=priors).tolist() == [0, 0, 1, 1, 0, 1, 2]
    weights = np.array([1e6, 0, 1, 1e6, 1e6, 1, 0])
    assert kinds(edges, ids=ids, priors=priors, chi2=weights).tolist() == [1, 0, 0, 1, 0, 1, 2]
    # Two robots, a and b, that meet once: the last of one and the first of the other do not follow one another.
    symbols = np.array([ord("a") << 56, (ord("a") << 56) + 1, ord("b") << 56, (ord("b") << 56) + 1])
    assert kinds(edges[:5], ids=symbols, priors=priors[:5]).tolist() == [0, 1, 1, 1, 0]
    assert kinds(np.array([[0, 1]]), ids=np.array([-1, 0]), priors=priors[:1]).tolist() == [0]


def test_odometry_may_be_declared(tmp_path: Path) -> None:
    file = written(tmp_path, *SQUARE)
    assert read_g2o(file, odometry=2).kind.tolist() == [0, 0, 1, 1]
    assert read_g2o(file, odometry=0).kind.tolist() == [1, 1, 1, 1]
    with pytest.raises(SourceError, match="odometry = 5"):
        read_g2o(file, odometry=5)
    assert PoseGraph(path=str(file), odometry=1).open()["edge_kind"].values.tolist() == [0, 1, 1, 1]


def test_edges_may_run_backwards_and_poses_come_in_any_order(tmp_path: Path) -> None:
    # Z E^-1 Z^-1 has the logarithm -Ad(Z) Log E.
    measured = np.array(1.56), np.array([1.02, 0.01])
    back, change = inverse(measured), np.linalg.inv(adjoint(measured))
    information = change.T @ np.diag([100.0, 100.0, 400.0]) @ change
    edge = f"EDGE_SE2 1 0 {words(back[1], back[0])} {triangle(information)}"
    graph = read_g2o(written(tmp_path, *SQUARE[3::-1], *SQUARE[7:4:-1], edge))
    assert graph.ids.tolist() == [0, 1, 2, 3]
    assert graph.kind.tolist() == [LOOP, ODOMETRY, ODOMETRY, ODOMETRY]
    assert optimise(graph).chi2 == pytest.approx(BEST, rel=1e-8)


def test_ids_of_64_bits_below_zero_and_with_gaps(tmp_path: Path) -> None:
    names = ["-7", "0", "12345678901234567", str(2**63 - 1)]
    text = written(tmp_path, *SQUARE).read_text().splitlines()
    renamed = []
    for line in text:
        tag, *rest = line.split()
        ends = 1 if tag.startswith("VERTEX") else 2
        renamed.append(" ".join([tag, *(names[int(each)] for each in rest[:ends]), *rest[ends:]]))
    graph = read_g2o(written(tmp_path, *renamed, f"FIX {names[3]}"))
    assert graph.ids.tolist() == [int(name) for name in names]
    assert graph.fixed.tolist() == [False, False, False, True]
    assert optimise(graph).chi2 == pytest.approx(BEST, rel=1e-8)
    write_g2o(tmp_path / "b.g2o", graph)
    again = read_g2o(tmp_path / "b.g2o")
    assert all(np.array_equal(getattr(graph, name), getattr(again, name)) for name in ARRAYS)


@pytest.mark.bad_input("trajectories", "a pose graph with lines of landmarks, or of words that nobody knows")
def test_lines_of_other_words_are_refused_or_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extra = ["VERTEX_XY 10 2 2", "EDGE_SE2_XY 0 10 2 2 100 0 100", "EDGE_SE2_XY 1 10 2 -1 100 0 100"]
    file = written(tmp_path, *extra[:1], *SQUARE, *extra[1:])
    with pytest.raises(SourceError, match=r"a.g2o, line 1: lines of 'VERTEX_XY' \(VERTEX_XY, EDGE_SE2_XY in all\)"):
        read_g2o(file)
    with caplog.at_level(logging.WARNING, logger="thalweg"):
        graph = read_g2o(file, unknown="skip")
    assert "left out: 1 lines of VERTEX_XY, 2 lines of EDGE_SE2_XY" in caplog.text
    assert graph.attrs["skipped"] == {"VERTEX_XY": 1, "EDGE_SE2_XY": 2}
    assert optimise(graph).chi2 == pytest.approx(BEST, rel=1e-8)
    assert PoseGraph(path=str(file), unknown="skip").open().sizes["node"] == 4
    toro = written(tmp_path, "EDGE2 0 1 1 0 0 1 0 1 1 0 0", "LANDMARK 7 1 1")
    with pytest.raises(SourceError, match="line 2: lines of 'LANDMARK'"):
        read_toro(toro)
    assert read_toro(toro, unknown="skip").attrs["skipped"] == {"LANDMARK": 1}


EDGE3 = "EDGE_SE3:QUAT 0 1 1 0 0 {} 1 0 0 0 0 0 1 0 0 0 0 1 0 0 0 1 0 0 1 0 1"
BAD = {
    "FIX of a word": ("FIX a", "line 9: FIX 'a', which is no id of a pose"),
    "FIX of a number that is not whole": ("FIX 1.5", "line 9: FIX '1.5'"),
    "FIX of a pose that the file does not give": ("FIX 0 77", "line 9: FIX of pose 77, which the file does not give"),
    "FIX of an id beyond 64 bits": ("FIX 99999999999999999999", "line 9: FIX '99999999999999999999'"),
    "an id that is not whole": ("EDGE_SE2 0 1.0 1 0 0 1 0 0 1 0 1", "line 9: '1.0', which is not a whole number"),
    "an id beyond 64 bits": ("EDGE_SE2 0 18446744073709551616 1 0 0 1 0 0 1 0 1", "which is beyond 64 bits"),
    "an edge to a pose that the file does not give": (
        "EDGE_SE2 0 8 1 0 0 1 0 0 1 0 1",
        "line 9: an edge to pose 8, which the file does not give",
    ),
    "a pose twice": ("VERTEX_SE2 2 0 0 0", "has pose 2 2 times, in lines 3, 9"),
    "a number too few": ("EDGE_SE2 0 2 1 0 0 1 0 0 1 0", "line 9: 10 numbers"),
    "a word among the numbers": ("EDGE_SE2 0 2 1 O 0 1 0 0 1 0 1", "line 9: 'O', which is not a number"),
    "a measurement that is not finite": ("EDGE_SE2 0 2 nan 0 0 1 0 0 1 0 1", "line 9: 'nan', which is not finite"),
    "information that is infinite": ("EDGE_SE2 0 2 1 0 0 inf 0 0 1 0 1", "line 9: 'inf', which is not finite"),
    "a number beyond float64": ("EDGE_SE2 0 2 1 0 0 1e999 0 0 1 0 1", "line 9: '1e999', which is not finite"),
    "a pose that is not finite": ("VERTEX_SE2 9 nan 0 0", "line 9: 'nan', which is not finite"),
    "poses in 2-D and in 3-D": (EDGE3.format("0 0 0 1"), "has poses in 2-D and in 3-D"),
}


@pytest.mark.bad_input("trajectories", "a g2o file with {id}")
@pytest.mark.parametrize(("line", "says"), BAD.values(), ids=BAD)
def test_a_line_that_is_wrong_is_refused_by_its_number(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_g2o(written(tmp_path, *SQUARE, line))
    assert says in str(caught.value)


@pytest.mark.bad_input("trajectories", "a g2o file with quaternions that are not of norm 1, or zero")
def test_quaternions_are_normalised_and_said_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turn = np.array([0.1, -0.2, 0.3, 0.9])
    unit = EDGE3.format(words(turn / np.linalg.norm(turn)))
    with caplog.at_level(logging.WARNING, logger="thalweg"):
        found = read_g2o(written(tmp_path, EDGE3.format(words(3 * turn))))
    assert "normalised: 1 quaternions (norm 2.924 in line 1)" in caplog.text
    np.testing.assert_allclose(found.edge_rotation, read_g2o(written(tmp_path, unit)).edge_rotation, atol=1e-15)
    with pytest.raises(SourceError, match=r"a\.g2o, line 2: a quaternion that is zero"):
        read_g2o(written(tmp_path, unit, EDGE3.format("0 0 0 0")))
    kept = read_g2o(written(tmp_path, unit, EDGE3.format("0 0 0 0")), invalid="keep")
    assert len(kept.edges) == 2


def test_what_is_not_finite_may_be_kept_for_repair(tmp_path: Path) -> None:
    file = written(tmp_path, *SQUARE, "EDGE_SE2 0 2 nan 0 0 1 0 0 1 0 1", "EDGE_PRIOR_SE2 0 nan 0 0 1 0 0 1 0 1")
    kept = read_g2o(file, invalid="keep")
    mended, report = repair(kept)
    assert "edges that are not finite: 2" in str(report)
    assert optimise(mended).chi2 == pytest.approx(BEST, rel=1e-8)


NO_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "of comments alone": (lambda path: path.write_bytes(b"# nothing\n\n"), "is empty"),
    "a folder": (lambda path: path.mkdir(), "it is a folder"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 4), "is a binary file"),
    "a damaged gzip file": (lambda path: path.write_bytes(b"\x1f\x8b\x08\x00" + bytes(50)), "cannot be read"),
    "absent": (lambda _: None, "cannot be read"),
    "a pipe that nobody writes": (lambda path: os.mkfifo(path), "it is no regular file"),
}


@pytest.mark.bad_input("trajectories", "a file of a pose graph that is {id}")
@pytest.mark.parametrize("read", [read_g2o, read_toro, lambda path: PoseGraph(path=str(path)).open()])
@pytest.mark.parametrize(("make", "says"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_of_a_graph(tmp_path: Path, make: Callable[[Path], Any], says: str, read: Any) -> None:
    make(tmp_path / "a.g2o")
    with pytest.raises(SourceError, match=says):
        read(tmp_path / "a.g2o")


def test_edges_without_poses(tmp_path: Path) -> None:
    graph = read_g2o(written(tmp_path, *SQUARE[4:]))
    assert not graph.given
    assert optimise(graph).chi2 == pytest.approx(BEST, rel=1e-8)


def with_priors(dims: int) -> Graph:
    """A tour with a prior of all, one of the position alone, a fixed pose, full information."""
    graph = tour(3, Settings(dims=dims, poses=(20, 20), gap=5)).graph
    draw, size = np.random.default_rng(1), 3 * (dims - 1)
    made = [semidefinite(draw, size) for _ in range(len(graph.edges) + 2)]
    made[-1][:, dims:] = made[-1][dims:, :] = 0.0
    turn = graph.rotation[[3, 5]].copy()
    turn[1] = 0.0 if dims == 2 else [0.0, 0.0, 0.0, 1.0]
    return replace(
        graph,
        edges=np.concatenate([graph.edges, [[3, 3], [5, 5]]]),
        edge_translation=np.concatenate([graph.edge_translation, graph.translation[[3, 5]] + 0.1]),
        edge_rotation=np.concatenate([graph.edge_rotation, turn]),
        information=np.stack(made),
        kind=np.concatenate([graph.kind, [PRIOR, POSITION]]).astype(np.uint8),
        fixed=np.arange(20) == 7,
        given=True,
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_there_and_back_between_all_formats(tmp_path: Path, dims: int) -> None:
    graph = with_priors(dims)
    value = chi2(graph)
    write_g2o(tmp_path / "a.g2o", graph)
    text = read_g2o(tmp_path / "a.g2o")
    write_store(tmp_path / "a.zarr", [Problem(text)])
    (stored,) = read_store(tmp_path / "a.zarr")
    for name in ARRAYS:
        assert np.array_equal(getattr(graph, name), getattr(stored.graph, name)), name
    assert chi2(stored.graph) == value
    with pytest.raises(SourceError, match="2 priors"):
        write_toro(tmp_path / "a.txt", graph)
    plain = replace(
        graph,
        **{name: getattr(graph, name)[:-2] for name in ARRAYS[2:7]},
        fixed=np.arange(20) == 0,
    )
    write_toro(tmp_path / "a.txt", plain)
    again = read_toro(tmp_path / "a.txt")
    assert chi2(again) == pytest.approx(chi2(plain), rel=1e-12)
    for name in ("edges", "information", "kind", "ids", "fixed"):
        assert np.array_equal(getattr(plain, name), getattr(again, name)), name


@pytest.mark.parametrize("dims", [2, 3])
def test_a_position_alone_is_a_plain_difference(tmp_path: Path, dims: int) -> None:
    """Whatever the heading: in the logarithm a shift is mixed with the turn."""
    graph = with_priors(dims)
    (row,) = np.flatnonzero(graph.kind == POSITION)
    error = errors(graph, (graph.translation, graph.rotation), edges=np.array([row]))[0]
    np.testing.assert_allclose(error[:dims], -0.1 * np.ones(dims), atol=1e-12)
    line = "EDGE_PRIOR_SE2_XY" if dims == 2 else "EDGE_SE3_XYZ_PRIOR"
    write_g2o(tmp_path / "a.g2o", graph)
    assert line in (tmp_path / "a.g2o").read_text()


def test_fixed_poses_stand_last(tmp_path: Path) -> None:
    write_g2o(tmp_path / "a.g2o", with_priors(3))
    tags = [line.split()[0] for line in (tmp_path / "a.g2o").read_text().splitlines()]
    assert tags[0] == "PARAMS_SE3OFFSET"
    assert tags[-1] == "FIX"


def gtsam() -> Any:
    return pytest.importorskip("gtsam", reason="GTSAM is not installed: the extra slam-peers")


def g2o() -> Any:
    return pytest.importorskip("g2opy", reason="g2opy is not installed: the extra slam-peers")


def small(dims: int) -> Graph:
    return replace(tour(3, Settings(dims=dims, poses=(40, 40), gap=10)).graph, given=True)


@pytest.mark.parametrize("dims", [2, 3])
def test_gtsam_reads_every_edge_of_what_we_write(tmp_path: Path, dims: int) -> None:
    graph = small(dims)
    write_g2o(tmp_path / "a.g2o", replace(graph, fixed=np.isin(np.arange(40), [0, 5, 9])))
    factors, values = gtsam().readG2o(str(tmp_path / "a.g2o"), dims == 3)
    assert (factors.size(), values.size()) == (len(graph.edges), len(graph))
    assert 2 * factors.error(values) == pytest.approx(chi2(graph), rel=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_gtsam_reads_on_past_priors(tmp_path: Path, dims: int) -> None:
    graph = with_priors(dims)
    write_g2o(tmp_path / "a.g2o", graph)
    factors, values = gtsam().readG2o(str(tmp_path / "a.g2o"), dims == 3)
    assert (factors.size(), values.size()) == (int((~graph.priors).sum()), len(graph))


def test_gtsam_reads_our_toro(tmp_path: Path) -> None:
    """Information of one weight: GTSAM takes that of EDGE3 in another order."""
    graph = small(3)
    graph = replace(graph, information=np.tile(3 * np.eye(6), (len(graph.edges), 1, 1)))
    write_toro(tmp_path / "a.txt", graph)
    factors, values = gtsam().readG2o(str(tmp_path / "a.txt"), True)
    assert 2 * factors.error(values) == pytest.approx(chi2(graph), rel=1e-9)


def test_gtsam_solves_partial_priors_as_we_do(tmp_path: Path) -> None:
    peer, graph = gtsam(), small(2)
    at = np.array([3, 20, 33])
    draw = np.random.default_rng(0)
    places = graph.translation[at] + draw.normal(size=(3, 2)) * 0.1
    lines = [f"EDGE_PRIOR_SE2 {k} {words(place, 0.3)} 10 0 0 20 0 0" for k, place in zip(at, places, strict=True)]
    write_g2o(tmp_path / "a.g2o", replace(graph, fixed=np.zeros(40, bool)))
    with (tmp_path / "a.g2o").open("a") as file:
        file.write("\n".join(lines))
    ours = optimise(read_g2o(tmp_path / "a.g2o"), "double")
    factors, values = peer.readG2o(str(tmp_path / "a.g2o"), False)
    noise = peer.noiseModel.Diagonal.Precisions(np.array([10.0, 20.0, 0.0]))
    for k, place in zip(at.tolist(), places, strict=True):
        factors.add(peer.PriorFactorPose2(k, peer.Pose2(*place, 0.3), noise))
    found = peer.Values()
    for k in range(40):
        found.insert(k, peer.Pose2(*ours.graph.translation[k], ours.graph.rotation[k]))
    assert 2 * factors.error(found) == pytest.approx(ours.chi2, rel=1e-9)
    parameters = peer.LevenbergMarquardtParams()
    parameters.setRelativeErrorTol(1e-12)
    best = peer.LevenbergMarquardtOptimizer(factors, values, parameters).optimize()
    assert ours.chi2 == pytest.approx(2 * factors.error(best), rel=1e-6)


def measured_by_g2o(file: Path) -> float:
    optimiser = g2o().SparseOptimizer()
    assert optimiser.load(str(file))
    optimiser.initialize_optimization()
    optimiser.compute_active_errors()
    return float(optimiser.active_chi2())


@pytest.mark.parametrize("dims", [2, 3])
def test_g2o_reads_what_we_write(tmp_path: Path, dims: int) -> None:
    g2o()
    graph = replace(with_priors(dims), convention="vector")
    assert (graph.kind == POSITION).any()
    write_g2o(tmp_path / "a.g2o", graph)
    assert measured_by_g2o(tmp_path / "a.g2o") == pytest.approx(chi2(graph), rel=1e-11)
