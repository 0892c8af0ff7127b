"""Bundle adjustment: Jacobians, elimination, precision, robustness, priors, diagnosis."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from thalweg.errors import EstimateError, OptionError, SourceError
from thalweg_slam.bundle import Bundle, Prior, adjust, covariance, findings, inspect, read_bal, read_gbp
from thalweg_slam.bundle.direct import Pattern, direct_step
from thalweg_slam.bundle.drive import Road, drive
from thalweg_slam.bundle.equations import Equations
from thalweg_slam.bundle.half import CARRIERS
from thalweg_slam.bundle.iterative import Matrix, iterative_step
from thalweg_slam.bundle.robust import Loss
from thalweg_slam.bundle.state import Sightings, State

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
BAL = SHARED / "data" / "slam" / "bal" / "problem-21-11315-pre.txt.gz"
MODELS = ("bal", "pinhole", "stereo", "brown")
CONSTANTS = {
    "bal": [],
    "pinhole": [500.0, 480.0, 320.0, 240.0],
    "stereo": [500.0, 480.0, 320.0, 240.0, 0.5],
    "brown": [500.0, 320.0, 240.0, -0.1, 0.02, 0.005, 0.001, -0.002],
}


def scene(model: str, *, cameras: int = 5, points: int = 40, noise: float = 0.0, seed: int = 0) -> Bundle:
    """Cameras on a line that look at a cloud, which all of them see; `noise` in px."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 0.05, (cameras, 3))
    vectors[:, 0] += np.pi if model == "bal" else 0.0
    places = np.stack([np.linspace(-1, 1, cameras), *rng.normal(0, 0.1, (2, cameras))], axis=1)
    moves = -Rotation.from_rotvec(vectors).apply(places)
    cloud = rng.uniform(-1, 1, (points, 3)) * (2, 1.5, 1) + (0, 0, 5)
    own = [vectors, moves]
    if model == "bal":
        own.append(np.tile([500.0, -0.1, 0.02], (cameras, 1)) * rng.uniform(0.95, 1.05, (cameras, 3)))
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
    return replace(blank, measured=seen + rng.normal(0, noise, seen.shape))


def shaken(bundle: Bundle, *, seed: int = 1, size: float = 0.01) -> Bundle:
    rng = np.random.default_rng(seed)
    cameras = bundle.cameras.copy()
    cameras[~bundle.fixed, :6] += rng.normal(0, size, (int((~bundle.fixed).sum()), 6))
    return replace(bundle, cameras=cameras, points=bundle.points + rng.normal(0, size, bundle.points.shape))


def full(sightings: Sightings, jacobian: np.ndarray) -> np.ndarray:
    """The Jacobian as a dense matrix, rows as `residuals().reshape(-1)`."""
    rows, columns, count = jacobian.shape
    d, cameras = columns - 3, len(sightings.bundle)
    whole = np.zeros((rows * count, cameras * d + 3 * len(sightings.bundle.points)))
    for row in range(rows):
        for o in range(count):
            c, p = int(sightings.camera[o]), cameras * d + 3 * int(sightings.point[o])
            whole[row * count + o, c * d : c * d + d] = jacobian[row, :d, o]
            whole[row * count + o, p : p + 3] = jacobian[row, d:, o]
    return whole


@pytest.mark.parametrize("model", MODELS)
def test_jacobian_is_the_slope_of_the_residuals(model: str) -> None:
    bundle = replace(scene(model, cameras=2, points=4), sigma=2.0)
    sightings, state = Sightings.of(bundle), State.of(bundle)
    found = full(sightings, sightings.jacobian(state, np.ones(8)))
    d, step = bundle.camera.parameters, 1e-6
    for k in range(found.shape[1]):
        move = np.zeros(found.shape[1])
        move[k] = step
        parts = move[: 2 * d].reshape(2, d), move[2 * d :].reshape(-1, 3)
        ahead = sightings.residuals(state.moved(*parts))
        behind = sightings.residuals(state.moved(-parts[0], -parts[1]))
        slope = (ahead - behind).reshape(-1) / (2 * step)
        np.testing.assert_allclose(found[:, k], slope, atol=1e-4 * max(1.0, np.abs(slope).max()))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("held", [True, False])
