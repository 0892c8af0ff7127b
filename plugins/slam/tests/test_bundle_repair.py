"""Bundles with bad observations are repaired, and what was done is said; bundles in map coordinates are adjusted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from thalweg.errors import SourceError
from thalweg_slam.bundle import Bundle, adjust, adjust_windows, covariance, findings, read_bal, read_gbp, repair
from thalweg_slam.bundle.centring import centred
from thalweg_slam.bundle.formats.lines import numbers
from thalweg_slam.bundle.source import BundleFile
from thalweg_slam.bundle.state import Sightings, State
from thalweg_slam.bundle.triangulation import triangulated

CONSTANTS = {
    "bal": [],
    "pinhole": [500.0, 480.0, 320.0, 240.0],
    "stereo": [500.0, 480.0, 320.0, 240.0, 0.5],
    "brown": [500.0, 320.0, 240.0, -0.1, 0.02, 0.005, 0.001, -0.002],
}


def scene(model: str, *, cameras: int = 5, points: int = 30, noise: float = 0.5) -> Bundle:
    """Cameras on a line that look at a cloud, which all of them see; begun near where it is."""
    draw = np.random.default_rng(3)
    vectors = draw.normal(0, 0.05, (cameras, 3))
    vectors[:, 0] += np.pi if model == "bal" else 0.0
    places = np.stack([np.linspace(-1, 1, cameras), *draw.normal(0, 0.1, (2, cameras))], axis=1)
    moves = -Rotation.from_rotvec(vectors).apply(places)
    cloud = draw.uniform(-1, 1, (points, 3)) * (2, 1.5, 1) + (0, 0, 5)
    own = [vectors, moves, *([np.tile([500.0, -0.1, 0.02], (cameras, 1))] if model == "bal" else [])]
    pairs = np.stack(np.meshgrid(np.arange(cameras), np.arange(points), indexing="ij"), axis=-1).reshape(-1, 2)
    blank = Bundle(
        np.concatenate(own, axis=1),
        cloud,
        pairs,
        np.zeros((len(pairs), 3 if model == "stereo" else 2)),
        model=model,  # type: ignore[arg-type]
        calibration=np.array(CONSTANTS[model]),
    )
    sightings = Sightings.of(blank)
    seen = np.empty_like(blank.measured)
    seen[sightings.order] = sightings.residuals(State.of(blank)).T
    return replace(
        blank,
        measured=seen + draw.normal(0, noise, seen.shape),
        points=cloud + draw.normal(0, 0.02, cloud.shape),
    )


def put(array: np.ndarray, at: object, value: object) -> np.ndarray:
    made = array.copy()
    made[at] = value
    return made


def more(bundle: Bundle, pairs: list[tuple[int, int]], seen: np.ndarray, points: int = 0) -> Bundle:
    """With further observations, and further points at (0, 0, 5)."""
    return replace(
        bundle,
        observations=np.concatenate([bundle.observations, pairs]),
        measured=np.concatenate([bundle.measured, np.broadcast_to(seen, (len(pairs), bundle.measured.shape[1]))]),
        points=np.concatenate([bundle.points, np.tile([0.0, 0, 5], (points, 1))]),
    )


SPOILT: dict[str, tuple[Callable[[Bundle], Bundle], dict[str, int], str]] = {
    "an observation given twice": (
        lambda each: more(each, [(0, 0)], each.measured[0]),
        {"twice": 1},
        "left out: observation 150 (1)",
    ),
    "two observations of one point by one camera that disagree": (
        lambda each: more(replace(each, measured=put(each.measured, 0, 1e4)), [(0, 0)], each.measured[0]),
        {"twice": 1},
        "left out: observation 0 (1)",
    ),
    "a point that one camera sees": (
        lambda each: more(each, [(0, 30)], each.measured[0], points=1),
        {"point-without-parallax": 1},
        "left out",
    ),
    "a point that no camera sees": (
        lambda each: replace(each, points=np.concatenate([each.points, [[0.0, 0, 5]]])),
        {"point-unseen": 1},
        "left out",
    ),
    "a point that begins behind the cameras": (
        lambda each: replace(each, points=put(each.points, 7, [0.0, 0.0, -9.0])),
        {"behind": 5},
        "1 of 1 points begin anew where their lines of sight meet",
    ),
    "a point that is not finite": (
        lambda each: replace(each, points=put(each.points, 7, np.nan)),
        {"point-not-finite": 1},
        "1 of 1 points begin anew where their lines of sight meet",
    ),
}


@pytest.mark.bad_input("trajectories", "a bundle with {id}")
@pytest.mark.parametrize("model", CONSTANTS)
@pytest.mark.parametrize("name", SPOILT)
def test_one_bad_observation_costs_nothing(name: str, model: str) -> None:
    spoil, counts, done = SPOILT[name]
    whole = scene(model)
    spoilt = spoil(whole)
    if model == "stereo" and name == "a point that one camera sees":
        pytest.skip("a stereo camera measures how far a point is")
    with pytest.raises(SourceError, match=r"thalweg_slam\.bundle\.repair\(bundle\)"):
        adjust(spoilt)
    mended, report = repair(spoilt)
    assert report.counts == counts
    assert done in str(report)
    assert not findings(mended)
    assert len(mended.observations) == len(whole.observations)
    assert adjust(mended, tolerance=1e-10).cost == pytest.approx(adjust(whole, tolerance=1e-10).cost, rel=1e-6)


@pytest.mark.bad_input("trajectories", "a bundle with observations that are not finite, and many faults at once")
def test_many_faults_at_once() -> None:
    whole = scene("bal")
    spoilt = replace(whole, measured=put(whole.measured, [3, 40], np.nan), points=put(whole.points, [5, 6], np.inf))
    spoilt = more(spoilt, [(1, 2), (0, 30)], whole.measured[32], points=2)
    mended, report = repair(spoilt)
    assert report.counts == {
        "observation-not-finite": 2,
        "point-not-finite": 2,
        "twice": 1,
        "point-unseen": 1,
        "point-without-parallax": 1,
    }
    assert (len(mended.points), len(mended.observations)) == (30, 148)
    assert adjust(mended).converged


def test_a_point_that_is_behind_wherever_it_begins_loses_its_observations() -> None:
    """Mirrored measurements: lines of sight meet behind the cameras."""
    whole = scene("pinhole")
    own = whole.observations[:, 1] == 4
    measured = whole.measured.copy()
    measured[own] = 2 * whole.calibration[2:] - measured[own]
    mended, report = repair(replace(whole, measured=measured, points=put(whole.points, 4, [0.0, 0.0, -5.0])))
    assert report.counts == {"behind": 5, "point-unseen": 1}
    assert (len(mended.points), len(mended.observations)) == (29, 145)


def test_what_cannot_be_mended_is_refused() -> None:
    whole = scene("bal")
    with pytest.raises(SourceError, match="camera 2: not finite"):
        repair(replace(whole, cameras=put(whole.cameras, (2, 0), np.nan)))
    kept = (whole.observations[:, 0] != 3) | (whole.observations[:, 1] < 4)
    few = replace(whole, observations=whole.observations[kept], measured=whole.measured[kept])
    with pytest.raises(SourceError, match="camera 3: fewer than 5 points seen"):
        repair(few)


@pytest.mark.parametrize("model", CONSTANTS)
def test_lines_of_sight_meet_where_the_point_is(model: str) -> None:
    whole = scene(model, noise=0.0)
    exact = adjust(whole.with_fixed(*range(5)), tolerance=1e-14).bundle
    found = triangulated(whole, np.arange(30))
    # Distortion is left out; where there is none the places are exact.
    np.testing.assert_allclose(found, exact.points, atol=1e-6 if model in ("pinhole", "stereo") else 0.3)


def bal(bundle: Bundle, path: Path) -> Path:
    rows = [f"{len(bundle)} {len(bundle.points)} {len(bundle.observations)}"]
    rows += [f"{i} {j} {u!r} {v!r}" for (i, j), (u, v) in zip(
        bundle.observations.tolist(), bundle.measured.tolist(), strict=True)]  # fmt: skip
    rows += [repr(value) for value in [*bundle.cameras.ravel().tolist(), *bundle.points.ravel().tolist()]]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.bad_input("trajectories", "a bundle's file with bad observations, in a recipe that says `repair` or not")
def test_a_recipe_repairs_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = scene("bal")
    spoilt = more(replace(whole, measured=put(whole.measured, 3, np.nan)), [(1, 2)], whole.measured[32])
    file = bal(spoilt, tmp_path / "a.txt")
    with pytest.raises(SourceError, match=r"a\.txt, line 5: 'nan', which is not finite"):
        BundleFile(path=str(file)).open()
    with pytest.raises(SourceError, match="observation 150: the camera has another of the same point"):
        BundleFile(path=str(bal(more(whole, [(1, 2)], whole.measured[32]), tmp_path / "b.txt"))).open()
    with caplog.at_level(logging.WARNING, logger="thalweg"):
        data = BundleFile(path=str(file), repair=True).open()
    assert data.sizes["sighting"] == 149
    assert "observation 3: not finite; left out" in caplog.text
    assert "observation 150: the camera has another of the same point; left out" in caplog.text


BROKEN = {
    "a word": ("1 1 1\n0 0 1 2\nabc\n", "a.txt, line 3: 'abc', which is not a number"),
    "an infinite number": ("1 1 1\n# so\n0 0 inf 2\n", "a.txt, line 3: 'inf', which is not finite"),
    "a camera that it does not give": ("1 1 1\n7 0 1 2\n" + "0\n" * 12, "is of camera, point [7.0, 0.0]"),
    "a camera beyond 32 bits": ("1 1 1\n4294967296 0 1 2\n" + "0\n" * 12, "is of camera, point [4294967296.0, 0.0]"),
    "fewer numbers than its first line says": ("1 1 2\n0 0 1 2\n" + "0\n" * 12, "has 19 numbers"),
    "nothing": ("", "begins with []"),
}


@pytest.mark.bad_input("trajectories", "a bundle's file with {id}")
@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_refused_by_their_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SourceError) as caught:
        read_bal(tmp_path / "a.txt")
    assert says in str(caught.value)
    (tmp_path / "b.txt").write_bytes(bytes(100))
    for read in (read_bal, read_gbp, numbers):
        with pytest.raises(SourceError, match="is a binary file"):
            read(tmp_path / "b.txt")
        with pytest.raises(SourceError, match="it is a folder"):
            read(tmp_path)


def far(bundle: Bundle, centre: tuple[float, float, float]) -> Bundle:
    cameras = bundle.cameras.copy()
    cameras[:, 3:6] -= Rotation.from_rotvec(cameras[:, :3]).apply(centre)
    return replace(bundle, cameras=cameras, points=bundle.points + centre)


UTM = (5.0e5, 5.0e6, 100.0)


@pytest.mark.bad_input("trajectories", "a bundle in map coordinates, 5,000 km from the origin")
@pytest.mark.parametrize("solver", ["schur", "cgnr"])
@pytest.mark.parametrize("model", CONSTANTS)
def test_a_bundle_far_from_the_origin(model: str, solver: str) -> None:
    # Two cameras are held, which hold the scale as well.
    near = scene(model).with_fixed(0, 4)
    there = far(near, UTM)
    for precision in ("double", "mixed", "mixed-adaptive"):
        a, b = (adjust(each, precision=precision, solver=solver, tolerance=1e-10) for each in (near, there))  # type: ignore[arg-type]
        assert b.converged
        assert b.cost == pytest.approx(a.cost, rel=1e-5)
        assert b.start == pytest.approx(a.start, rel=1e-5)
    # Where it was; a camera that is fixed has not moved by a rounding.
    assert np.array_equal(b.bundle.cameras[0], there.cameras[0])
    assert np.abs(b.bundle.points - UTM - a.bundle.points).max() < 1e-3
    moved, back = centred(there)
    np.testing.assert_allclose(back(moved).points, there.points, rtol=1e-12)
    assert centred(near)[0] is near


def test_odometry_and_its_covariance_far_from_the_origin() -> None:
    near = scene("stereo", cameras=8)
    a, b = (adjust_windows(each, size=4) for each in (near, far(near, UTM)))
    np.testing.assert_allclose(b.edge_translation, a.edge_translation, atol=1e-5)
    np.testing.assert_allclose(b.information, a.information, rtol=1e-3, atol=1e-3 * np.abs(a.information).max())
    assert np.isfinite(covariance(adjust(near.with_fixed(0)).bundle)).all()
