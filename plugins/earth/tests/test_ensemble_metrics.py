"""Metrics of ensembles against brute force, exact ensembles and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Signature, score
from thalweg_earth.metrics.crps import CRPS
from thalweg_earth.metrics.energy_score import EnergyScore
from thalweg_earth.metrics.rank_histogram import RankHistogram
from thalweg_earth.metrics.reliability import Reliability
from thalweg_earth.metrics.spectrum import Spectrum
from thalweg_earth.metrics.spread_skill import SpreadSkill

DIMS = ("sample", "lead", "y", "x")


def drawn(members: int = 5, *, wide: float = 1.0, shape=(30, 2, 8, 8), seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """A truth and members of one distribution at each point; with `wide` other than 1, of another spread."""
    random = np.random.default_rng(seed)
    centre = random.normal(size=shape)
    truth = centre + random.normal(size=shape)
    estimate = centre[..., None] + wide * random.normal(size=(*shape, members))
    coords = {"lead": np.arange(1, shape[1] + 1)}
    return (
        xr.DataArray(estimate, coords, (*DIMS, "member")).to_dataset(name="rain"),
        xr.DataArray(truth, coords, DIMS).to_dataset(name="rain"),
    )


@pytest.mark.parametrize("members", [2, 5, 20])
def test_spread_over_skill_is_one_of_a_reliable_ensemble_of_any_size(members):
    assert float(score(SpreadSkill(), *drawn(members)).overall) == pytest.approx(1.0, abs=0.04)


def test_spread_over_skill_by_hand():
    estimate, truth = drawn(4)
    found = score(SpreadSkill(), estimate, truth)
    spread = np.sqrt(5 / 4 * estimate.rain.var("member", ddof=1).mean())
    skill = np.sqrt(((estimate.rain.mean("member") - truth.rain) ** 2).mean())
    assert float(found.overall) == pytest.approx(float(spread / skill))
    assert float(found.beside["spread"].overall) == pytest.approx(float(spread))
    assert float(found.beside["skill"].overall) == pytest.approx(float(skill))


def test_an_estimate_without_members_may_have_no_spread():
    estimate, truth = drawn(2)
    found = score(SpreadSkill(alone="zero"), estimate.isel(member=0, drop=True), truth)
    assert float(found.overall) == 0.0
    error = float(((estimate.rain.isel(member=0) - truth.rain) ** 2).mean()) ** 0.5
    assert float(found.beside["skill"].overall) == pytest.approx(error)


def test_ranks_are_flat_of_a_reliable_ensemble_and_hollow_of_a_narrow_one():
    flat = score(RankHistogram(), *drawn(4)).overall
    np.testing.assert_allclose(flat, 1.0, atol=0.12)
    narrow = score(RankHistogram(), *drawn(4, wide=0.3))
    assert float(narrow.overall[0]) > 1.3 < float(narrow.overall[-1])
    shares = narrow.overall / 5
    assert float(narrow.beside["deviation"].overall) == pytest.approx(float(abs(shares - 0.2).sum()))


def test_ranks_are_those_of_another_library():
    xskillscore = pytest.importorskip("xskillscore")
    estimate, truth = drawn(4)
    counts = xskillscore.rank_histogram(truth.rain, estimate.rain, member_dim="member")
    found = score(RankHistogram(), estimate, truth).overall / 5
    np.testing.assert_allclose(found, counts / counts.sum(), rtol=1e-12)


def test_equal_values_share_their_ranks():
    truth = xr.DataArray(np.zeros((1, 1, 1, 1)), dims=DIMS).to_dataset(name="rain")
    members = xr.DataArray(np.array([0.0, 0.0, 3.0]).reshape(1, 1, 1, 1, 3), dims=(*DIMS, "member"))
    found = score(RankHistogram(), members.to_dataset(name="rain"), truth).overall
    np.testing.assert_allclose(found, np.array([1, 1, 1, 0]) / 3 * 4)


@pytest.mark.parametrize("bins", [2, 10])
def test_reliability_by_hand(bins):
    estimate, truth = drawn(7, wide=0.4)
    found = score(Reliability(thresholds=(0.0, 1.5), bins=bins), estimate, truth)
    for k, threshold in enumerate((0.0, 1.5)):
        probability = (estimate.rain >= threshold).mean("member").values.ravel()
        event = (truth.rain >= threshold).values.ravel()
        place = np.minimum((probability * bins).astype(int), bins - 1)
        reliability = resolution = 0.0
        for number in range(bins):
            within = place == number
            if within.any():
                away = probability[within].mean() - event[within].mean()
                reliability += within.mean() * away**2
                resolution += within.mean() * (event[within].mean() - event.mean()) ** 2
        assert float(found.overall[k]) == pytest.approx(reliability)
        assert float(found.beside["resolution"].overall[k]) == pytest.approx(resolution)
        brier = ((probability - event) ** 2).mean()
        assert float(found.beside["brier"].overall[k]) == pytest.approx(brier)


def test_brier_is_that_of_another_library():
    scores = pytest.importorskip("scores.probability")
    estimate, truth = drawn(6)
    wanted = scores.brier_score_for_ensemble(estimate.rain, truth.rain, "member", 0.5, fair_correction=False)
    found = score(Reliability(thresholds=(0.5,)), estimate, truth).beside["brier"].overall
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_energy_score_by_brute_force(estimator):
    estimate, truth = drawn(4, shape=(3, 2, 3, 3))
    fields = estimate.rain.transpose(*DIMS, "member").values.reshape(6, 9, 4).transpose(0, 2, 1)
    wanted = truth.rain.values.reshape(6, 9)
    values = []
    for members, field in zip(fields, wanted, strict=True):
        error = np.mean([np.sqrt(((each - field) ** 2).mean()) for each in members])
        pairs = sum(np.sqrt(((one - other) ** 2).mean()) for one in members for other in members)
        values.append(error - pairs / (2 * (16 if estimator == "ecdf" else 12)))
    assert float(score(EnergyScore(estimator=estimator), estimate, truth).overall) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_the_energy_score_of_one_cell_is_its_crps(estimator):
    estimate, truth = drawn(5, shape=(20, 1, 1, 1))
    found = score(EnergyScore(estimator=estimator), estimate, truth).overall
    assert float(found) == pytest.approx(float(score(CRPS(estimator=estimator), estimate, truth).overall))


def test_power_grows_with_the_square_and_falls_where_a_field_is_smooth():
    _, truth = drawn(shape=(10, 2, 16, 16))
    metric = Spectrum(bands=((1, 4), (4, 8)))
    np.testing.assert_allclose(score(metric, truth * 3.0, truth).overall, 9.0)
    np.testing.assert_allclose(score(metric, truth + 7.0, truth).overall, 1.0)
    smooth = truth.rain.rolling(x=3, center=True, min_periods=1).mean().to_dataset(name="rain")
    low, high = score(metric, smooth, truth).overall.values
    assert high < low < 1.0


def test_power_is_all_there_is_without_a_taper():
    # Parseval: all waves but the mean have the variance.
    estimate, truth = drawn(3, shape=(4, 1, 9, 12))
    found = score(Spectrum(bands=((0.1, 100),), taper=False), estimate, truth).overall
    wanted = estimate.rain.var(["y", "x"]).mean() / truth.rain.var(["y", "x"]).mean()
    assert float(found.squeeze()) == pytest.approx(float(wanted))


def test_members_are_scored_and_not_their_mean():
    estimate, truth = drawn(20)
    metric = Spectrum(bands=((1, 4),))
    of_members, of_mean = (
        float(score(metric, each, truth).overall.squeeze()) for each in (estimate, estimate.mean("member"))
    )
    assert of_members == pytest.approx(1.0, abs=0.1)
    assert of_mean < 0.7


@pytest.mark.parametrize("metric", [SpreadSkill(), RankHistogram()])
def test_what_needs_members_says_so(metric):
    estimate, truth = drawn()
    with pytest.raises(HandshakeError, match="is given 1 member of 'rain'"):
        score(metric, estimate.isel(member=0, drop=True), truth)


def test_bands_that_hold_no_wave_are_refused():
    _, truth = drawn()
    with pytest.raises(HandshakeError, match=r"8 x 8 cells lies in the band \(6.0, 32.0\)"):
        Spectrum(bands=((1, 4), (6, 32))).check(Signature.of(truth))
    with pytest.raises(ValueError, match="a first wavenumber"):
        Spectrum(bands=((4, 1),))