def test_elimination_solves_the_normal_equations(model: str, held: bool) -> None:
    bundle = shaken(scene(model, cameras=3, points=12))
    prior = Prior.of(1, bundle.cameras[1] + 0.01, sigma=np.full(bundle.camera.parameters, 0.1))
    bundle = replace(bundle.with_fixed(0) if held else bundle, priors=(prior,))
    sightings, state, damping = Sightings.of(bundle), State.of(bundle), 1e-3
    residual = sightings.residuals(state)
    equations = Equations.at(sightings, state, residual, loss=Loss(), dtype=np.float64)
    j = full(sightings, equations.jacobian)
    size = bundle.cameras.size
    hessian, gradient = j.T @ j, j.T @ residual.reshape(-1)
    extra, slope = sightings.prior(state)
    hessian[:size, :size] += extra
    gradient[:size] += slope
    hessian[np.diag_indices_from(hessian)] += damping * np.where(hessian.diagonal() > 0, hessian.diagonal(), 1.0)
    wanted = np.linalg.solve(hessian, -gradient)
    found = direct_step(equations, Pattern.of(sightings), damping=damping)
    assert found is not None
    np.testing.assert_allclose(np.concatenate([each.reshape(-1) for each in found]), wanted, rtol=1e-6, atol=1e-9)
    predicted = -gradient @ wanted - 0.5 * wanted @ (hessian @ wanted)
    predicted += 0.5 * damping * wanted @ (np.where(wanted != 0, hessian.diagonal() / (1 + damping), 0) * wanted)
    assert equations.predicted(*found, damping) == pytest.approx(predicted, rel=1e-6)
    close = iterative_step(Matrix.of(equations, products="float64"), damping=damping, cost=0.0, forcing=0.0)
    assert close is not None
    np.testing.assert_allclose(close[0].reshape(-1), wanted[:size], rtol=1e-4, atol=1e-6)


