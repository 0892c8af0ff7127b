"""Metrics against what can be said of them by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats
from thalweg import HandshakeError, score
from thalweg.components.signature import Field, Signature
from thalweg.testing import check_metric
from thalweg.testing.metrics import example
from thalweg_pde.metrics.boundary_error import BoundaryError
from thalweg_pde.metrics.conservation_error import ConservationError
from thalweg_pde.metrics.gaussian_crps import GaussianCRPS
from thalweg_pde.metrics.log_likelihood import LogLikelihood
from thalweg_pde.metrics.relative_l2 import RelativeL2
from thalweg_pde.metrics.shock_location import ShockLocation

METRICS: list[Any] = [
    RelativeL2(),
    BoundaryError(),
    BoundaryError(dim="lat", sides="left"),
    ConservationError(),
    ConservationError(kind="absolute", dim="lat"),
    ConservationError(kind="squared"),
    ShockLocation(threshold=0.4),
]


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_keep_the_contract(metric: Any) -> None:
    check_metric(metric)


@pytest.mark.parametrize("metric", [LogLikelihood(), GaussianCRPS()])
def test_scores_of_a_spread_keep_the_contract(metric: Any) -> None:
    estimate, truth = example(Signature())
    spread = {f"{name}_variance": abs(each) * 0.01 + 1e-3 for name, each in estimate.data_vars.items()}
    check_metric(metric, estimate.assign(spread), truth)
    check_metric(metric, xr.concat([estimate, estimate * 1.1, estimate - 0.1], "member"), truth)
    with pytest.raises(HandshakeError, match="nothing of its uncertainty"):
        score(metric, estimate, truth)


def fields(values: Any, **more: Any) -> xr.Dataset:
    made = xr.Dataset({"u": (("sample", "x"), np.asarray(values, dtype="float64"))}, {"x": [0.0, 1.0, 3.0, 4.0]})
    return made.assign({name: (("sample", "x"), np.asarray(each)) for name, each in more.items()})


def value(metric: Any, estimate: xr.Dataset, truth: xr.Dataset) -> float:
    return float(score(metric, estimate, truth).overall)


def test_by_hand() -> None:
    truth = fields([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
    estimate = fields([[3.0, 4.0, 0.0, 5.0], [0.0, 0.0, 1.0, 0.0]])
    assert value(RelativeL2(), estimate, truth) == pytest.approx((1.0 + 0.5) / 2)
    assert value(BoundaryError(), estimate, truth) == pytest.approx(np.sqrt(25 / 4))
    assert value(BoundaryError(sides="left"), estimate, truth) == 0.0
    # Weights of the cells: 0.5, 1.5, 1.5, 0.5.
    assert value(ConservationError(), estimate, truth) == pytest.approx((2.5 - 1.5) / 2)
    assert value(ConservationError(kind="absolute"), estimate, truth) == pytest.approx((2.5 + 1.5) / 2)
    assert value(ConservationError(kind="squared"), estimate, truth) == pytest.approx((2.5**2 + 1.5**2) / 2)
    front = fields([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    other = fields([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    assert value(ShockLocation(), front, other) == pytest.approx((2.0 + 1.0) / 2)


def test_likelihood_is_the_density() -> None:
    draw = np.random.default_rng(0)
    truth, mean = draw.normal(size=(2, 3, 4))
    variance = draw.uniform(0.1, 1.0, (3, 4))
    wanted = stats.norm(mean, np.sqrt(variance)).logpdf(truth).mean()
    assert value(LogLikelihood(), fields(mean, u_variance=variance), fields(truth)) == pytest.approx(wanted)
    members = xr.concat([fields(mean + shift) for shift in (-1.0, 0.0, 1.0)], "member")
    assert value(LogLikelihood(), members, fields(truth)) == pytest.approx(stats.norm(mean, 1.0).logpdf(truth).mean())


def test_crps_of_a_gaussian_is_the_integral() -> None:
    r"""$\int (F(x) - 1_{x \ge y})^2 dx$."""
    truth, mean, variance = [[0.3, -2.0, 1.0, 4.0]], [[0.0, 0.0, 1.0, 1.0]], [[0.25, 1.0, 4.0, 0.01]]
    wanted = []
    for y, m, v in zip(truth[0], mean[0], variance[0], strict=True):
        normal = stats.norm(m, v**0.5)
        below, _ = integrate.quad(lambda x, normal=normal: normal.cdf(x) ** 2, m - 9, y)
        above, _ = integrate.quad(lambda x, normal=normal: normal.sf(x) ** 2, y, max(y, m) + 20)
        wanted.append(below + above)
    found = value(GaussianCRPS(), fields(mean, u_variance=variance), fields(truth))
    assert found == pytest.approx(np.mean(wanted), rel=1e-6)
    sure = fields(mean, u_variance=np.zeros((1, 4)))
    assert value(GaussianCRPS(), sure, fields(truth)) == np.abs(np.subtract(truth, mean)).mean()


def test_a_dim_that_is_not_there_is_refused() -> None:
    with pytest.raises(HandshakeError, match="no dim 'z'"):
        BoundaryError(dim="z").check(Signature.of(fields([[0.0] * 4])))


@pytest.mark.parametrize("metric", [GaussianCRPS(), LogLikelihood()])
def test_an_estimate_without_a_variance_is_refused_before_the_run(metric):
    given = Signature((Field("u", ("sample", "lead", "x"), "float64", "1"),), {"sample": 2, "lead": 1, "x": 4})
    with pytest.raises(HandshakeError, match="says nothing of its uncertainty"):
        metric.check(given)
    metric.check(given.with_variance())
    metric.check(given.with_members(2))
