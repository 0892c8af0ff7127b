"""Bundles through the pipeline: files and stores are the same data, and windows of cameras become a trajectory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation
from thalweg import HandshakeError, scalars
from thalweg.errors import EstimateError, OptionError, SourceError
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.recipes.registry import Registry
from thalweg.samples import Samples
from thalweg.testing import check_dataset, check_law, check_method
from thalweg_slam import Trajectory, ate, read_kitti
from thalweg_slam.bundle import Bundle, adjust_windows, read_bundles, windows, write_bundles
from thalweg_slam.bundle.drive import Road, drive
from thalweg_slam.bundle.layout import bundle_of, dataset
from thalweg_slam.bundle.loops import loop_graph
from thalweg_slam.bundle.method import WindowedBundleAdjustment
from thalweg_slam.bundle.source import BundleFile
from thalweg_slam.bundle.state import Sightings, State
from thalweg_slam.bundle.synthetic import SyntheticDrives
from thalweg_slam.graph import LOOP, ODOMETRY
from thalweg_slam.laws.loop_closure import LoopClosure
from thalweg_slam.layout import graph_of, own, poses_of, with_steps
from thalweg_slam.metrics.ate import AbsoluteTrajectoryError
from thalweg_slam.residuals import errors, whitened

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
SLAM = SHARED / "data" / "slam"
needs_data = pytest.mark.skipif(not SLAM.is_dir(), reason=f"no data at {SLAM}")
CALIBRATION = [500.0, 500.0, 320.0, 240.0, 0.5]


@pytest.fixture(autouse=True)
def _no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TRACKING", "off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stereo camera that moves along a wall, in GTSAM's format, first poses off by some cm; the truth, in KITTI's."""
    random, count = np.random.default_rng(0), 9
    places = np.stack([0.4 * np.arange(count), *random.normal(0, 0.05, (2, count))], axis=1)
    turns = Rotation.from_rotvec(np.stack([np.zeros(count), 0.02 * np.arange(count), np.zeros(count)], axis=1))
    wall = np.stack([random.uniform(-2, 6, 200), random.uniform(-2, 2, 200), random.uniform(4, 8, 200)], axis=1)
    local = np.einsum("cji,cpj->cpi", turns.as_matrix(), wall[None] - places[:, None])
    camera, point = np.nonzero(np.abs(local[..., 0] / local[..., 2]) < 0.5)
    x, y, depth = local[camera, point].T
    left, up = 500 * x / depth + 320, 500 * y / depth + 240
    right = left - 500 * 0.5 / depth
    matrix = np.tile(np.eye(4), (count, 1, 1))
    matrix[:, :3, :3], matrix[:, :3, 3] = turns.as_matrix(), places
    made = tmp_path_factory.mktemp("drive")
    np.savetxt(made / "truth.txt", matrix[:, :3].reshape(count, 12), fmt="%.17g")
    matrix[1:, :3, 3] += random.normal(0, 0.03, (count - 1, 3))
    np.savetxt(made / "poses.txt", np.column_stack([np.arange(count), matrix.reshape(count, 16)]), fmt="%.17g")
    np.savetxt(made / "factors.txt", np.column_stack([camera, point, left, right, up, x, y, depth]), fmt="%.17g")
    np.savetxt(made / "calibration.txt", [[500, 500, 0, 320, 240, 0.5]], fmt="%.17g")
    return made


def drive_file(folder: Path, **options: Any) -> BundleFile:
    names = {"path": "factors", "poses": "poses", "calibration": "calibration", "truth": "truth"}
    files = {name: str(folder / f"{file}.txt") for name, file in names.items()}
    return BundleFile(format="stereo", **files, **options)


def test_dataset(folder: Path) -> None:
    with dask.config.set(scheduler="synchronous"):
        check_dataset(drive_file(folder))
        check_dataset(drive_file(folder, window=4, stride=2))


