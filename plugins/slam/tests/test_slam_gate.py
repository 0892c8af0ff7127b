"""The gate of trajectories: what is wrong with a file is refused with its line, or mended and said; evo agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation
from thalweg import Samples
from thalweg.errors import OptionError, SourceError
from thalweg_slam import (
    Graph,
    Trajectory,
    associate,
    ate,
    planar,
    read_euroc,
    read_kitti,
    read_tum,
    rpe,
    write_g2o,
    write_tum,
)
from thalweg_slam.datasets.pose_graph import PoseGraph
from thalweg_slam.methods.dead_reckoning import DeadReckoning
from thalweg_slam.metrics.ate import AbsoluteTrajectoryError

EPOCH = 1_403_636_579_763_555_072
"""ns; a float of as many seconds has no digits below 0.2 microseconds."""


def loop(count: int = 40, *, noise: float = 0.0, seed: int = 0) -> Trajectory:
    """Once round, rising and sinking, at 20 Hz."""
    random = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    at = np.stack([3 * np.cos(angle), 3 * np.sin(angle), 0.4 * np.sin(3 * angle)], axis=1)
    turn = Rotation.from_euler("ZYX", np.stack([angle + np.pi / 2, 0.05 * np.cos(angle), 0 * angle], axis=1))
    turn = turn * Rotation.from_rotvec(noise * random.normal(size=(count, 3)))
    exact = EPOCH + 50_000_000 * np.arange(count)
    at = at + noise * random.normal(size=at.shape)
    return Trajectory(at, turn.as_quat(), exact / 1e9, exact=exact)


def tum_lines(trajectory: Trajectory, *, comma: str = " ") -> list[str]:
    rows = np.column_stack([trajectory.translation, trajectory.rotation])
    times = trajectory.nanoseconds.tolist()
    return [
        comma.join([f"{t // 10**9}.{t % 10**9:09d}", *(f"{each:.9f}" for each in row)])
        for t, row in zip(times, rows, strict=True)
    ]


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def scored(**options: Any) -> tuple[xr.DataArray, dict[str, float]]:
    """ATE by SE(3) of what the pipeline reads, and what is told beside it."""
    samples = Samples.of(PoseGraph(**options).open())
    free = DeadReckoning().solve(samples.inputs(slice(None)), samples.wanted)
    found = AbsoluteTrajectoryError().value(free, samples.truth(slice(None)))
    return found.sel(statistic="rmse", over="mean"), found.attrs["told"]


# Files


@pytest.mark.bad_input("trajectories", "a TUM or KITTI file with {id}: refused, with the line")
@pytest.mark.parametrize(
    ("read", "change", "says"),
    [
        (read_tum, lambda rows: rows.__setitem__((4, slice(1, 8)), np.nan), "line 5: numbers that are not finite"),
        (read_tum, lambda rows: rows.__setitem__((6, 2), np.inf), "line 7: numbers that are not finite"),
        (read_tum, lambda rows: rows.__setitem__((3, 7), np.nan), "line 4: numbers that are not finite"),
        (read_tum, lambda rows: rows.__setitem__((3, slice(4, 8)), 0), "line 4: a quaternion that is zero"),
        (read_tum, lambda rows: rows.__setitem__((3, 0), np.nan), "line 4: the time is nan"),
        (read_tum, lambda rows: rows.__setitem__((9, 0), rows[8, 0]), "line 10: another pose at the time of line 9"),
        (read_tum, lambda rows: rows.__setitem__((slice(None), 0), 1.4e18), "before the year 2255"),
        (read_kitti, lambda rows: rows.__setitem__(7, 0), "line 8: no rotation"),
        (read_kitti, lambda rows: rows.__setitem__((5, 3), np.nan), "line 6: numbers that are not finite"),
        (read_kitti, lambda rows: rows.__setitem__((5, 0), np.nan), "line 6: numbers that are not finite"),
        (read_kitti, lambda rows: rows.__setitem__((2, slice(0, 3)), -rows[2, :3]), "line 3: no rotation"),
    ],
    ids=[
        "a row of NaN", "an infinite position", "a NaN in a quaternion", "a zero quaternion", "a NaN time",
        "two poses at one time", "times in ns", "a zero matrix", "a NaN position", "a NaN in a rotation",
        "a left-handed rotation",
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_line(
    tmp_path: Path, read: Callable[[Path], Any], change: Callable[[Any], None], says: str
) -> None:
    made = loop()
    if read is read_kitti:
        rotation = Rotation.from_quat(made.rotation).as_matrix()
        rows = np.concatenate([rotation, made.translation[:, :, None]], axis=2).reshape(-1, 12)
    else:
        rows = np.column_stack([np.arange(len(made)) * 0.05, made.translation, made.rotation])
    change(rows)
    np.savetxt(tmp_path / "a.txt", rows)
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "a.txt")
    assert "a.txt" in str(caught.value)
    assert says in str(caught.value)
    assert "do: " in str(caught.value)


@pytest.mark.bad_input("trajectories", "{id}: read as what it says")
@pytest.mark.parametrize(
    "lines",
    [
        lambda rows: ["# time x y z qx qy qz qw", "", *rows],
        lambda rows: ["timestamp,tx,ty,tz,qx,qy,qz,qw", *(row.replace(" ", ",") for row in rows)],
        lambda rows: [row.replace(" ", ", ") for row in rows],
        lambda rows: [row.replace(" ", "\t") + "  \r" for row in rows],
        lambda rows: ["\ufeff" + rows[0], *rows[1:]],
        lambda rows: [*rows[20:], *rows[:20]],
        lambda rows: [*rows[::-1], "# the end"],
        lambda rows: [each for row in rows for each in (row, row)],
    ],
    ids=[
        "a TUM file with a comment at its top", "a TUM file of commas with names at its top", "a TUM file with commas",
        "a TUM file with tabs and carriage returns", "a TUM file with a byte order mark", "a TUM file out of order",
        "a TUM file in reverse", "a TUM file with every row twice",
    ],
)  # fmt: skip
def test_variants_are_read(tmp_path: Path, lines: Callable[[list[str]], list[str]]) -> None:
    made = loop()
    plain = read_tum(written(tmp_path / "plain.txt", tum_lines(made)))
    again = read_tum(written(tmp_path / "a.txt", lines(tum_lines(made))))
    assert np.array_equal(again.translation, plain.translation)
    assert np.array_equal(again.rotation, plain.rotation)
    assert np.array_equal(again.nanoseconds, made.nanoseconds)


def test_what_is_mended_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = tum_lines(loop())
    mixed = [*lines[10:], *lines[:10], lines[3]]
    numbers = mixed[5].split()
    mixed[5] = " ".join([*numbers[:4], *(f"{float(each):.1f}" for each in numbers[4:])])
    mixed[7] = " ".join([mixed[7].split()[0], *["nan"] * 7])
    with caplog.at_level(logging.WARNING, "thalweg"):
        found = read_tum(written(tmp_path / "a.txt", mixed), rows="drop")
    said = "\n".join(each.getMessage() for each in caplog.records)
    assert "not in order of time (2 steps back); sorted" in said
    assert "normalised 1 quaternions" in said and "in line 6)" in said
    assert "dropped 1 rows (lines 8)" in said
    assert "dropped 1 rows (lines 41), whose times are there already" in said
    assert len(found) == 39
    np.testing.assert_allclose(np.linalg.norm(found.rotation, axis=1), 1, rtol=1e-14)
    assert (np.diff(found.nanoseconds) > 0).all()


def test_times_keep_their_digits(tmp_path: Path) -> None:
    made = loop()
    rows = np.column_stack([made.translation, made.rotation[:, 3], made.rotation[:, :3], np.zeros(len(made))])
    lines = [
        ",".join([str(t), *map(repr, row)]) for t, row in zip(made.nanoseconds.tolist(), rows.tolist(), strict=True)
    ]
    euroc = read_euroc(written(tmp_path / "data.csv", ["#timestamp, p_x, ...", *lines]))
    write_tum(tmp_path / "a.tum", euroc)
    assert (tmp_path / "a.tum").read_text().split()[0] == "1403636579.763555072"
    again = read_tum(tmp_path / "a.tum")
    assert np.array_equal(again.nanoseconds, made.nanoseconds)
    assert again.stamps is not None and again.stamps[0] == pytest.approx(EPOCH / 1e9)
    assert np.array_equal(again.translation, made.translation)
    # The same in other units, declared.
    micro = [line.replace(".", "", 1).split(" ", 1) for line in tum_lines(made)]
    coarse = written(tmp_path / "us.tum", [f"{t[:-3]} {rest}" for t, rest in micro])
    assert np.array_equal(read_tum(coarse, unit="us").nanoseconds, made.nanoseconds // 1000 * 1000)
    seconds = written(tmp_path / "s.csv", [line.replace(" ", ",") for line in tum_lines(made)])
    with pytest.raises(SourceError, match="whole ns"):
        read_euroc(seconds)


# Pairs


def test_a_pose_and_its_truth_have_one_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Out of order, of other lengths, on another clock: the same pairs; and how many they are is said."""
    truth, estimate = loop(), loop(noise=0.02)
    wanted = ate(estimate, truth)["rmse"]
    order = np.random.default_rng(3).permutation(len(truth))
    lines = tum_lines(truth)
    paths = {
        "truth": written(tmp_path / "truth.tum", [lines[i] for i in order]),
        "path": written(tmp_path / "estimate.tum", tum_lines(estimate)),
    }
    common = {"format": "tum", **{name: str(path) for name, path in paths.items()}}
    with caplog.at_level(logging.INFO, "thalweg"):
        error, told = scored(**common)
    assert error == pytest.approx(wanted, rel=1e-6)
    assert told == {"matched": 40, "poses": 40}
    assert "estimate.tum: 40 of 40 poses have a truth in truth.tum within 0.01 s" in caplog.text
    # A truth of some of the poses, and of others.
    written(paths["truth"], [*lines[5:30], *(f"2{line[1:]}" for line in lines[30:])])
    error, told = scored(**common)
    assert error == pytest.approx(ate(estimate[5:30], truth[5:30])["rmse"], rel=1e-6)  # type: ignore[index]
    assert told == {"matched": 25, "poses": 40}
    assert "WARNING" in caplog.text and "25 of 40 poses" in caplog.text
    # Another clock.
    late = Trajectory(truth.translation, truth.rotation, exact=truth.nanoseconds + 7_250_000_000, stamps=truth.stamps)
    written(paths["truth"], tum_lines(late))
    with pytest.raises(OptionError, match=r"offset: 7\.250"):
        PoseGraph(**common).open()
    error, told = scored(**common, offset=7.25)
    assert error == pytest.approx(wanted, rel=1e-6)
    assert told["matched"] == 40
    written(paths["truth"], lines[:2])
    with pytest.raises(SourceError, match="2 of 40 poses") as caught:
        PoseGraph(**common).open()
    assert "3 or more" in str(caught.value)


