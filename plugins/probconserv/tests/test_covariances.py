"""Factors, ensembles, sparse rows, tensors, chunks and draws: each against dense algebra or against each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from thalweg.errors import EstimateError, RunError
from thalweg_probconserv import condition
from thalweg_probconserv.correlated import update_correlated
from thalweg_probconserv.engine import update, update_members
from thalweg_probconserv.sampling import samples
from thalweg_probconserv.smoothing import smooth

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
REFERENCE = SHARED / "reference" / "probconserv" / "probconserv.npz"

DRAW = np.random.default_rng(0)


def dense(
    mean: np.ndarray, prior: np.ndarray, rows: np.ndarray, targets: np.ndarray, noise: np.ndarray | float
) -> tuple:
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise * np.eye(len(rows)))
    return mean - gain @ (rows @ mean - targets), prior - gain @ rows @ prior


def case(*, cells: int = 40, rank: int = 12, rows: int = 3) -> tuple:
    draw = np.random.default_rng(1)
    return (
        draw.normal(size=cells),
        draw.uniform(0.1, 1.0, cells),
        draw.normal(size=(cells, rank)),
        draw.normal(size=(rows, cells)),
        draw.normal(size=rows),
    )


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("beside", [True, False])
def test_a_factor_is_the_dense_update(noise: float, beside: bool) -> None:
    mean, variance, factor, rows, targets = case()
    own = variance if beside else None
    prior = factor @ factor.T + (np.diag(variance) if beside else 0.0)
    expected, covariance = dense(mean, prior, rows, targets, noise)
    found = update(mean, own, rows=rows, targets=targets, noise=noise, factor=factor, downdate=True)
    np.testing.assert_allclose(found.mean, expected, atol=1e-10)
    np.testing.assert_allclose(found.variance, np.diag(covariance), atol=1e-10)
    np.testing.assert_allclose(prior - found.downdate @ found.downdate.T, covariance, atol=1e-10)
    if not beside:
        np.testing.assert_allclose(found.factor @ found.factor.T, covariance, atol=1e-10)
    else:
        assert (found.variance - (found.factor**2).sum(-1) > -1e-12).all()


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_members_have_the_mean_and_covariance_of_the_dense_update(noise: float) -> None:
    members = DRAW.normal(size=(50, 9)) + DRAW.normal(size=(50, 1))
    rows, targets = DRAW.normal(size=(3, 50)), DRAW.normal(size=3)
    expected, covariance = dense(members.mean(-1), np.cov(members), rows, targets, noise)
    found, _ = update_members(members, rows=rows, targets=targets, noise=noise)
    np.testing.assert_allclose(found.mean(-1), expected, atol=1e-11)
    np.testing.assert_allclose(np.cov(found), covariance, atol=1e-11)
    if not noise:
        np.testing.assert_allclose(rows @ found, np.repeat(targets[:, None], 9, 1), atol=1e-10)


def test_as_many_rows_as_members_are_refused_and_shrinkage_holds_them() -> None:
    members, rows = DRAW.normal(size=(50, 5)), DRAW.normal(size=(4, 50))
    with pytest.raises(RunError) as caught:
        update_members(members, rows=rows, targets=np.zeros(4))
    assert str(caught.value) == (
        "4 rows cannot be held by an ensemble of 5 members\n"
        "  allowed: up to 3 rows without noise: members differ in 4 directions\n"
        "  do: use more members, give the laws noise, set `shrinkage` above 0, or hold them by `additive`"
    )
    found, _ = update_members(members, rows=rows, targets=np.zeros(4), shrinkage=0.2)
    assert abs(rows @ found).max() < 1e-10
    noisy, _ = update_members(members, rows=rows, targets=np.zeros(4), noise=0.1)
    assert np.isfinite(noisy).all()


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("factor", [True, False])
def test_sparse_rows_are_dense_rows(overlap: bool, factor: bool) -> None:
    mean, variance, low, _, _ = case(cells=60)
    if overlap:
        rows = csr_array(random_array((5, 60), density=0.2, rng=np.random.default_rng(3)))
    else:
        rows = csr_array((np.ones(60), (np.arange(60) // 12, np.arange(60))), shape=(5, 60))
    batch, targets = np.stack([mean, 2 * mean]), DRAW.normal(size=(2, 5))
    own = {"factor": np.stack([low, low])} if factor else {}
    spread = np.stack([variance, 3 * variance])
    found = update(batch, spread, rows=rows, targets=targets, **own, downdate=True)
    expected = update(batch, spread, rows=rows.toarray(), targets=targets, **own, downdate=True)
    for name in ("mean", "variance", "downdate", *own):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-11)


def test_draws_obey_and_have_the_conditioned_moments() -> None:
    mean, variance, factor, rows, targets = case(cells=6, rank=2, rows=2)
    drawn = samples(mean, variance, rows=rows, targets=targets, factor=factor, count=20000, seed=4)
    assert abs(drawn @ rows.T - targets).max() < 1e-11
    expected, covariance = dense(mean, np.diag(variance) + factor @ factor.T, rows, targets, 0.0)
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.1)
    noisy = samples(mean, variance, rows=rows, targets=targets, noise=0.5, count=20000, seed=5)
    expected, covariance = dense(mean, np.diag(variance), rows, targets, 0.5)
    np.testing.assert_allclose(noisy.mean(0), expected, atol=0.05)
    np.testing.assert_allclose(np.cov(noisy.T), covariance, atol=0.05)


@pytest.mark.parametrize("sparse", ["dense", "overlapping", "disjoint"])
def test_tensors_have_gradients(sparse: str) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(6)
    rows: object = draw.normal(size=(2, 8))
    if sparse == "overlapping":
        rows = csr_array(([1.0, 2.0, 1.0], ([0, 0, 1], [1, 2, 2])), shape=(2, 8))
    if sparse == "disjoint":
        rows = csr_array(([1.0, 2.0], ([0, 1], [1, 2])), shape=(2, 8))
    given = [draw.normal(size=(3, 8)), draw.uniform(0.5, 1.0, (3, 8)), draw.normal(size=(3, 2))]
    mean, variance, targets = (torch.from_numpy(each).requires_grad_() for each in given)

    def held(mean: object, variance: object, targets: object) -> object:
        return condition(mean, variance, rows, targets)

    assert torch.autograd.gradcheck(held, (mean, variance, targets))
    expected = condition(given[0], given[1], rows, given[2])
    for one, other in zip(held(mean, variance, targets), expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, atol=1e-12)


def test_a_factor_has_gradients() -> None:
    torch = pytest.importorskip("torch")
    mean, variance, factor, rows, targets = (torch.from_numpy(each) for each in case(cells=7, rank=3, rows=2))
    factor.requires_grad_()

    def moments(factor: object) -> tuple:
        found = update(mean, variance, rows=rows, targets=targets, noise=0.1, factor=factor)
        return found.mean, found.variance, found.factor

    assert torch.autograd.gradcheck(moments, (factor,))


@pytest.mark.parametrize("chunks", [((4,), (30,)), ((1, 3), (7, 11, 12)), ((2, 2), (1,) * 30)])
@pytest.mark.parametrize("kind", ["dense", "sparse", "disjoint"])
def test_chunks_are_the_whole(chunks: tuple, kind: str) -> None:
    import dask.array as da

    draw = np.random.default_rng(7)
    mean, variance, targets = draw.normal(size=(4, 30)), draw.uniform(size=(4, 30)), draw.normal(size=(4, 3))
    mean[:, 3] = np.nan
    rows: object = draw.normal(size=(3, 30))
    if kind == "sparse":
        rows = csr_array(random_array((3, 30), density=0.4, rng=draw))
    if kind == "disjoint":
        rows = csr_array((np.ones(30), (np.arange(30) // 10, np.arange(30))), shape=(3, 30))
    lazy = [da.from_array(each, chunks=chunks) for each in (mean, variance)]
    found = condition(*lazy, rows, targets)
    assert all(each.chunks == chunks for each in found)
    for one, other in zip(found, condition(mean, variance, rows, targets), strict=True):
        np.testing.assert_allclose(one.compute(scheduler="sync"), other, atol=1e-12)


def test_a_refusal_in_chunks_comes_when_it_is_computed() -> None:
    import dask.array as da

    mean = da.zeros((2, 12), chunks=(1, 5))
    found = condition(mean, mean, np.ones((1, 12)), np.ones((2, 1)))[0]
    with pytest.raises(RunError, match="row 0 cannot be held"):
        found.compute(scheduler="sync")
    with pytest.raises(EstimateError, match=r"the variance is -1\.0"):
        condition(mean, mean - 1, np.ones((1, 12)), np.ones((2, 1)))[0].compute(scheduler="sync")


def test_n_of_200000_under_a_cap_that_n_by_n_would_break() -> None:
    """3 GB of address space: n x n would take 320 GB, n x 2000 as much as the cap."""
    script = (
        "import resource, numpy as np, thalweg_probconserv as p\n"
        "from scipy.sparse import csr_array\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))\n"
        "n, k = 200_000, 2000\n"
        "rows = csr_array((np.ones(n), (np.arange(n) // (n // k), np.arange(n))), shape=(k, n))\n"
        "held, left = p.condition(np.ones(n), np.ones(n), rows, np.zeros(k))\n"
        "assert abs(rows @ held).max() < 1e-10\n"
        "try: np.ones((n, n // 10))\n"
        "except MemoryError: print('capped')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "capped", done.stderr


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"no {REFERENCE.name} beside the repository")
@pytest.mark.parametrize(("mode", "noisy"), [("exact", False), ("noisy", True)])
def test_it_gives_the_published_dense_case(mode: str, noisy: bool) -> None:
    with np.load(REFERENCE) as data:
        given = {key: data[f"F_{key}"] for key in ("mu0", "Sigma0", "G", "b", "R", f"{mode}_mu", f"{mode}_cov")}
    factor = np.linalg.cholesky(given["Sigma0"])
    noise = given["R"] if noisy else 0.0
    found = update(given["mu0"], None, rows=given["G"], targets=given["b"], noise=noise, factor=factor, downdate=True)
    np.testing.assert_allclose(found.mean, given[f"{mode}_mu"], atol=1e-10)
    np.testing.assert_allclose(found.factor @ found.factor.T, given[f"{mode}_cov"], atol=1e-10)
    np.testing.assert_allclose(given["Sigma0"] - found.downdate @ found.downdate.T, given[f"{mode}_cov"], atol=1e-10)


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"no {REFERENCE.name} beside the repository")
def test_smoothing_then_the_law_gives_the_published_arrays() -> None:
    with np.load(REFERENCE) as data:
        mean, variance = data["A_mu"].astype("float64"), data["A_sd"].astype("float64") ** 2
        rows, targets = data["A_w"][..., None, :].astype("float64"), data["A_b"][..., None].astype("float64")
        expected, covariance = data["A_diff09_limit_mu"], data["A_diff09_limit_cov"]
    first = smooth(mean, variance, correlation=0.9)
    found = update_correlated(first.mean, first.variance, times=first.times, rows=rows, targets=targets)
    np.testing.assert_allclose(found.mean, expected, atol=2e-6)
    np.testing.assert_allclose(found.variance, np.diagonal(covariance, axis1=-2, axis2=-1), atol=2e-6)
    eye = np.eye(33)[:, None, None]
    full = np.moveaxis(np.stack([first.times(each + 0 * mean) for each in eye]), 0, -1)
    full -= found.downdate @ found.downdate.swapaxes(-1, -2)
    np.testing.assert_allclose(full, covariance, atol=2e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_smoothing_is_the_dense_update(correlation: float) -> None:
    draw = np.random.default_rng(8)
    mean, variance = draw.normal(size=(2, 9)), draw.uniform(0.5, 2.0, (2, 9))
    found = smooth(mean, variance, correlation=correlation)
    rows = np.diff(np.eye(9), 2, axis=0)
    tie = correlation ** np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    for item in range(2):
        deviation = np.sqrt(variance[item])
        own = np.array([1.0, -2.0, 1.0])[None] * np.lib.stride_tricks.sliding_window_view(deviation, 3)
        noise = np.diag(np.einsum("ki,ij,kj->k", own, tie, own))
        prior = np.diag(variance[item])
        gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise)
        np.testing.assert_allclose(found.mean[item], mean[item] - gain @ rows @ mean[item], atol=1e-12)
        np.testing.assert_allclose(found.variance[item], np.diag(prior - gain @ rows @ prior), atol=1e-12)