def test_method(folder: Path) -> None:
    check_method(WindowedBundleAdjustment(), drive_file(folder, window=4, stride=2).open())
    check_method(WindowedBundleAdjustment(window=4, stride=2), drive_file(folder).open())


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("options", [{}, {"window": 4, "stride": 2}, {"window": 4, "solver": "cgnr"}], ids=repr)
def test_exact_sightings_give_the_way(folder: Path, scheduler: Any, options: dict[str, Any]) -> None:
    samples = Samples.of(drive_file(folder).open())
    inputs, truth = samples.inputs(slice(None)), samples.truth(slice(None))
    found = WindowedBundleAdjustment(scheduler=scheduler, **options).solve(inputs, samples.wanted)
    # The first camera is held where the file has it: nothing need be aligned.
    score = AbsoluteTrajectoryError(align="none").value(found, truth)
    assert score.sel(statistic="max") < 1e-3
    assert found["cost"] < 1e-2
    assert found["left_out"] == 0


def test_windows_come_back_from_the_layout(folder: Path) -> None:
    whole = bundle_of(Samples.of(drive_file(folder).open()).inputs(slice(None)), 0)
    inputs = Samples.of(drive_file(folder, window=4, stride=2, sigma=0.5).open()).inputs(slice(None))
    parts = windows(whole, size=4, stride=2)
    assert inputs.sizes["sample"] == len(parts) == 4
    assert inputs["first_camera"].values.tolist() == [0, 2, 4, 5]
    for number, part in enumerate(parts):
        found = bundle_of(inputs, number)
        assert found.sigma == 0.5
        for name in ("cameras", "points", "observations", "measured", "calibration"):
            np.testing.assert_array_equal(getattr(found, name), getattr(part.bundle, name))


