"""Errors of trajectories: exact cases, invariances, and evo's numbers on evo's own data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from thalweg.errors import OptionError
from thalweg_slam import Trajectory, align, associate, ate, planar, read_g2o, read_kitti, read_toro, read_tum, rpe
from thalweg_slam.generate import Settings, tour, trajectories
from thalweg_slam.poses import Array, compose, matrix_of, rotation_vector
from thalweg_slam.spanning import composed
from thalweg_slam.trajectory import umeyama

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
SLAM = SHARED / "data" / "slam"
needs_data = pytest.mark.skipif(not SLAM.is_dir(), reason=f"no data at {SLAM}")


def walk(dims: int, *, count: int = 50, seed: int = 0) -> Trajectory:
    random = np.random.default_rng(seed)
    at = random.normal(size=(count, dims)).cumsum(axis=0)
    turned = random.uniform(-3, 3, count) if dims == 2 else Rotation.random(count, random_state=seed).as_quat()
    return Trajectory(at, turned, np.arange(count) * 0.1)


def motion(dims: int, seed: int) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    turn = random.uniform(-3, 3, 1) if dims == 2 else Rotation.random(1, random_state=seed).as_quat()
    return 10 * random.normal(size=(1, dims)), turn


def moved(trajectory: Trajectory, by: tuple[Array, Array], *, scale: float = 1.0) -> Trajectory:
    at, turned = compose(*by, then=(trajectory.translation * scale, trajectory.rotation))
    return Trajectory(at, turned, trajectory.stamps)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), dims=st.sampled_from([2, 3]), scale=st.floats(0.1, 10))
def test_alignment_undoes_a_motion(seed: int, dims: int, scale: float) -> None:
    truth = walk(dims, seed=seed)
    estimate = moved(truth, motion(dims, seed), scale=scale)
    assert ate(estimate, truth, by="sim3")["max"] < 1e-9
    assert rpe(estimate, truth, by="sim3")["rot_rmse_deg"] < 1e-5
    rigid = moved(truth, motion(dims, seed))
    assert ate(rigid, truth, by="se3")["max"] < 1e-9
    assert ate(rigid, truth, by="origin")["max"] < 1e-9
    assert ate(truth, truth, by="none")["max"] == 0


def test_alignment_is_the_least_squares() -> None:
    truth = walk(3)
    noise = np.random.default_rng(5).normal(size=truth.translation.shape)
    estimate = moved(Trajectory(truth.translation + noise, truth.rotation), motion(3, 1))
    best = ate(estimate, truth)["rmse"]
    matrix, shift, _ = umeyama(estimate.translation, truth.translation)
    assert np.linalg.det(matrix) == pytest.approx(1)
    for k in range(6):
        tilt = Rotation.from_rotvec(0.01 * np.eye(6)[k, :3]).as_matrix()
        other = estimate.translation @ (tilt @ matrix).T + shift + 0.01 * np.eye(6)[k, 3:]
        assert np.sqrt(((other - truth.translation) ** 2).sum(axis=1).mean()) > best
    assert ate(estimate, truth, by="sim3")["rmse"] <= best <= ate(estimate, truth, by="origin")["rmse"]


def test_a_mirror_image_is_not_aligned() -> None:
    truth = walk(3)
    mirrored = Trajectory(truth.translation * [1, 1, -1], truth.rotation)
    assert ate(mirrored, truth)["rmse"] > 0.1


def test_known_errors() -> None:
    """A straight line whose yaw is off by one degree a step: relative errors are that, at any `delta`."""
    count, step = 20, np.deg2rad(1.0)
    truth = Trajectory(np.column_stack([np.arange(count), np.zeros(count)]).astype(float), np.zeros(count))
    odometry = np.ones((count - 1, 2)) * [1.0, 0.0], np.full(count - 1, step)
    edges = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    start = np.zeros((count, 2)), np.zeros(count)
    kind, roots = np.zeros(count - 1, dtype=np.uint8), np.arange(count) == 0
    (at, turned), _ = composed(edges, odometry, kind, start=start, roots=roots)
    estimate = Trajectory(at, turned)
    wanted = np.cumsum(np.exp(1j * step * np.arange(count - 1)))
    np.testing.assert_allclose(at[1:, 0] + 1j * at[1:, 1], wanted)
    assert rpe(estimate, truth)["trans_rmse"] == pytest.approx(0, abs=1e-12)
    assert rpe(estimate, truth, delta=5)["rot_rmse_deg"] == pytest.approx(5)
    assert ate(estimate, truth, by="none")["max"] == pytest.approx(abs(wanted[-1] - (count - 1)))


def test_composed_along_any_tree() -> None:
    """Exact measurements give exact poses: through gaps in the odometry, against the arrows, in parts of their own."""
    made = tour(1, Settings(poses=(60, 60), gap=10, reach=30.0, odometry_noise=(1e-15, 1e-15), bias=0.0))
    graph, truth = made.graph, made.truth
    assert truth is not None
    keep = ~((graph.kind == 0) & (graph.edges[:, 0] == 30)) & ~(
        (graph.edges < 5).any(axis=1) & (graph.edges > 4).any(axis=1)
    )
    edges, measured = graph.edges[keep], (graph.edge_translation[keep], graph.edge_rotation[keep])
    start = truth.translation, truth.rotation
    found, root = composed(edges, measured, graph.kind[keep], start=start, roots=graph.fixed)
    assert np.unique(root).tolist() == [0, 5]
    # Loops carry noise of 0.1 mrad; one of them joins what the gap parts.
    np.testing.assert_allclose(found[0], truth.translation, atol=1e-2)


def test_times_are_associated() -> None:
    truth = walk(2)
    assert truth.stamps is not None
    estimate = truth[np.array([3, 10, 20, 49])]
    late = Trajectory(estimate.translation, estimate.rotation, np.array([0.303, 1.0, 2.04, 4.9]))
    found, known = associate(late, truth)
    assert len(found) == len(known) == 3
    assert ate(found, known, by="none")["max"] == 0
    swapped = associate(truth, late)
    assert np.array_equal(swapped[0].translation, known.translation)
    with pytest.raises(OptionError, match=r"within 0\.01 s"):
        associate(Trajectory(late.translation, late.rotation, late.stamps + 100), truth)  # type: ignore[operator]


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(OptionError, match="an estimate of 49 poses") as caught:
        ate(walk(2)[1:], walk(2))
    assert "associate" in str(caught.value)
    with pytest.raises(OptionError, match="in 3-D"):
        align(walk(3), walk(2))


def test_rotations() -> None:
    drawn = Rotation.random(100, random_state=3)
    quaternion = drawn.as_quat()
    np.testing.assert_allclose(matrix_of(quaternion), drawn.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(rotation_vector(quaternion), drawn.as_rotvec(), atol=1e-12)
    np.testing.assert_allclose(rotation_vector(-quaternion), drawn.as_rotvec(), atol=1e-12)


@needs_data
def test_evo_sptam() -> None:
    truth, estimate = (read_kitti(SLAM / "trajectories" / f"KITTI_00_{name}.txt.gz") for name in ("gt", "SPTAM"))
    found = ate(estimate, truth)
    assert [f"{found[name]:.6f}" for name in ("rmse", "mean", "max")] == ["3.738488", "3.490977", "7.768977"]


@needs_data
def test_evo_orb_sim3() -> None:
    truth, estimate = (read_kitti(SLAM / "trajectories" / f"KITTI_00_{name}.txt.gz") for name in ("gt", "ORB"))
    found = ate(estimate, truth, by="sim3")
    assert [f"{found[name]:.6f}" for name in ("rmse", "mean", "max")] == ["0.937709", "0.872693", "2.693500"]


@needs_data
def test_kitti_from_above_is_the_graph_of_kitti() -> None:
    """The odometry of the graph agrees with the truth seen from above, frame by frame: axes and signs are right."""
    truth = planar(read_kitti(SLAM / "trajectories" / "KITTI_00_gt.txt.gz"))
    graph = read_g2o(SLAM / "g2o" / "kitti_00.g2o.gz")
    found = rpe(Trajectory(graph.translation, graph.rotation), truth)
    assert found["trans_rmse"] < 0.06
    assert found["rot_rmse_deg"] < 0.1


@needs_data
def test_tum_trajectories() -> None:
    folder = SLAM / "trajectories"
    pair = associate(*(read_tum(folder / f"freiburg1_xyz-{name}.txt.gz") for name in ("rgbdslam", "groundtruth")))
    assert len(pair[0]) == 785
    assert ate(*pair)["rmse"] < 0.02


@needs_data
def test_sphere_has_its_truth() -> None:
    truth = read_toro(SLAM / "groundtruth" / "sphere2500_groundtruth.txt.gz")
    graph = read_g2o(SLAM / "g2o" / "sphere2500.g2o.gz")
    assert np.array_equal(np.sort(graph.edges, axis=0), np.sort(truth.edges, axis=0))


def test_a_tour_is_split_where_runs_of_loops_begin() -> None:
    loops = np.array([[0, 20], [1, 21], [2, 22], [5, 60], [6, 62], [7, 99]])

    def lengths(shortest: int, longest: int) -> list[int]:
        return np.bincount(trajectories(100, loops, between=(shortest, longest))).tolist()  # type: ignore[no-any-return]

    # Loops at 20 to 22, at 60 and 62, and at 99, which is too near the end to begin a piece.
    assert lengths(10, 100) == [20, 40, 40]
    assert lengths(1, 100) == [20, 40, 2, 37, 1]
    assert lengths(10, 39) == [20, 20, 20, 20, 20]
    assert lengths(10, 15) == [10, 10, 13, 14, 13, 13, 14, 13]
    assert np.bincount(trajectories(100, loops[:0], between=(10, 100))).tolist() == [100]