def test_given_positions_are_scored(tmp_path: Path) -> None:
    """Quaternions of two decimals turn the body, and do not move it."""
    truth, estimate = loop(60), loop(60, noise=0.02)
    rough = Trajectory(estimate.translation, estimate.rotation.round(2), estimate.stamps, exact=estimate.exact)
    common = {"truth": str(written(tmp_path / "t.tum", tum_lines(truth))), "format": "tum"}
    error, _ = scored(path=str(written(tmp_path / "e.tum", tum_lines(rough))), **common)
    assert error == pytest.approx(ate(estimate, truth)["rmse"], rel=1e-6)


def square(count: int = 24) -> tuple[Graph, Trajectory]:
    """A graph in the plane of exact steps round a square, and its poses in a world whose z is up."""
    from thalweg_slam.poses import between

    side = np.arange(count) // (count // 4) * np.pi / 2
    at = np.cumsum(np.stack([np.cos(side), np.sin(side)], axis=1), axis=0)
    ends = np.stack([np.arange(count), (np.arange(count) + 1) % count], axis=1)
    shift, turn = between(*((at[ends[:, i]], side[ends[:, i]]) for i in (0, 1)))
    graph = Graph(
        translation=at, rotation=side, edges=ends, edge_translation=shift, edge_rotation=turn,
        information=np.tile(np.eye(3), (count, 1, 1)), kind=(np.arange(count) == count - 1).astype(np.uint8),
        ids=np.arange(count), fixed=np.arange(count) == 0,
    )  # fmt: skip
    space = np.column_stack([at, np.full(count, 0.3)])
    return graph, Trajectory(space, Rotation.from_euler("z", side[:, None]).as_quat(), np.arange(count) * 0.1)