def test_a_store_is_the_same_data(folder: Path, tmp_path: Path) -> None:
    source = drive_file(folder, window=4, stride=2)
    data = source.open().load()
    inputs = Samples.of(data).inputs(slice(None))
    bundles = [bundle_of(inputs, number) for number in range(4)]
    truth = Samples.of(data).truth(slice(None))
    truths = [Trajectory(*poses_of(truth, i)) for i in range(4)]
    write_bundles(tmp_path / "a.zarr", bundles, truths=truths)
    again, known = read_bundles(tmp_path / "a.zarr")
    for one, other in zip(bundles, again, strict=True):
        for name in ("cameras", "points", "observations", "measured", "calibration", "fixed"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (other.model, other.sigma) == (one.model, one.sigma)
    np.testing.assert_array_equal(known[3].rotation, truths[3].rotation)
    stored = BundleFile(path=str(tmp_path / "a.zarr"), format="zarr").open().load()
    xr.testing.assert_equal(stored.drop_vars("first_camera"), data.drop_vars("first_camera"))


@pytest.fixture(scope="module")
def drives() -> xr.Dataset:
    return SyntheticDrives(**SyntheticDrives.example).open()


def test_parts_of_drives(drives: xr.Dataset) -> None:
    with dask.config.set(scheduler="synchronous"):
        check_dataset(SyntheticDrives(**SyntheticDrives.example))
    check_method(WindowedBundleAdjustment(window=6, stride=3), drives)
    check_law(LoopClosure(), drives)


def test_loops_say_where_the_truth_is_within_their_covariance() -> None:
    """And windows say so of their steps: residuals at the truth are drawn from a standard normal."""
    found: dict[str, list[np.ndarray]] = {"loops": [], "steps": []}
    for seed in range(2):
        bundle, truth = drive(seed, Road(cameras=60, radius=6.0, landmarks=500))
        graphs = {"loops": loop_graph(bundle, shared=10, gap=30), "steps": adjust_windows(bundle, size=10, stride=5)}
        assert (graphs["loops"].edges[:, 1] - graphs["loops"].edges[:, 0] >= 30).all()
        for name, graph in graphs.items():
            each = whitened(graph, (truth.translation, truth.rotation), edges=np.arange(len(graph.edges)))
            found[name].append(each)
    for name, parts in found.items():
        values = np.concatenate(parts)
        assert values.size > 500, name
        assert abs(values.mean()) < 0.25, name
        assert values.std() == pytest.approx(1, abs=0.2), name


def test_steps_of_an_estimate_are_odometry(drives: xr.Dataset) -> None:
    samples = Samples.of(drives)
    inputs = samples.inputs(slice(None))
    estimate = WindowedBundleAdjustment().solve(inputs, samples.wanted)
    loops = graph_of(inputs, 0)
    at, turned = poses_of(estimate, 0)
    steps = estimate["step_information"].values[own(estimate, "node", 0)]
    graph = with_steps(replace(loops, translation=at, rotation=turned), steps)
    assert (graph.kind == ODOMETRY).sum() == 23
    assert (graph.kind == LOOP).sum() == len(loops.edges) > 0
    # The steps are those of the estimate: they leave nothing.
    assert np.abs(errors(graph, (at, turned), edges=np.arange(23))).max() < 1e-6
    assert np.linalg.eigvalsh(graph.information[:23]).min() > 0
    again = with_steps(graph, steps)
    np.testing.assert_array_equal(again.edges, graph.edges)


def test_single_cameras_close_no_loops() -> None:
    with pytest.raises(OptionError, match="loops of 'bal' cameras"):
        loop_graph(_bal())
    with pytest.raises(OptionError, match="loops = 20"):
        Registry.installed().make("datasets", {"bundle": {"path": "a", "format": "bal", "loops": 20}})


def _bal() -> Bundle:
    """Two cameras with focal lengths of their own."""
    cameras = np.array([[0, 0, 0, 0, 0, 0, 400, 0, 0], [0, 0.1, 0, 1, 0, 0, 420, 1e-3, 0]], float)
    points = np.random.default_rng(0).uniform(-1, 1, (12, 3)) - [0, 0, 6]
    ends = np.stack(np.meshgrid(range(2), range(12), indexing="ij"), axis=-1).reshape(-1, 2)
    blank = Bundle(cameras, points, ends, np.zeros((24, 2)))
    sightings = Sightings.of(blank)
    seen = np.empty_like(blank.measured)
    seen[sightings.order] = sightings.residuals(State.of(blank)).T
    return replace(blank, measured=seen)


def test_a_store_of_cameras_without_a_calibration(tmp_path: Path) -> None:
    made = _bal()
    write_bundles(tmp_path / "a.zarr", [made])
    (again,), truths = read_bundles(tmp_path / "a.zarr")
    assert not truths
    np.testing.assert_array_equal(again.cameras, made.cameras)
    data = BundleFile(path=str(tmp_path / "a.zarr"), format="zarr").open()
    samples = Samples.of(data)
    found = WindowedBundleAdjustment().solve(samples.inputs(slice(None)), samples.wanted)
    assert np.isnan(AbsoluteTrajectoryError().value(found, samples.truth(slice(None)))).all()


def test_what_does_not_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"bundles of 'stereo', .* and 'bal'"):
        inputs = Samples.of(drive_file(folder).open()).inputs(slice(None))
        dataset([bundle_of(inputs, 0), _bal()], [None, None], first=[0, 0], attrs={})
    with pytest.raises(SourceError, match=r"\['bal', 'stereo'\]"):
        write_bundles(tmp_path / "a.zarr", [bundle_of(inputs, 0), _bal()])
    with pytest.raises(SourceError, match="no zarr group"):
        read_bundles(tmp_path / "absent.zarr")
    (folder / "short.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(SourceError, match="1 poses"):
        drive_file(folder).model_copy(update={"truth": str(folder / "short.txt")}).open()
    registry = Registry.installed()
    for options in ({"format": "stereo"}, {"poses": "a", "calibration": "b"}, {"format": "zarr", "window": 3}):
        with pytest.raises(OptionError):
            registry.make("datasets", {"bundle": {"path": "a", **options}})


def test_a_window_that_is_not_determined_is_named(folder: Path) -> None:
    data = drive_file(folder).open().load()
    ends = data["sighting_ends"].values
    # Camera 4 sees nothing any more.
    ends[(ends[..., 0] == 4)] = -1
    samples = Samples.of(data)
    with pytest.raises(SourceError, match="sample 0: in the window of cameras 3 to 6: camera 4: fewer") as caught:
        WindowedBundleAdjustment(window=4, stride=3).solve(samples.inputs(slice(None)), samples.wanted)
    assert "leave these cameras out" in str(caught.value)


# Recipes


def recipe(source: BundleFile, **sections: Any) -> dict[str, Any]:
    return {
        "name": "drive",
        "ingest": {"bundle": source.model_dump(exclude_defaults=True)},
        "train": {"method": {"windowed-bundle-adjustment": {"window": 5, "stride": 2}}},
        "evaluate": [{"ate": {"align": "origin"}}, {"rpe": {"delta": 2}}],
        **sections,
    }


def run(tree: dict[str, Any], store: Path) -> dict[str, float]:
    registry = Registry.installed()
    (plan,) = plans_of(Recipe.parse(tree), registry, store=str(store))
    return scalars(execute(plan, registry=registry).records())


def test_a_recipe_of_a_drive(folder: Path, tmp_path: Path) -> None:
    numbers = run(recipe(drive_file(folder)), tmp_path)
    assert numbers["free/ate/max/mean"] < 1e-3
    assert numbers["free/rpe/rot_rmse_deg/mean"] < 1e-2


def test_a_recipe_of_drives_with_their_loops(tmp_path: Path) -> None:
    tree = {
        "name": "drives",
        "ingest": {"synthetic-drives": {"drives": 2, "cameras": 60, "radius": 6.0, "landmarks": 500, "loops": 10}},
        "train": {"method": {"windowed-bundle-adjustment": {"window": 8, "stride": 4}}},
        "constrain": [{"hold": "loop-closure", "by": {"pose-graph": {"precision": "double", "initial": "estimate"}}}],
        "evaluate": ["ate"],
    }
    numbers = run(tree, tmp_path)
    assert numbers["held/ate/rmse/mean"] < 0.7 * numbers["free/ate/rmse/mean"]
    assert numbers["held/violation/loop-closure"] < 1 < numbers["free/violation/loop-closure"]


def test_a_drive_without_loops_has_nothing_to_hold(folder: Path, tmp_path: Path) -> None:
    tree = recipe(drive_file(folder, loops=10), constrain=[{"hold": "loop-closure", "by": "pose-graph"}])
    with pytest.raises(EstimateError, match="sample 0 has no loop"):
        run(tree, tmp_path)


def test_parts_that_are_not_of_bundles(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HandshakeError, match="dead-reckoning needs 'node_id'"):
        run(recipe(drive_file(folder), train={"method": "dead-reckoning"}), tmp_path)
    tree = recipe(drive_file(folder), constrain=[{"hold": "loop-closure", "by": "pose-graph"}])
    with pytest.raises((HandshakeError, EstimateError), match="node_id"):
        run(tree, tmp_path)


def test_naming_the_parts_loads_no_compiler() -> None:
    code = (
        "import sys; from thalweg import Registry; made = Registry.installed();"
        "made.make('datasets', {'bundle': {'path': 'a'}}); made.make('methods', {'windowed-bundle-adjustment': {}});"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_data
@pytest.mark.slow
def test_stereo_of_kitti(tmp_path: Path) -> None:
    """About as far from the truth as S-PTAM is over the same 77 frames, and much nearer to S-PTAM."""
    estimate, truth = (read_kitti(SLAM / "trajectories" / f"KITTI_00_{name}.txt.gz") for name in ("SPTAM", "gt"))
    same = (replace(each, translation=each.translation[:77], rotation=each.rotation[:77]) for each in (estimate, truth))
    assert ate(*same)["rmse"] == pytest.approx(0.3294, abs=1e-4)
    source = BundleFile(
        path=str(SLAM / "vo_stereo" / "VO_stereo_factors00s.txt.gz"),
        format="stereo",
        poses=str(SLAM / "vo_stereo" / "VO_camera_poses00s.txt"),
        calibration=str(SLAM / "vo_stereo" / "VO_calibration00s.txt"),
        truth=str(SLAM / "trajectories" / "KITTI_00_gt.txt.gz"),
    )
    method = {"windowed-bundle-adjustment": {"window": 10, "stride": 5, "robust": "cauchy"}}
    numbers = run(recipe(source, train={"method": method}, evaluate=["ate", {"rpe": {"delta": 10}}]), tmp_path / "a")
    assert numbers["free/ate/rmse/mean"] == pytest.approx(0.382, abs=5e-3)
    assert numbers["free/rpe/trans_rmse/mean"] == pytest.approx(0.3206, abs=5e-3)
    other = source.model_copy(update={"truth": str(SLAM / "trajectories" / "KITTI_00_SPTAM.txt.gz")})
    numbers = run(recipe(other, train={"method": method}, evaluate=["ate"]), tmp_path / "b")
    assert numbers["free/ate/rmse/mean"] == pytest.approx(0.0904, abs=5e-3)
