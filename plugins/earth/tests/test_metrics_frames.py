"""Frame errors and structural similarity against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, OptionError, Registry, Signature, score
from thalweg.testing import check_metric

REGISTRY = Registry.installed()


def make(name: str, **options: Any) -> Any:
    return REGISTRY.make("metrics", {name: options})


def frames(seed: int, shape: tuple[int, ...] = (3, 4, 16, 13)) -> xr.Dataset:
    values = np.random.default_rng(seed).random(shape)
    return xr.Dataset({"frames": (("sample", "lead", "y", "x")[: len(shape)], values)})


def direct(estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], *, span: float = 1.0) -> float:
    """SSIM of one frame, window by window."""
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for y in range(truth.shape[0] - 10):
        for x in range(truth.shape[1] - 10):
            e, t = (each[y : y + 11, x : x + 11] for each in (estimate, truth))
            mean = [(weights * each).sum() for each in (e, t)]
            variance = [(weights * (each - m) ** 2).sum() for each, m in zip((e, t), mean, strict=True)]
            both = (weights * (e - mean[0]) * (t - mean[1])).sum()
            c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
            up = (2 * mean[0] * mean[1] + c1) * (2 * both + c2)
            found.append(up / ((mean[0] ** 2 + mean[1] ** 2 + c1) * (sum(variance) + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize("name", ["frame-mse", "frame-mae", "ssim"])
def test_conformance_with_its_defaults(name: str) -> None:
    check_metric(make(name), frames(0), frames(1))


def test_ssim_is_the_formula() -> None:
    estimate, truth = frames(0), 0.5 * frames(0) + 0.5 * frames(1)
    wanted = [
        [direct(e, t) for e, t in zip(es, ts, strict=True)]
        for es, ts in zip(estimate.frames.values, truth.frames.values, strict=True)
    ]
    made = score(make("ssim"), estimate, truth)
    np.testing.assert_allclose(made.by_lead, np.mean(wanted, axis=0), rtol=1e-12)
    np.testing.assert_allclose(made.overall, np.mean(wanted), rtol=1e-12)
    assert 0.05 < float(made.overall) < 0.95


def test_ssim_of_one_frame_has_the_known_symmetries() -> None:
    one, other = frames(0), frames(1)
    ssim = make("ssim")
    assert score(ssim, one, other).overall == pytest.approx(float(score(ssim, other, one).overall), rel=1e-12)
    turned = score(ssim, one.isel(y=slice(None, None, -1)), other.isel(y=slice(None, None, -1)))
    assert turned.overall == pytest.approx(float(score(ssim, one, other).overall), rel=1e-12)


def test_the_range_of_the_data_only_sets_the_scale() -> None:
    bytes_ = score(make("ssim", data_range=255), 255 * frames(0), 255 * frames(1)).overall
    assert bytes_ == pytest.approx(float(score(make("ssim"), frames(0), frames(1)).overall), rel=1e-12)


def test_ssim_does_not_depend_on_the_other_frames() -> None:
    """The published code takes the range from the batch, so that a frame's score depends on its neighbours."""
    one, other = frames(0).isel(sample=[0]), frames(1).isel(sample=[0])
    alone = score(make("ssim"), one, other).overall
    both = [xr.concat([each, 0.1 * each], "sample") for each in (one, other)]
    assert score(make("ssim"), both[0].isel(sample=[0]), both[1].isel(sample=[0])).overall == alone
    assert score(make("ssim"), *both).overall != alone


def test_missing_cells_weigh_nothing() -> None:
    """A constant field is like itself wherever it has holes; unlike another by the same everywhere."""
    there = np.random.default_rng(3).random((3, 4, 16, 13)) > 0.3
    one, other = xr.full_like(frames(0), 0.25), xr.full_like(frames(0), 0.75)
    whole = float(score(make("ssim"), one, other).overall)
    holed = float(score(make("ssim"), one.where(xr.DataArray(there, dims=("sample", "lead", "y", "x"))), other).overall)
    assert holed == pytest.approx(whole, rel=1e-9)
    assert whole == pytest.approx((2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4), rel=1e-9)


def test_frame_errors_are_added_up_over_a_frame() -> None:
    estimate, truth = frames(0), frames(1)
    difference = (estimate - truth).frames
    made = score(make("frame-mse"), estimate, truth)
    xr.testing.assert_allclose(made.by_lead, (difference**2).sum(("y", "x")).mean("sample"), rtol=1e-12)
    xr.testing.assert_allclose(made.overall, (difference**2).sum(("y", "x")).mean(), rtol=1e-12)
    absolute = score(make("frame-mae", unit=2.0), estimate, truth).overall
    xr.testing.assert_allclose(absolute, abs(difference).sum(("y", "x")).mean() / 2, rtol=1e-12)


def test_channels_are_frames_of_their_own() -> None:
    estimate, truth = (each.expand_dims(channel=2) for each in (frames(0), frames(1)))
    for name in ("frame-mse", "frame-mae", "ssim"):
        alone = float(score(make(name), frames(0), frames(1)).overall)
        assert float(score(make(name), estimate, truth).overall) == pytest.approx(alone, rel=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    truth = frames(1)
    bounded = truth.assign(frames=(255 * truth.frames).astype("uint8"))
    with pytest.raises(OptionError) as caught:
        make("ssim").check(Signature.of(bounded))
    assert str(caught.value) == (
        "data_range 1.0 is less than 'frames' spans, 0.0 to 255.0\n"
        "  allowed: at least 255.0\n"
        "  do: set `data_range` to what the field spans as it is scored"
    )
    make("ssim", data_range=255).check(Signature.of(bounded))
    with pytest.raises(HandshakeError, match="squares of 11 cells do not fit into dim 'y'"):
        make("ssim").check(Signature.of(truth.isel(y=slice(8))))
    with pytest.raises(OptionError, match="odd"):
        make("ssim", window=10)
    for name in ("frame-mse", "frame-mae", "ssim"):
        with pytest.raises(HandshakeError, match="has no plane"):
            make(name).check(Signature.of(truth.isel(y=0, drop=True)))