WORLDS = {
    "xy": np.eye(3),
    "yx": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    "xz": np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]),
    "zx": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "yz": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "zy": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
}
"""Rotations from a world with x ahead and z up."""


@pytest.mark.parametrize("plane", WORLDS)
def test_a_truth_is_seen_in_its_own_plane(tmp_path: Path, plane: Any) -> None:
    graph, truth = square()
    world = Rotation.from_matrix(WORLDS[plane])
    turned = Trajectory(
        world.apply(truth.translation), (world * Rotation.from_quat(truth.rotation)).as_quat(), truth.stamps
    )
    flat = planar(turned, plane=plane, forward="x")
    assert ate(flat, Trajectory(graph.translation, graph.rotation))["max"] < 1e-12
    assert rpe(flat, Trajectory(graph.translation, graph.rotation))["rot_rmse_deg"] < 1e-5
    write_g2o(tmp_path / "a.g2o", graph)
    write_tum(tmp_path / "t.tum", turned)
    common = {"path": str(tmp_path / "a.g2o"), "truth": str(tmp_path / "t.tum"), "forward": "x"}
    error, told = scored(**common, plane=plane)
    assert error < 1e-12
    assert told["matched"] == told["poses"] == 24
    if set(plane) != {"x", "y"}:
        with pytest.raises(SourceError, match="collapses onto a line") as caught:
            PoseGraph(**common).open()
        assert f"say plane: {''.join(sorted(plane))}, or its axes" in str(caught.value)