def test_sparse_elimination_is_the_dense_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = scene("pinhole", cameras=9, points=60)
    near = np.abs(bundle.observations[:, 0] - bundle.observations[:, 1] // 8) < 2
    bundle = shaken(replace(bundle, observations=bundle.observations[near], measured=bundle.measured[near]))
    prior = Prior.of(8, bundle.cameras[8], sigma=np.full(6, 0.1))
    sightings = Sightings.of(replace(bundle, priors=(prior,)))
    state = State.of(bundle)
    equations = Equations.at(sightings, state, sightings.residuals(state), loss=Loss(), dtype=np.float64)
    dense = direct_step(equations, Pattern.of(sightings), damping=1e-3)
    monkeypatch.setattr("thalweg_slam.bundle.direct.DENSE", 0)
    monkeypatch.setattr("thalweg_slam.bundle.direct.FULL", (2.0, 6000))
    pattern = Pattern.of(sightings)
    assert 0 < len(pattern.columns) < 45
    thin = direct_step(equations, pattern, damping=1e-3)
    assert dense is not None
    assert thin is not None
    np.testing.assert_allclose(thin[0], dense[0], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("solver", ["schur", "cgnr"])
def test_an_exact_scene_is_found_again(model: str, solver: str) -> None:
    truth = scene(model).with_fixed(0, 4)
    result = adjust(shaken(truth), solver=solver, tolerance=1e-12)  # type: ignore[arg-type]
    assert result.cost < 1e-9 * result.start
    if model != "bal":  # Its focal lengths trade with the depth of a cloud.
        np.testing.assert_allclose(result.bundle.cameras, truth.cameras, atol=1e-4)
        np.testing.assert_allclose(result.bundle.points, truth.points, atol=1e-3)
    np.testing.assert_array_equal(result.bundle.cameras[0], truth.cameras[0])


@pytest.mark.parametrize("solver", ["schur", "cgnr"])
def test_precisions_end_at_one_cost(solver: str) -> None:
    bundle = shaken(scene("bal", cameras=6, points=200, noise=0.5).with_fixed(0))
    costs = [
        adjust(bundle, solver=solver, precision=precision, tolerance=1e-9).cost  # type: ignore[arg-type]
        for precision in ("double", "mixed", "mixed-adaptive")
    ]
    np.testing.assert_allclose(costs[1:], costs[0], rtol=1e-5)


def test_halves_round_to_nearest_even() -> None:
    from numba import njit
    from thalweg_slam.bundle.half import narrow, widen

    @njit
    def there_and_back(x: np.ndarray, carrier: np.ndarray, out: np.ndarray) -> None:
        for i in range(len(x)):
            carrier[i] = narrow(x[i], carrier[0])
            out[i] = widen(carrier[i])

    import torch

    x = np.concatenate([np.random.default_rng(0).normal(size=1000), [0, -0.0, 1 + 2**-9, 65504, 1e-7, 2**-25]])
    single = x.astype(np.float32)
    for name, carrier in CARRIERS.items():
        out = np.empty_like(single)
        there_and_back(single, np.zeros(len(x), carrier), out)
        wanted = torch.from_numpy(single).to(getattr(torch, name)).float().numpy()
        np.testing.assert_array_equal(out, wanted, err_msg=name)


@pytest.mark.parametrize("kernel", ["squared", "huber", "cauchy", "geman-mcclure"])
def test_weight_is_the_slope_of_the_loss(kernel: str) -> None:
    loss = Loss(kernel, 1.5)  # type: ignore[arg-type]
    for s in (0.01, 1.0, 2.0, 2.5, 40.0):
        slope = (loss.value(np.array([s + 1e-6])) - loss.value(np.array([s - 1e-6]))) / 1e-6
        assert slope == pytest.approx(loss.weight(np.array([s]))[0], rel=1e-5)


@pytest.mark.parametrize("kernel", ["huber", "cauchy", "geman-mcclure"])
def test_robust_kernels_bear_outliers(kernel: str) -> None:
    truth = scene("pinhole", noise=0.1).with_fixed(0, 4)
    wrong = truth.measured.copy()
    wrong[::37] += 80.0
    start = shaken(replace(truth, measured=wrong), size=1e-3)
    far = adjust(start).bundle.cameras
    near = adjust(start, robust=kernel).bundle.cameras  # type: ignore[arg-type]
    error = [np.abs(each - truth.cameras).max() for each in (far, near)]
    assert error[1] < 0.2 * error[0]


def test_a_firm_prior_holds_a_camera() -> None:
    bundle = shaken(scene("stereo", noise=0.3))
    aim = bundle.cameras[2] + 0.05
    firm = adjust(replace(bundle, priors=(Prior.of(2, aim, sigma=np.full(6, 1e-7)),)), tolerance=1e-12).bundle
    np.testing.assert_allclose(firm.cameras[2], aim, atol=1e-5)
    both = [
        adjust(replace(bundle, priors=(Prior.of(2, aim, sigma=np.full(6, 1e-2)),)), solver=solver, tolerance=1e-12).cost
        for solver in ("schur", "cgnr")
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-6)


def test_bal_ends_at_the_published_cost() -> None:
    if not BAL.exists():
        pytest.skip("no BAL problem in the shared data")
    bundle = read_bal(BAL)
    assert adjust(bundle, precision="double").cost == pytest.approx(30378.636, rel=1e-6)
    assert adjust(bundle).cost == pytest.approx(30378.636, rel=1e-5)
    for products in ("float64", "float32", "float16", "bfloat16"):
        found = adjust(bundle, solver="cgnr", products=products).cost  # type: ignore[arg-type]
        assert found == pytest.approx(30378.636, rel=1e-6 if products == "float64" else 1e-5), products


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cost"),
    [("fr1desk", 19816.48), ("fr1desk_small", 4242.60), ("fr1xyz_av", 17431.16), ("fr2robot2", 1944.60)],
)
@pytest.mark.parametrize("precision", ["double", "mixed", "mixed-adaptive"])
def test_keyframe_windows_end_no_higher_than_by_ceres(name: str, cost: float, precision: Any) -> None:
    """Costs of Ceres 2.1, DENSE_SCHUR, with the same rule when to stop (benchmarks/bundle_adjustment.py)."""
    file = BAL.with_name(f"tum_{name}.txt.gz")
    if not file.exists():
        pytest.skip(f"no {file.name} in the shared data")
    result = adjust(read_gbp(file), precision=precision, check=False)
    assert result.cost < 1.001 * cost
    assert (np.diff(result.costs) <= 0).all()


def test_covariance_is_the_inverse_of_the_information() -> None:
    bundle = scene("stereo", cameras=3, points=15).with_fixed(0)
    sightings, state = Sightings.of(bundle), State.of(bundle)
    j = full(sightings, sightings.jacobian(state, np.ones(len(sightings.point))))[:, 6:]
    wanted = np.linalg.inv(j.T @ j)[:12, :12]
    np.testing.assert_allclose(covariance(bundle)[6:, 6:], wanted, rtol=1e-6, atol=1e-12)


def _part(bundle: Bundle, kept: np.ndarray) -> Bundle:
    return replace(bundle, observations=bundle.observations[kept], measured=bundle.measured[kept])


def _findings() -> dict[str, tuple[Bundle, list[int]]]:
    good = scene("pinhole", cameras=4, points=20)
    camera, point = good.observations.T
    nan_point, nan_camera, nan_seen = good.points.copy(), good.cameras.copy(), good.measured.copy()
    nan_point[3], nan_camera[2, 4], nan_seen[7] = np.nan, np.inf, np.nan
    back = good.points.copy()
    back[5, 2] = -5.0
    return {
        "point-not-finite": (replace(good, points=nan_point), [3]),
        "camera-not-finite": (replace(good, cameras=nan_camera), [2]),
        "observation-not-finite": (replace(good, measured=nan_seen), [7]),
        "point-unseen": (_part(good, point != 6), [6]),
        "point-without-parallax": (_part(good, (point != 6) | (camera == 1)), [6]),
        "camera-few-points": (_part(good, (camera != 3) | (point < 2)), [3]),
        "behind": (replace(good, points=back), [5, 25, 45, 65]),
        "disconnected": (_part(good, (camera < 2) == (point < 10)), [2, 3]),
        "twice": (
            replace(
                good,
                observations=np.concatenate([good.observations, good.observations[4:5]]),
                measured=np.concatenate([good.measured, good.measured[4:5]]),
            ),
            [80],
        ),
    }


@pytest.mark.parametrize("kind", _findings())
def test_what_is_wrong_is_named(kind: str) -> None:
    bundle, numbers = _findings()[kind]
    found = {each.kind: each.numbers.tolist() for each in findings(bundle)}
    assert found == {kind: numbers}
    with pytest.raises(SourceError) as caught:
        adjust(bundle)
    assert str(numbers[0]) in caught.value.given
    assert caught.value.advice


def test_a_good_bundle_has_no_findings() -> None:
    for model in MODELS:
        inspect(scene(model))


def test_too_few_measurements() -> None:
    found = findings(scene("bal", cameras=2, points=6))
    assert [each.kind for each in found] == ["underdetermined"]


def test_a_rank_deficient_window_names_cameras() -> None:
    bundle = scene("pinhole", cameras=5, points=30)
    camera, point = bundle.observations.T
    # Two halves share one point only: the second turns about it, and grows.
    kept = (camera < 3) == (point < 15)
    kept |= point == 0
    with pytest.raises(EstimateError) as caught:
        covariance(_part(bundle, kept).with_fixed(0))
    assert "rank-deficient by 4" in caught.value.given
    named = re.findall(r"\d+", caught.value.given.split("cameras ")[1])
    assert {"3", "4"} <= set(named)


def test_options_are_checked() -> None:
    bundle = scene("pinhole")
    with pytest.raises(OptionError, match="quad"):
        adjust(bundle, precision="quad")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="float16"):
        adjust(bundle, products="float16")
    with pytest.raises(OptionError, match="tukey"):
        adjust(bundle, robust="tukey")  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="observation 0"):
        replace(bundle, observations=bundle.observations + 100)
    with pytest.raises(SourceError, match="cameras of shape"):
        replace(bundle, model="bal")


@pytest.mark.parametrize("precision", ["double", "mixed", "mixed-adaptive"])
def test_damping_does_not_fall_below_rounding(precision: Any) -> None:
    """From 1e-17 the way back took 14 of 50 iterations, all refused, and they were not enough."""
    made, _ = drive(0, Road(cameras=12, landmarks=600))
    found = adjust(made, precision=precision, robust="cauchy")
    assert found.converged
    assert found.damping.min() >= 1e-12
    further = adjust(found.bundle, precision="double", robust="cauchy", tolerance=1e-12, iterations=500, check=False)
    assert found.cost == pytest.approx(further.cost, rel=1e-5)
