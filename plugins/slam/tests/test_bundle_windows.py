"""Windows: marginalisation is exact, and windows chain into odometry."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from thalweg.errors import OptionError
from thalweg_slam.bundle import Bundle, Prior, adjust, adjust_windows, marginalise, read_gbp, read_stereo, windows
from thalweg_slam.bundle.information import reduced_system
from thalweg_slam.bundle.state import Sightings, State

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
DATA = SHARED / "data" / "slam"


def drive(model: str, *, cameras: int = 12, noise: float = 0.0, seed: int = 0) -> Bundle:
    """A camera that moves sideways along a wall of points and turns a little; each point is seen by a few frames."""
    rng = np.random.default_rng(seed)
    vectors = np.stack([np.zeros(cameras), 0.02 * np.arange(cameras), rng.normal(0, 0.01, cameras)], axis=1)
    places = np.stack([0.5 * np.arange(cameras), *rng.normal(0, 0.05, (2, cameras))], axis=1)
    wall = np.stack([rng.uniform(-3, 9, 400), rng.uniform(-2, 2, 400), rng.uniform(4, 8, 400)], axis=1)
    turn = Rotation.from_rotvec(vectors)
    local = np.einsum("cij,cpj->cpi", turn.as_matrix(), wall[None] - places[:, None])
    camera, point = np.nonzero(np.abs(local[..., 0] / local[..., 2]) < 0.5)
    calibration = [500.0, 500.0, 320.0, 240.0] + ([0.5] if model == "stereo" else [])
    blank = Bundle(
        np.concatenate([vectors, -turn.apply(places)], axis=1),
        wall,
        np.stack([camera, point], axis=1),
        np.zeros((len(camera), len(calibration) - 2)),
        model=model,  # type: ignore[arg-type]
        calibration=np.array(calibration),
    )
    sightings = Sightings.of(blank)
    seen = np.empty_like(blank.measured)
    seen[sightings.order] = sightings.residuals(State.of(blank)).T
    bundle, _ = replace(blank, measured=seen + rng.normal(0, noise, seen.shape)).select(np.arange(cameras), views=2)
    return bundle


def shaken(bundle: Bundle, size: float = 0.01) -> Bundle:
    rng = np.random.default_rng(5)
    cameras = bundle.cameras.copy()
    cameras[1:] += rng.normal(0, size, cameras[1:].shape)
    return replace(bundle, cameras=cameras, points=bundle.points + rng.normal(0, size, bundle.points.shape))


def poses(bundle: Bundle) -> np.ndarray:
    """Places of the cameras, brought to the first camera's frame."""
    turn = Rotation.from_rotvec(bundle.cameras[:, :3])
    places = -turn.inv().apply(bundle.cameras[:, 3:6])
    return np.asarray(turn[0].apply(places - places[0]))


@pytest.mark.parametrize("model", ["pinhole", "stereo"])
@pytest.mark.parametrize("kind", ["free", "first fixed", "with priors"])
def test_marginalised_and_rest_is_the_whole(model: str, kind: str) -> None:
    bundle = shaken(drive(model, noise=0.3))
    if kind == "first fixed":
        bundle = bundle.with_fixed(0)
    if kind == "with priors":
        made = [Prior.of(k, bundle.cameras[k] + 0.01, sigma=np.full(6, 0.1)) for k in (0, 1, 5)]
        bundle = replace(bundle, priors=tuple(made))
    whole = reduced_system(bundle)
    smaller, cameras, points = marginalise(bundle, 0)
    assert cameras.tolist() == list(range(1, 12))
    assert len(points) < len(bundle.points)
    rest = reduced_system(smaller)
    # What the whole says of the cameras that stay: its own system with the first camera eliminated.
    own, between = whole[0][:6, :6], whole[0][6:, :6]
    inverse = np.zeros((6, 6)) if kind == "first fixed" else np.linalg.inv(own)
    scale = np.abs(whole[0]).max()
    np.testing.assert_allclose(rest[0] / scale, (whole[0][6:, 6:] - between @ inverse @ between.T) / scale, atol=1e-9)
    np.testing.assert_allclose(rest[1], whole[1][6:] - between @ inverse @ whole[1][:6], rtol=1e-6, atol=1e-6)
    assert rest[2] == pytest.approx(whole[2] - 0.5 * whole[1][:6] @ inverse @ whole[1][:6], rel=1e-9)


def test_marginalised_at_its_minimum_stays_there() -> None:
    whole = adjust(shaken(drive("stereo", noise=0.3)).with_fixed(0), tolerance=1e-13).bundle
    smaller = marginalise(whole, 0)[0]
    again = adjust(shaken(smaller, 1e-3), tolerance=1e-13)
    np.testing.assert_allclose(again.bundle.cameras, whole.cameras[1:], atol=2e-5)


