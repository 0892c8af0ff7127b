"""The metrics agree with reference arrays, and with `scores` and `xskillscore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import uniform_filter
from thalweg import score
from thalweg.results.scoring import tally
from thalweg_earth.metrics.anomaly_correlation import AnomalyCorrelation
from thalweg_earth.metrics.crps import CRPS
from thalweg_earth.metrics.csi import CSI
from thalweg_earth.metrics.frequency_bias import FrequencyBias
from thalweg_earth.metrics.fss import FSS
from thalweg_earth.metrics.mae import MAE
from thalweg_earth.metrics.mse import MSE
from thalweg_earth.metrics.nino34_skill import Nino34Skill
from thalweg_earth.metrics.pod import POD
from thalweg_earth.metrics.rmse import RMSE
from thalweg_earth.metrics.success_ratio import SuccessRatio

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
DIMS = ("sample", "lead", "y", "x")
SPACE = ["sample", "y", "x"]


def reference(name: str) -> dict[str, Any]:
    path = SHARED / "reference" / "metrics" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no reference array {path.name}; set THALWEG_SHARED")
    with np.load(path) as arrays:
        return dict(arrays)


def radar() -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    golden = reference("sevir")
    # The fields are stored on the scale 0 to 1, and the published code divides by float32(1/255).
    scaled = (golden[name][..., 0] / np.float32(1 / 255) for name in ("estimate", "truth"))
    estimate, truth = (xr.Dataset({"vil": (DIMS, each)}) for each in scaled)
    return golden, estimate, truth


def ocean() -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    golden = reference("enso")
    low, high = -16.549121856689453, 10.198975563049316
    coords = {"lead": np.arange(1, 15), "lat": np.arange(-55.0, 61.0, 5.0), "lon": np.arange(95.0, 331.0, 5.0)}
    estimate, truth = (
        xr.DataArray(golden[name] * (high - low) + low, coords, ("sample", "lead", "lat", "lon")).to_dataset(name="sst")
        for name in ("estimate", "truth")
    )
    return golden, estimate, truth


def random(members: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    numbers = np.random.default_rng(3)
    truth = numbers.gamma(0.8, 40, (5, 3, 12, 10))
    estimate = 0.7 * truth[..., None] + numbers.gamma(0.5, 20, (*truth.shape, members or 1))
    made = xr.DataArray(estimate, dims=(*DIMS, "member"))
    return (made if members else made.isel(member=0)).to_dataset(name="f"), xr.Dataset({"f": (DIMS, truth)})


def test_sevir_counts_and_scores() -> None:
    golden, estimate, truth = radar()
    metric = CSI(thresholds=golden["thresholds"].tolist())
    totals = tally(metric, estimate, truth)
    for name in ("hits", "misses", "false_alarms"):
        assert totals[name].over("sample", "lead").sum.values.tolist() == golden[name].tolist()
    made = score(metric, estimate, truth)
    # The published code adds 1e-4 to its denominators, and sums in float32.
    near = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(made.overall, golden["csi"], **near)
    np.testing.assert_allclose(made.overall.mean(), golden["csi_mean"], **near)
    np.testing.assert_allclose(made.by_lead.mean(), golden["csi_mean_over_leads"], **near)


@pytest.mark.parametrize(("metric", "key"), [(POD, "pod_mean"), (SuccessRatio, "sucr_mean")])
def test_sevir_ratios(metric: type[POD | SuccessRatio], key: str) -> None:
    golden, estimate, truth = radar()
    made = score(metric(thresholds=golden["thresholds"].tolist()), estimate, truth).overall.mean()
    np.testing.assert_allclose(made, golden[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", ["estimate", "truth"])
def test_sevir_with_a_missing_frame(side: str) -> None:
    golden, *pair = radar()
    which = ("estimate", "truth").index(side)
    pair[which] = pair[which].where(
        (xr.DataArray(np.arange(3), dims="sample") > 0) | (xr.DataArray(np.arange(12), dims="lead") > 0)
    )
    made = score(CSI(thresholds=golden["thresholds"].tolist()), *pair).overall.mean()
    np.testing.assert_allclose(made, golden["csi_mean_with_one_nan_frame_0_0"], rtol=0, atol=1e-6)


def test_sevir_frequency_bias_is_not_the_published_one() -> None:
    golden, estimate, truth = radar()
    made = score(FrequencyBias(thresholds=golden["thresholds"].tolist()), estimate, truth).overall
    hits, misses, false_alarms = (golden[name] for name in ("hits", "misses", "false_alarms"))
    np.testing.assert_allclose(made, (hits + false_alarms) / (hits + misses), rtol=1e-12)
    np.testing.assert_allclose(((made / np.log(2)) ** 2).mean(), 2.1316133, rtol=0, atol=1e-5)


def test_enso_skill() -> None:
    golden, estimate, truth = ocean()
    # The published code adds 1e-6 to the denominators.
    np.testing.assert_allclose(score(Nino34Skill(), estimate, truth).overall, golden["skill_mean"], atol=1e-5)
    weighted = score(Nino34Skill(weights="icar"), estimate, truth)
    np.testing.assert_allclose(weighted.overall, golden["skill_weighted"], atol=1e-5)
    assert weighted.by_lead.lead.values.tolist() == list(range(1, 13))


def test_enso_rmse_of_the_index() -> None:
    golden, estimate, truth = ocean()
    index = Nino34Skill().statistics(estimate, truth)
    made = score(RMSE(), *(index[name].to_dataset(name="nino34") for name in ("estimate", "truth")))  # type: ignore[union-attr]
    np.testing.assert_allclose(made.by_lead.mean(), golden["rmse"], atol=1e-6)


def test_errors_match_numpy() -> None:
    _, estimate, truth = radar()
    e, t = (each.vil.values.astype("float64") / 255 for each in (estimate, truth))
    for metric, value in (
        (MSE(unit=255), ((e - t) ** 2).mean()),
        (MAE(unit=255), abs(e - t).mean()),
        (RMSE(unit=255), ((e - t) ** 2).mean() ** 0.5),
    ):
        np.testing.assert_allclose(score(metric, estimate, truth).overall, value, rtol=1e-12)
    whole = [xr.Dataset({"vil": (DIMS, np.clip(each, 0, 1) * 255)}).astype("uint8") for each in (e, t)]
    difference = whole[0].vil.values.astype("int64") - whole[1].vil.values
    np.testing.assert_allclose(score(MSE(), *whole).overall, (difference**2).mean(), rtol=1e-15)


def test_contingency_matches_scores() -> None:
    categorical = pytest.importorskip("scores.categorical")
    estimate, truth = random()
    for threshold in (5.0, 30.0, 80.0):
        peer = categorical.BinaryContingencyManager(estimate.f >= threshold, truth.f >= threshold).transform(
            preserve_dims="lead"
        )
        for metric, value in (
            (CSI, peer.critical_success_index()),
            (POD, peer.probability_of_detection()),
            (SuccessRatio, peer.success_ratio()),
            (FrequencyBias, peer.frequency_bias()),
        ):
            made = score(metric(thresholds=[threshold]), estimate, truth).by_lead.isel(threshold=0)
            np.testing.assert_allclose(made, value, rtol=1e-12)


def test_contingency_matches_xskillscore() -> None:
    xskillscore = pytest.importorskip("xskillscore")
    estimate, truth = random()
    edges = np.array([-np.inf, 30.0, np.inf])
    peer = xskillscore.Contingency(truth.f, estimate.f, edges, edges, dim=SPACE)
    for metric, value in (
        (CSI, peer.threat_score()),
        (POD, peer.hit_rate()),
        (SuccessRatio, 1 - peer.false_alarm_ratio()),
        (FrequencyBias, peer.bias_score()),
    ):
        made = score(metric(thresholds=[30.0]), estimate, truth).by_lead.isel(threshold=0)
        np.testing.assert_allclose(made, value, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_match_scores_and_xskillscore(weighted: bool) -> None:
    continuous, xskillscore = pytest.importorskip("scores.continuous"), pytest.importorskip("xskillscore")
    latitude = {"latitude": ("y", np.linspace(-60, 60, 12), {"units": "degrees_north"})}
    estimate, truth = (each.assign_coords(latitude) for each in random())
    cosine = np.cos(np.deg2rad(truth.latitude)) if weighted else None
    for metric, name in ((MSE, "mse"), (MAE, "mae"), (RMSE, "rmse")):
        made = score(metric(weights="area" if weighted else "none"), estimate, truth).by_lead
        peer = getattr(continuous, name)(estimate.f, truth.f, preserve_dims="lead", weights=cosine)
        np.testing.assert_allclose(made, peer, rtol=1e-12)
        other = None if cosine is None else cosine.broadcast_like(truth.f.isel(lead=0, drop=True))
        peer = getattr(xskillscore, name)(estimate.f, truth.f, dim=SPACE, weights=other)
        np.testing.assert_allclose(made, peer, rtol=1e-12)


def test_correlation_matches_scores_and_xskillscore() -> None:
    continuous, xskillscore = pytest.importorskip("scores.continuous"), pytest.importorskip("xskillscore")
    estimate, truth = random()
    made = score(AnomalyCorrelation(centred=True), estimate, truth).by_lead
    np.testing.assert_allclose(
        made, continuous.correlation.pearsonr(estimate.f, truth.f, preserve_dims="lead"), rtol=1e-11
    )
    np.testing.assert_allclose(made, xskillscore.pearson_r(estimate.f, truth.f, dim=SPACE), rtol=1e-11)
    e, t = estimate.f.values, truth.f.values
    about_zero = (e * t).sum() / np.sqrt((e * e).sum() * (t * t).sum())
    np.testing.assert_allclose(score(AnomalyCorrelation(), estimate, truth).overall, about_zero, rtol=1e-12)


@pytest.mark.parametrize("members", [2, 7])
@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_crps_matches_its_definition_and_scores(estimator: Any, members: int) -> None:
    probability = pytest.importorskip("scores.probability")
    estimate, truth = random(members)
    made = score(CRPS(estimator=estimator), estimate, truth).by_lead
    peer = probability.crps_for_ensemble(estimate.f, truth.f, "member", method=estimator, preserve_dims="lead")
    np.testing.assert_allclose(made, peer, rtol=1e-12)
    x, y = estimate.f.values, truth.f.values[..., None]
    pairs = members * (members - 1 if estimator == "fair" else members)
    spread = abs(x[..., :, None] - x[..., None, :]).sum((-1, -2)) / (2 * pairs)
    np.testing.assert_allclose(made, (abs(x - y).mean(-1) - spread).mean((0, 2, 3)), rtol=1e-12)


def test_crps_matches_xskillscore() -> None:
    xskillscore = pytest.importorskip("xskillscore")
    estimate, truth = random(7)
    peer = xskillscore.crps_ensemble(truth.f, estimate.f, member_dim="member", dim=SPACE)
    np.testing.assert_allclose(score(CRPS(estimator="ecdf"), estimate, truth).by_lead, peer, rtol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 5, 10])
def test_fss_matches_scores(window: int) -> None:
    spatial = pytest.importorskip("scores.spatial")
    estimate, truth = random()
    made = score(FSS(thresholds=[5.0, 80.0], window=window), estimate, truth).by_lead
    for threshold in (5.0, 80.0):
        peer = spatial.fss_2d(
            estimate.f,
            truth.f,
            event_threshold=threshold,
            window_size=(window, window),
            spatial_dims=("y", "x"),
            preserve_dims=["lead"],
            threshold_operator=np.greater_equal,
        )
        np.testing.assert_allclose(made.sel(threshold=threshold), peer, rtol=1e-12)


@pytest.mark.parametrize("window", [1, 4, 5, 30])
def test_fss_around_every_cell_matches_scipy(window: int) -> None:
    estimate, truth = random()
    made = score(FSS(thresholds=[30.0], window=window, boundary="zeros"), estimate, truth).overall
    e, t = (
        uniform_filter((each.f.values >= 30.0).astype(float), (1, 1, window, window), mode="constant")
        for each in (estimate, truth)
    )
    np.testing.assert_allclose(made, [1 - ((e - t) ** 2).sum() / (e**2 + t**2).sum()], rtol=1e-9)