def test_a_truth_is_found_by_name(tmp_path: Path) -> None:
    graph, truth = square()
    write_tum(tmp_path / "t.tum", truth)
    write_g2o(tmp_path / "a.g2o", graph)
    lines = (tmp_path / "a.g2o").read_text().splitlines()
    vertices = [line for line in lines if line.startswith("VERTEX")]
    rest = [line for line in lines if not line.startswith("VERTEX")]
    # A graph whose poses are the truth, in another order, and without some.
    written(
        tmp_path / "t.g2o",
        [*vertices[:3:-1], *(line for line in rest if not {"0", "1", "2", "3"} & set(line.split()[1:3]))],
    )
    error, told = scored(path=str(tmp_path / "a.g2o"), truth=str(tmp_path / "t.g2o"), truth_format="g2o")
    assert error < 1e-12
    assert told == {"matched": 20, "poses": 24}
    # Names with gaps are frames: of a truth with a row each.
    every = Graph(**{**vars(graph), "ids": np.arange(24) * 5})
    write_g2o(tmp_path / "k.g2o", every)
    with pytest.raises(SourceError, match="a row for each name up to 115") as caught:
        PoseGraph(path=str(tmp_path / "k.g2o"), truth=str(tmp_path / "t.tum")).open()
    assert "pair: order" in str(caught.value)
    declared, _ = scored(path=str(tmp_path / "k.g2o"), truth=str(tmp_path / "t.tum"), pair="order")
    assert declared < 1e-12
    rows = np.repeat(np.arange(24), 5)[:116]
    moved = Trajectory(truth.translation[rows], truth.rotation[rows], np.arange(116.0))
    write_tum(tmp_path / "frames.tum", moved)
    error, _ = scored(path=str(tmp_path / "k.g2o"), truth=str(tmp_path / "frames.tum"))
    assert error < 1e-12
    # More rows than poses without gaps: frames, or not?
    with pytest.raises(SourceError, match=r"one per pose of 'a\.g2o'"):
        PoseGraph(path=str(tmp_path / "a.g2o"), truth=str(tmp_path / "frames.tum")).open()


