"""Files that were read as something else than they say: now as they say, or refused with advice that works."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from thalweg.errors import SourceError
from thalweg_slam import Problem, Trajectory, ate, read_g2o, read_tum, rpe, write_g2o, write_store, write_tum
from thalweg_slam.bundle import Bundle, findings, read_bal
from thalweg_slam.bundle.source import BundleFile
from thalweg_slam.datasets.pose_graph import PoseGraph
from thalweg_slam.generate import Settings, tour


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def drive(count: int = 40) -> Trajectory:
    """In the plane, turning left and right."""
    heading = np.cumsum(0.2 * np.random.default_rng(0).normal(size=count))
    at = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    return Trajectory(at, heading, np.arange(count) * 0.1)


def raised(planar: Trajectory, world: np.ndarray) -> Trajectory:
    """The same in space, in a world turned by a matrix from one whose z is up."""
    blank = np.zeros(len(planar))
    turn = Rotation.from_rotvec(np.stack([blank, blank, planar.rotation], axis=1))
    body = np.eye(3) if world[2, 2] > 0 else np.diag([1.0, -1.0, -1.0])
    made = Rotation.from_matrix(world @ turn.as_matrix() @ body)
    return Trajectory(np.column_stack([planar.translation, blank]) @ world.T, made.as_quat(), planar.stamps)


def graph_file(path: Path, planar: Trajectory, *, step: int = 1, extra: tuple[str, ...] = ()) -> Path:
    """Odometry without noise; ids from 0, a `step` apart."""
    lines = []
    for i, ((x, y), turn) in enumerate(zip(planar.translation, planar.rotation, strict=True)):
        lines.append(f"VERTEX_SE2 {i * step} {x} {y} {turn}")
    for i in range(len(planar) - 1):
        c, s = np.cos(planar.rotation[i]), np.sin(planar.rotation[i])
        u, v = planar.translation[i + 1] - planar.translation[i]
        turn = planar.rotation[i + 1] - planar.rotation[i]
        lines.append(f"EDGE_SE2 {i * step} {(i + 1) * step} {c * u + s * v} {c * v - s * u} {turn} 1 0 0 1 0 1")
    return written(path, *lines, *extra)


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_poses_in_the_plane_may_be_four(tmp_path: Path, count: int) -> None:
    """Four angles are no quaternion."""
    edges = [f"EDGE_SE2 {i} {i + 1} 1 0 0.5 1 0 0 1 0 1" for i in range(count - 1)]
    graph = read_g2o(written(tmp_path / "a.g2o", *edges))
    assert graph.rotation == pytest.approx(0.5 * np.arange(count))
    truth = Trajectory(graph.translation, 0.5 * np.arange(count))
    estimate = replace(truth, rotation=0.6 * np.arange(count))
    assert rpe(estimate, truth, by="none")["rot_rmse_deg"] == pytest.approx(np.rad2deg(0.1))


@pytest.mark.bad_input("trajectories", "a pose graph with the byte order mark of an editor")
def test_a_byte_order_mark_is_no_word(tmp_path: Path) -> None:
    lines = ("VERTEX_SE2 0 0 0 0", "VERTEX_SE2 1 1 0 0", "EDGE_SE2 0 1 1 0 0 1 0 0 1 0 1")
    plain = read_g2o(written(tmp_path / "a.g2o", *lines))
    marked = read_g2o(written(tmp_path / "b.g2o", "\ufeff" + lines[0], *lines[1:]))
    assert np.array_equal(plain.translation, marked.translation) and len(marked) == 2


@pytest.mark.bad_input("trajectories", "a number with an underscore, {id}")
@pytest.mark.parametrize("line", ["EDGE_SE2 0 1 2_3 0 0 1 0 0 1 0 1", "EDGE_SE2 0 1_0 1 0 0 1 0 0 1 0 1"])
def test_an_underscore_is_no_part_of_a_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceError, match=r"a.g2o, line 1: '.*_.*', which is not a (whole )?number"):
        read_g2o(written(tmp_path / "a.g2o", line))


@pytest.mark.bad_input("trajectories", "a pose given twice, once with the opposite quaternion")
def test_the_opposite_quaternion_is_the_same_pose(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["1.0 0 0 0 0.6 0 0 0.8", "2.0 1 0 0 0 0 0 1", "1.0 0 0 0 -0.6 0 0 -0.8"]
    with caplog.at_level(logging.WARNING, "thalweg"):
        assert len(read_tum(written(tmp_path / "a.tum", *rows))) == 2
    assert "dropped 1 rows (lines 3)" in caplog.text
    with pytest.raises(SourceError, match="another pose at the time of line 1"):
        read_tum(written(tmp_path / "b.tum", *rows[:2], "1.0 0 0 0 -0.6 0 0 0.8"))


@pytest.mark.bad_input("trajectories", "a row whose time is {id}, to be dropped")
@pytest.mark.parametrize("time", ["nan", "inf"])
def test_rows_without_a_time_are_dropped_if_told(tmp_path: Path, time: str) -> None:
    rows = [f"{i}.0 {i} 0 0 0 0 0 1" for i in range(4)]
    file = written(tmp_path / "a.tum", *rows, f"{time} 9 0 0 0 0 0 1")
    with pytest.raises(SourceError, match=f"line 5: the time is {time}"):
        read_tum(file)
    found = read_tum(file, rows="drop")
    assert len(found) == 4 and found.dropped == 1 and found.stamps is not None
    assert found.stamps.tolist() == [0, 1, 2, 3]


@pytest.mark.bad_input("trajectories", "a truth with a row left out, of a graph whose ids count its rows")
def test_rows_that_were_left_out_do_not_shift_the_others(tmp_path: Path) -> None:
    """Keyframes are told by the rows of their frames: without row 5 all after it would be another's."""
    planar = drive(60)
    write_tum(tmp_path / "t.tum", raised(planar, np.eye(3)))
    lines = (tmp_path / "t.tum").read_text().splitlines()
    lines[5] = lines[5].split()[0] + " nan" * 7
    written(tmp_path / "t.tum", *lines)
    keys = planar[slice(0, 57, 3)]
    part = PoseGraph(path=str(graph_file(tmp_path / "a.g2o", keys, step=3)), truth=str(tmp_path / "t.tum"), rows="drop")
    with pytest.raises(SourceError, match="1 rows were left out, and rows are told by their places"):
        part.open()
    both: dict[str, Any] = {"format": "tum", "path": str(tmp_path / "t.tum"), "truth": str(tmp_path / "t.tum")}
    with pytest.raises(SourceError, match="1 rows were left out"):
        PoseGraph(**both, rows="drop", pair="order").open()
    assert PoseGraph(**both, rows="drop").open().sizes["node"] == 59