def test_a_prior_outlives_two_frames() -> None:
    bundle = adjust(drive("stereo", noise=0.3).with_fixed(0), tolerance=1e-13).bundle
    once = marginalise(bundle, 0)[0]
    twice = marginalise(once, 0)[0]
    assert len(twice.priors) == 1
    np.testing.assert_allclose(adjust(twice, tolerance=1e-13).bundle.cameras, bundle.cameras[2:], atol=1e-5)


def test_windows_hold_what_their_cameras_see() -> None:
    bundle = drive("pinhole")
    parts = windows(bundle, size=5, stride=3)
    assert [each.cameras.tolist() for each in parts] == [
        list(range(5)),
        list(range(3, 8)),
        list(range(6, 11)),
        list(range(7, 12)),
    ]
    for each in parts:
        np.testing.assert_array_equal(each.bundle.points, bundle.points[each.points])
        assert np.bincount(each.bundle.observations[:, 1]).min() >= 2
    with pytest.raises(OptionError, match="size = 13"):
        windows(bundle, size=13)
    with pytest.raises(OptionError, match="stride = 4"):
        adjust_windows(bundle, size=5, stride=4)


@pytest.mark.parametrize("model", ["pinhole", "stereo"])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_windows_chain_into_the_path(model: str, scheduler: str) -> None:
    truth = drive(model)
    start = shaken(truth)
    graph = adjust_windows(start, size=6, stride=2, scheduler=scheduler)  # type: ignore[arg-type]
    assert graph.edges.tolist() == [[k, k + 1] for k in range(11)]
    found, wanted = graph.translation - graph.translation[0], poses(truth)
    # The frame of the first camera; without lengths, the scale of the first window.
    found = Rotation.from_quat(graph.rotation[0]).inv().apply(found)
    gain = 1.0 if model == "stereo" else (found * wanted).sum() / (found**2).sum()
    np.testing.assert_allclose(gain * found, wanted, atol=1e-3)
    assert np.linalg.eigvalsh(graph.information).min() > 0
    assert all(each["converged"] for each in graph.attrs["windows"])


def test_covariance_of_edges_is_what_repeated_noise_gives() -> None:
    truth, sigma, errors, told = drive("stereo", cameras=6), 0.5, [], []
    turn = Rotation.from_rotvec(truth.cameras[:, :3])
    exact = (turn[2] * turn[3].inv()).as_matrix()
    for seed in range(60):
        seen = truth.measured + np.random.default_rng(seed).normal(0, sigma, truth.measured.shape)
        graph = adjust_windows(replace(truth, measured=seen, sigma=sigma), size=6)
        shift = truth.cameras[2, 3:] - exact @ truth.cameras[3, 3:]
        move = exact.T @ (graph.edge_translation[2] - shift)
        turned = Rotation.from_matrix(exact.T) * Rotation.from_quat(graph.edge_rotation[2])
        error = np.concatenate([move, turned.as_rotvec()])
        errors.append(error)
        told.append(error @ graph.information[2] @ error)
    # Mahalanobis distances of six dimensions: mean 6, and 60 of them within four standard deviations of that.
    assert np.mean(told) == pytest.approx(6.0, abs=4 * np.sqrt(12 / 60))


def test_shipped_sets_give_odometry() -> None:
    folder = DATA / "vo_stereo"
    if not folder.exists():
        pytest.skip("no stereo odometry in the shared data")
    bundle = read_stereo(
        folder / "VO_stereo_factors_large.txt.gz",
        poses=folder / "VO_camera_poses_large.txt",
        calibration=folder / "VO_calibration.txt",
    )
    whole = adjust(bundle.with_fixed(0)).bundle
    graph = adjust_windows(bundle, size=8, stride=4)
    path = np.linalg.norm(np.diff(poses(whole), axis=0), axis=1).sum()
    found = Rotation.from_quat(graph.rotation[0]).inv().apply(graph.translation - graph.translation[0])
    # 26 frames of a car: windows of 8 keep within 1 % of the way of the adjustment of all.
    assert np.abs(found - poses(whole)).max() < 0.01 * path


def test_keyframe_windows_give_odometry() -> None:
    if not (DATA / "bal").exists():
        pytest.skip("no keyframe windows in the shared data")
    bundle = read_gbp(DATA / "bal" / "tum_fr1desk_small.txt.gz")
    with pytest.warns(UserWarning, match=r"behind the camera.*without"):
        adjusted = adjust(bundle, robust="cauchy")
    bundle, _ = adjusted.bundle.without(adjusted.behind)
    graph = adjust_windows(bundle, size=10, stride=5, robust="cauchy")
    assert np.isfinite(graph.information).all()
    whole = poses(bundle)
    found = Rotation.from_quat(graph.rotation[0]).inv().apply(graph.translation - graph.translation[0])
    gain = (found * whole).sum() / (found**2).sum()
    assert np.abs(gain * found - whole).max() < 0.1 * np.ptp(whole, axis=0).max()
