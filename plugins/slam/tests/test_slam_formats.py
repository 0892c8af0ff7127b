"""Files: what is written is read back, what is wrong is named by its line, the shared data are what they are said."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from thalweg.errors import SourceError
from thalweg_slam import (
    Graph,
    Problem,
    Trajectory,
    read_euroc,
    read_g2o,
    read_kitti,
    read_store,
    read_toro,
    read_tum,
    write_g2o,
    write_store,
    write_tum,
)
from thalweg_slam.generate import Settings, tour
from thalweg_slam.graph import LOOP, ODOMETRY, PRIOR
from thalweg_slam.poses import between, rotation_vector

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
SLAM = SHARED / "data" / "slam"
needs_data = pytest.mark.skipif(not SLAM.is_dir(), reason=f"no data at {SLAM}")

EDGES = ("edges", "edge_translation", "edge_rotation", "information", "kind")
ARRAYS = ("translation", "rotation", *EDGES, "ids", "fixed")


def same(one: Graph, other: Graph) -> None:
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def small(dims: int) -> Problem:
    return tour(3, Settings(dims=dims, poses=(40, 40), gap=10))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["a.g2o", "a.g2o.gz"])
def test_g2o_there_and_back(tmp_path: Path, dims: int, name: str) -> None:
    graph = small(dims).graph
    write_g2o(tmp_path / name, graph)
    again = read_g2o(tmp_path / name, convention="vector")
    same(graph, again)
    assert again.given
    assert again.convention == "vector"


@pytest.mark.parametrize("dims", [2, 3])
def test_poses_that_are_not_given_are_composed(tmp_path: Path, dims: int) -> None:
    graph = small(dims).graph
    write_g2o(tmp_path / "a.g2o", graph)
    lines = [line for line in (tmp_path / "a.g2o").read_text().splitlines() if line.startswith("EDGE")]
    # Some edges say the way back; the names are GTSAM's symbols, beyond what a float can count.
    offset = ord("x") << 56
    renamed = []
    for line in lines:
        tag, first, second, *values = line.split()
        renamed.append(" ".join([tag, str(int(first) + offset), str(int(second) + offset), *values]))
    (tmp_path / "b.g2o").write_text("\n".join(renamed))
    again = read_g2o(tmp_path / "b.g2o")
    assert not again.given
    assert again.ids[3] - again.ids[2] == 1
    assert again.ids[0] == offset
    first = graph.translation[:1], graph.rotation[:1]
    shift, turn = between(first, (graph.translation, graph.rotation))
    np.testing.assert_allclose(again.translation, shift, atol=1e-12)
    alike = np.abs((again.rotation * turn).sum(axis=1)) if dims == 3 else np.cos(again.rotation - turn)
    np.testing.assert_allclose(alike, 1.0, atol=1e-12)


def test_priors_and_fixed_poses(tmp_path: Path) -> None:
    (tmp_path / "a.g2o").write_text(
        "VERTEX_SE2 7 0 0 0\nVERTEX_SE2 3 1 0 0\nFIX 7\n"
        "EDGE_SE2 7 3 -1 0 0 1 2 3 4 5 6\nEDGE_PRIOR_SE2 3 1 0 0 1 0 0 1 0 1\n"
    )
    graph = read_g2o(tmp_path / "a.g2o")
    assert graph.ids.tolist() == [3, 7]
    assert graph.fixed.tolist() == [False, True]
    assert graph.edges.tolist() == [[1, 0], [0, 0]]
    assert graph.kind.tolist() == [ODOMETRY, PRIOR]
    assert graph.information[0].tolist() == [[1, 2, 3], [2, 4, 5], [3, 5, 6]]
    write_g2o(tmp_path / "b.g2o", graph)
    same(graph, read_g2o(tmp_path / "b.g2o"))


def test_toro(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("EDGE2 0 1 1 2 0.5 1 2 4 6 3 5\n")
    plane = read_toro(tmp_path / "a.txt")
    assert plane.information[0].tolist() == [[1, 2, 3], [2, 4, 5], [3, 5, 6]]
    assert (plane.edge_translation.tolist(), plane.edge_rotation.tolist()) == ([[1, 2]], [0.5])
    info = " ".join(str(i) for i in range(21))
    (tmp_path / "b.txt").write_text(f"VERTEX3 0 0 0 0 0 0 0\nVERTEX3 1 1 2 3 .1 -.2 3\nEDGE3 0 1 1 2 3 .1 -.2 3 {info}")
    space = read_toro(tmp_path / "b.txt")
    wanted = Rotation.from_euler("z", 3) * Rotation.from_euler("y", -0.2) * Rotation.from_euler("x", 0.1)
    assert abs(space.edge_rotation[0] @ wanted.as_quat()) == pytest.approx(1)
    assert abs(space.rotation[1] @ wanted.as_quat()) == pytest.approx(1)
    assert space.information[0][1, 2] == 7


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_g2o, "EDGE_SE2 0 1 1 0 0 1 0 0 1 0 1\nEDGE_SE2 1 2 1 0\n", "a, line 2: 4 numbers"),
        (read_g2o, "EDGE_SE2 0 1 1 0 O 1 0 0 1 0 1\n", "a, line 1: 'O', which is not a number"),
        (read_g2o, "EDGE_SE2 0 1.5 1 0 0 1 0 0 1 0 1\n", "a, line 1: '1.5', which is not a whole number"),
        (read_g2o, "VERTEX_SE2 0 0 0 0\nEDGE_SE2 0 9 1 0 0 1 0 0 1 0 1\n", "line 2: an edge to pose 9, which the file"),
        (
            read_g2o,
            "VERTEX_SE2 0 0 0 0\nVERTEX_SE2 0 0 0 1\nEDGE_SE2 0 0 1 0 0 1 0 0 1 0 1\n",
            "pose 0 2 times, in lines 1, 2",
        ),
        (read_g2o, "VERTEX_XY 0 0 0\n", "a, line 1: lines of 'VERTEX_XY'"),
        (read_g2o, "VERTEX_SE2 0 0 0 0\n", "no edges"),
        (read_g2o, "# nothing\n\n", "is empty"),
        (read_toro, "EDGE_SE2 0 1 1 0 0 1 0 0 1 0 1\n", "do: read EDGE_SE2 and EDGE_SE3:QUAT with `read_g2o`"),
        (read_tum, "0 1 2 3 0 0 0 1\n0 1 2 3 0 0 0\n", "line 2: 7 numbers"),
        (read_kitti, "1 0 0 0\n", "line 1: 4 numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, read: Callable[[Path], Any], text: str, says: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "a")
    assert says in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_g2o(tmp_path / "absent.g2o")
    (tmp_path / "cut.g2o.gz").write_bytes(gzip.compress(b"EDGE_SE2 0 1")[:-6])
    with pytest.raises(SourceError, match="cannot be read"):
        read_g2o(tmp_path / "cut.g2o.gz")
    with pytest.raises(SourceError, match="no zarr group"):
        read_store(tmp_path / "absent.zarr")


def test_trajectories_there_and_back(tmp_path: Path) -> None:
    truth = small(3).truth
    assert truth is not None
    stamped = Trajectory(truth.translation, truth.rotation, np.arange(len(truth)) * 0.1)
    write_tum(tmp_path / "a.txt", stamped)
    again = read_tum(tmp_path / "a.txt")
    assert np.array_equal(again.translation, truth.translation)
    assert np.array_equal(again.stamps, stamped.stamps)  # type: ignore[arg-type]
    matrices = np.concatenate([Rotation.from_quat(truth.rotation).as_matrix(), truth.translation[:, :, None]], axis=2)
    np.savetxt(tmp_path / "b.txt", matrices.reshape(-1, 12), fmt="%.17g")
    np.savetxt(tmp_path / "times.txt", stamped.stamps, fmt="%.17g")
    kitti = read_kitti(tmp_path / "b.txt", times=tmp_path / "times.txt")
    np.testing.assert_allclose(np.abs((kitti.rotation * truth.rotation).sum(axis=1)), 1.0)
    assert np.array_equal(kitti.stamps, stamped.stamps)  # type: ignore[arg-type]
    first = 1403636580838555648
    rows = [
        ",".join([str(first + 5_000_000 * i), *map(repr, [*p, q[3], *q[:3], 0.1, 0.2])])
        for i, (p, q) in enumerate(zip(truth.translation.tolist(), truth.rotation.tolist(), strict=True))
    ]
    (tmp_path / "c.csv").write_text("#timestamp, p_x, ...\n" + "\n".join(rows))
    euroc = read_euroc(tmp_path / "c.csv")
    assert np.array_equal(euroc.rotation, truth.rotation)
    assert euroc.origin == first
    assert euroc.stamps is not None
    assert euroc.stamps[2] == pytest.approx(0.01)


@pytest.mark.parametrize("dims", [2, 3])
def test_many_graphs_in_one_store(tmp_path: Path, dims: int) -> None:
    problems = [tour(seed, Settings(dims=dims, poses=(30, 60), gap=10)) for seed in range(4)]
    write_store(tmp_path / "a.zarr", problems)
    for one, again in zip(problems, read_store(tmp_path / "a.zarr"), strict=True):
        same(one.graph, again.graph)
        assert again.graph.given == one.graph.given
        assert again.graph.attrs == one.graph.attrs
        assert again.truth is not None
        assert one.truth is not None
        assert np.array_equal(again.truth.rotation, one.truth.rotation)
        assert np.array_equal(again.trajectory, one.trajectory)  # type: ignore[arg-type]


def test_a_store_is_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="one number of dims"):
        write_store(tmp_path / "a.zarr", [small(2), small(3)])


@needs_data
@pytest.mark.parametrize(
    ("name", "dims", "poses", "edges", "loops", "given"),
    [
        ("smallGrid3D", 3, 125, 297, 173, True),
        ("sphere2500", 3, 2500, 4949, 2450, True),
        ("cubicle", 3, 5750, 16869, 11522, True),
        ("CSAIL", 2, 1045, 1172, 128, False),
        ("intel", 2, 1728, 2512, 785, True),
        ("kitti_00", 2, 4541, 4677, 137, False),
    ],
)
def test_shared_graphs(name: str, dims: int, poses: int, edges: int, loops: int, given: bool) -> None:
    graph = read_g2o(SLAM / "g2o" / f"{name}.g2o.gz")
    found = graph.dims, len(graph), len(graph.edges), int((graph.kind == LOOP).sum()), graph.given
    assert found == (dims, poses, edges, loops, given)


@needs_data
def test_toro_has_the_information_in_the_order_of_the_measurement() -> None:
    """The sphere's noise, known from its noise-free twin, is smallest in x and y angles, as its information says."""
    folder = SLAM / "groundtruth"
    noisy, exact = (read_toro(folder / f"sphere2500{name}.txt.gz") for name in ("", "_groundtruth"))
    shift, turn = between(*((each.edge_translation, each.edge_rotation) for each in (exact, noisy)))
    assert noisy.information[0].diagonal().tolist() == [10, 10, 10, 100, 100, 25]
    spread = np.concatenate([shift, rotation_vector(turn)], axis=1).std(axis=0)
    assert (spread[3:5] < spread[5]).all()
    assert (spread[5] < spread[:3]).all()