DOWN = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""To a world of north, east and down."""


@pytest.mark.bad_input("trajectories", "a truth seen from below: {id}")
@pytest.mark.parametrize(("world", "wrong", "right"), [(np.eye(3), "yx", "xy"), (DOWN, None, "yx")], ids=["up", "down"])
def test_a_truth_that_turns_the_other_way_is_refused(tmp_path: Path, world: Any, wrong: Any, right: Any) -> None:
    planar = drive()
    write_tum(tmp_path / "t.tum", raised(planar, world))
    part = PoseGraph(path=str(graph_file(tmp_path / "a.g2o", planar)), truth=str(tmp_path / "t.tum"), plane=wrong)
    with pytest.raises(SourceError, match="turns the other way"):
        part.open()
    data = part.model_copy(update={"plane": right}).open()
    estimate = Trajectory(data["initial_position"].values, data["initial_rotation"].values[:, 0])
    truth = Trajectory(data["position"].values, data["rotation"].values[:, 0])
    assert ate(estimate, truth)["rmse"] < 1e-9 and rpe(estimate, truth, by="none")["trans_rmse"] < 1e-9


@pytest.mark.bad_input("trajectories", "a true graph with lines of landmarks")
def test_a_truth_is_read_as_the_graph_is(tmp_path: Path) -> None:
    planar = drive()
    truth = graph_file(tmp_path / "t.g2o", planar, extra=("VERTEX_XY 99 1 1",))
    part = PoseGraph(path=str(graph_file(tmp_path / "a.g2o", planar)), truth=str(truth), truth_format="g2o")
    with pytest.raises(SourceError, match="unknown='skip'"):
        part.open()
    assert part.model_copy(update={"unknown": "skip", "odometry": 39}).open()["position"].notnull().all()


@pytest.mark.bad_input("trajectories", "a truth beside a store, which has its own")
def test_a_store_has_its_own_truth(tmp_path: Path) -> None:
    graph = tour(0, Settings(dims=2, poses=(20, 20), gap=5)).graph
    write_store(tmp_path / "a.zarr", [Problem(graph)])
    write_g2o(tmp_path / "t.g2o", graph)
    part = PoseGraph(path=str(tmp_path / "a.zarr"), truth=str(tmp_path / "t.g2o"), truth_format="g2o")
    with pytest.raises(SourceError, match="no truth beside a store"):
        part.open()


HEAD = {"infinite": "2 1 inf", "1e300": "2 1 1e300", "zero": "0 1 2", "with an underscore": "2 1 0_2"}


@pytest.mark.bad_input("trajectories", "a bundle whose counts are {id}")
@pytest.mark.parametrize("head", HEAD.values(), ids=HEAD)
def test_counts_of_a_bundle(tmp_path: Path, head: str) -> None:
    file = written(tmp_path / "a.txt", head, "0 0 1 2", "1 0 1 2", *["0"] * 21)
    with pytest.raises(SourceError, match=r"counts of cameras|which is not a number"):
        read_bal(file, invalid="keep")


@pytest.mark.bad_input("trajectories", "an observation of 1e300 px")
def test_an_observation_whose_square_is_not_finite_is_named() -> None:
    blank = Bundle(np.zeros((2, 9)), np.zeros((1, 3)), np.array([[0, 0], [1, 0]]), np.array([[1.0, 2.0], [1e300, 0.0]]))
    (found,) = findings(blank)
    assert found.kind == "observation-not-finite" and str(found) == "observation 1: beyond 1e+100"


@pytest.mark.bad_input("trajectories", "a bundle whose cameras are numbered {id}")
@pytest.mark.parametrize(
    ("first", "gap", "rows"), [(0, 1, [0, 1, 2]), (1, 1, [0, 1, 2]), (5, 1, [5, 6, 7]), (0, 4, [0, 4, 8])]
)
def test_the_truth_of_a_camera_is_the_row_of_its_number(tmp_path: Path, first: int, gap: int, rows: list[int]) -> None:
    names = [first + gap * i for i in range(3)]
    poses = written(tmp_path / "p.txt", *(f"{name} 1 0 0 {i} 0 1 0 0 0 0 1 0 0 0 0 1" for i, name in enumerate(names)))
    seen = [f"{name} {j} {300 + j} {290 + j} {200 + j} {j - 5} {j % 3} 10" for name in names for j in range(10)]
    truth = Trajectory(np.arange(12.0)[:, None] * [1, 0, 0], np.tile([0.0, 0, 0, 1], (12, 1)), np.arange(12.0))
    write_tum(tmp_path / "t.tum", truth)
    source = BundleFile(
        path=str(written(tmp_path / "f.txt", *seen)),
        format="stereo",
        poses=str(poses),
        calibration=str(written(tmp_path / "c.txt", "500 500 0 320 240 0.5")),
        truth=str(tmp_path / "t.tum"),
        truth_format="tum",
    )
    assert source.open()["position"].values[:, 0].tolist() == rows
    short = source.model_copy(update={"truth": str(tmp_path / "s.tum")})
    write_tum(tmp_path / "s.tum", truth[slice(0, 2)])
    with pytest.raises(SourceError, match="a row for each number of a camera"):
        short.open()