@pytest.mark.bad_input("trajectories", "an estimate with times and a truth without: refused, never paired by order")
def test_rows_with_and_without_times_are_not_paired(tmp_path: Path) -> None:
    made = loop()
    rotation = Rotation.from_quat(made.rotation).as_matrix()
    np.savetxt(tmp_path / "t.txt", np.concatenate([rotation, made.translation[:, :, None]], axis=2).reshape(-1, 12))
    np.savetxt(tmp_path / "times.txt", made.stamps, fmt="%.6f")
    common = {
        "path": str(written(tmp_path / "e.tum", tum_lines(made[::2]))),  # type: ignore[index]
        "format": "tum",
        "truth": str(tmp_path / "t.txt"),
        "truth_format": "kitti",
    }
    with pytest.raises(SourceError, match=r"e\.tum has times, and t\.txt has none") as caught:
        PoseGraph(**common).open()
    assert "truth_times" in str(caught.value)
    error, told = scored(**common, truth_times=str(tmp_path / "times.txt"))
    assert error < 1e-7
    assert told == {"matched": 20, "poses": 20}
    with pytest.raises(ValueError, match="times"):
        PoseGraph(**common, times="a.txt")


def test_alignment_needs_three_poses_and_takes_a_line() -> None:
    made = loop()
    with pytest.raises(OptionError, match="2 poses, to be aligned by se3"):
        ate(made[:2], made[:2])  # type: ignore[misc]
    line = Trajectory(made.translation * [1, 0, 0], made.rotation)
    turn = Rotation.from_euler("xyz", [0.3, 0.4, 0.5])
    moved = Trajectory(turn.apply(2 * line.translation) + 5, line.rotation)
    assert ate(moved, line, by="sim3")["max"] < 1e-12
    still = Trajectory(made.translation * 0, made.rotation)
    assert ate(still, still, by="sim3")["max"] == 0


# Peers


def test_evo_agrees(tmp_path: Path) -> None:
    evo = pytest.importorskip("evo.core.metrics", reason="evo is not installed")
    from evo.core import sync
    from evo.tools import file_interface

    truth, estimate = loop(60), loop(60, noise=0.02)
    rough = Trajectory(estimate.translation, estimate.rotation.round(3), exact=estimate.exact, stamps=estimate.stamps)
    write_tum(tmp_path / "t.tum", truth[::2])  # type: ignore[index]
    write_tum(tmp_path / "e.tum", rough)
    reference, other = (file_interface.read_tum_trajectory_file(str(tmp_path / f"{name}.tum")) for name in "te")
    reference, other = sync.associate_trajectories(reference, other)
    ours = associate(read_tum(tmp_path / "e.tum"), read_tum(tmp_path / "t.tum"))
    assert len(ours[0]) == reference.num_poses == 30
    other.align(reference)
    absolute = evo.APE(evo.PoseRelation.translation_part)
    absolute.process_data((reference, other))
    found = ate(*ours)
    for name in ("rmse", "mean", "median", "max"):
        assert found[name] == pytest.approx(absolute.get_all_statistics()[name], rel=1e-9), name
    for relation, name in (
        (evo.PoseRelation.translation_part, "trans_rmse"),
        (evo.PoseRelation.rotation_angle_deg, "rot_rmse_deg"),
    ):
        relative = evo.RPE(relation, 4, evo.Unit.frames, all_pairs=True)
        relative.process_data((reference, other))
        assert rpe(*ours, delta=4)[name] == pytest.approx(relative.get_all_statistics()["rmse"], rel=1e-6), name
