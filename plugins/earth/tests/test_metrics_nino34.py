"""The Nino3.4 index: its box, its running mean, its weights."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Signature, score
from thalweg_earth.metrics.nino34_skill import Nino34Skill, icar_weights


def series(values: list[list[float]], longitude: list[float] | None = None) -> xr.Dataset:
    """Monthly means of the box by sample, and noise outside it."""
    lon = longitude or [150.0, 190.0, 240.0, 280.0]
    monthly = np.asarray(values)
    field = np.random.default_rng(len(lon)).normal(size=(*monthly.shape, 3, len(lon))) * 100
    field[..., 1, 1:3] = monthly[..., None] + [-1.0, 1.0]
    return xr.Dataset(
        {"sst": (("sample", "lead", "lat", "lon"), field)},
        {"lead": 1 + np.arange(monthly.shape[1]), "lat": [-10.0, 0.0, 10.0], "lon": lon},
    )


ESTIMATE, TRUTH = [[0.0], [1.0], [2.0]], [[0.0], [2.0], [1.0]]


def test_exact_correlation_of_the_box() -> None:
    made = score(Nino34Skill(months=1), series(ESTIMATE), series(TRUTH))
    np.testing.assert_allclose(made.by_lead, [0.5], rtol=1e-12)
    np.testing.assert_allclose(made.overall, 0.5, rtol=1e-12)


def test_the_running_mean_starts_at_its_lead() -> None:
    estimate, truth = (
        series([[each[0] - 3, each[0], each[0] + 3, 40.0] for each in values]) for values in (ESTIMATE, TRUTH)
    )
    made = score(Nino34Skill(leads=1), estimate, truth).by_lead
    assert made.lead.values.tolist() == [1]
    np.testing.assert_allclose(made, [0.5], rtol=1e-12)
    assert score(Nino34Skill(), estimate, truth).by_lead.lead.values.tolist() == [1, 2]


def test_west_may_be_negative() -> None:
    west = [150.0, -170.0, -120.0, -80.0]
    made = score(Nino34Skill(months=1), series(ESTIMATE, west), series(TRUTH, west))
    np.testing.assert_allclose(made.overall, 0.5, rtol=1e-12)


def test_a_box_may_cross_the_zero_meridian() -> None:
    lon = [330.0, 350.0, 10.0, 40.0]
    metric = Nino34Skill(months=1, longitude=(350, 370))
    np.testing.assert_allclose(score(metric, series(ESTIMATE, lon), series(TRUTH, lon)).overall, 0.5, rtol=1e-12)


def test_land_is_left_out() -> None:
    estimate, truth = series(ESTIMATE), series(TRUTH)
    sea = truth.lon != 240.0
    made = score(Nino34Skill(months=1), estimate, truth.where(sea))
    np.testing.assert_allclose(made.overall, 0.5, rtol=1e-12)


def test_a_constant_has_no_correlation() -> None:
    made = score(Nino34Skill(months=1), series([[27.3]] * 3), series(TRUTH))
    assert np.isnan(made.overall)


def test_a_perfect_estimate_has_skill_one_or_the_mean_weight() -> None:
    truth = series(np.random.default_rng(0).normal(27, 1, (9, 14)).tolist())
    np.testing.assert_allclose(score(Nino34Skill(), truth, truth).overall, 1.0, rtol=1e-9)
    np.testing.assert_allclose(score(Nino34Skill(weights="icar"), truth, truth).overall, 3.405859, rtol=1e-6)


def test_the_challenges_weights() -> None:
    given = [0, 1.03972, 1.64792, 2.07944, 3.21888, 3.58352, 3.89182, 4.15888, 4.39445, 4.60517, 4.79579, 7.45472]
    np.testing.assert_allclose(icar_weights(12), given, atol=5e-6)
    assert icar_weights(24)[-1] == 4 * np.log(24)


def test_a_grid_without_the_box_is_refused() -> None:
    atlantic = series(TRUTH).assign_coords(lon=[300.0, 310.0, 320.0, 330.0])
    with pytest.raises(HandshakeError) as caught:
        score(Nino34Skill(months=1), atlantic, atlantic)
    assert str(caught.value) == (
        "no cell lies between 190 and 240 in 'lon'\n"
        "  allowed: the grid goes from 300 to 330\n"
        "  do: score a field that covers the box, or move the box"
    )


def test_too_few_leads_are_refused() -> None:
    truth = series(TRUTH)
    with pytest.raises(HandshakeError, match="1 leads, where the index of 1 leads of 3 months"):
        Nino34Skill().check(Signature.of(truth))
    with pytest.raises(HandshakeError, match="has no leads"):
        Nino34Skill().check(Signature.of(truth.isel(lead=0)))
