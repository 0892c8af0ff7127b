"""Extrapolation on fields whose motion is known, and on two months of radar."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import Field, HandshakeError, Signature
from thalweg_earth.methods import _motion
from thalweg_earth.methods.advection import Advection
from thalweg_earth.methods.persistence import Persistence

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
RADAR = SHARED / "data" / "radar" / "taasrad19_64_2015-10_2016-07.nc"
THRESHOLDS = (16, 74, 133, 160, 181, 219)
ROW, COLUMN = np.indices((64, 64), dtype=np.float64)
CENTRE = (slice(12, 52), slice(12, 52))


def blobs(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Smooth echoes over and beyond the domain, at any coordinates."""
    generator = np.random.default_rng(3)
    total = np.zeros_like(row)
    for y, x, width, height in zip(
        generator.uniform(-20, 84, 60),
        generator.uniform(-20, 84, 60),
        generator.uniform(3, 6, 60),
        generator.uniform(50, 120, 60),
        strict=True,
    ):
        total += height * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * width**2))
    return total


def history(frames: np.ndarray) -> tuple[xr.Dataset, Signature]:
    inputs = xr.Dataset({"refl": (("sample", "lead", "y", "x"), frames)}, {"lead": np.arange(1 - frames.shape[1], 1)})
    return inputs, Signature((Field("refl"),), {"lead": 12})


def translated(velocity: tuple[float, float], steps: range) -> np.ndarray:
    return np.stack([blobs(ROW - step * velocity[0], COLUMN - step * velocity[1]) for step in steps])


@pytest.mark.parametrize("velocity", [(0.0, 0.0), (1.0, -2.0), (0.3, 0.7), (-1.6, 1.25), (4.3, -3.2)])
def test_a_translation_is_found(velocity: tuple[float, float]) -> None:
    frames = translated(velocity, range(-4, 1))
    expected = np.array(velocity)[:, None, None]
    flow = _motion.optical_flow(frames, window=4.0, stiffness=0.3)
    assert abs(flow - expected)[:, *CENTRE].max() < 0.1
    assert abs(_motion.phase_correlation(frames) - expected).max() < 0.02


def test_a_rotation_is_found_by_optical_flow_and_is_carried_on() -> None:
    def turned(angle: float) -> np.ndarray:
        row, column = ROW - 31.5, COLUMN - 31.5
        return blobs(
            31.5 + np.cos(angle) * row + np.sin(angle) * column, 31.5 - np.sin(angle) * row + np.cos(angle) * column
        )

    frames = np.stack([turned(0.03 * step) for step in range(-4, 1)])
    flow = _motion.optical_flow(frames, window=4.0, stiffness=0.003)
    expected = np.stack([-0.03 * (COLUMN - 31.5), 0.03 * (ROW - 31.5)])
    assert np.sqrt(((flow - expected)[:, *CENTRE] ** 2).mean()) < 0.1
    inputs, wanted = history(frames[None])
    truth = np.stack([turned(0.03 * step) for step in range(1, 13)])[:, *CENTRE]
    estimate = Advection(smoothing=0.0, stiffness=0.003).solve(inputs, wanted).refl.values[0][:, *CENTRE]
    still = Persistence().solve(inputs, wanted).refl.values[0][:, *CENTRE]
    assert ((estimate - truth) ** 2).mean() < 0.1 * ((still - truth) ** 2).mean()


@pytest.mark.parametrize("shift", [(1, 0), (0, -2), (3, 1)])
def test_a_whole_displacement_moves_values_without_changing_them(shift: tuple[int, int]) -> None:
    field = np.random.default_rng(5).uniform(0, 255, (20, 24))
    motion = np.broadcast_to(np.array(shift, float)[:, None, None], (2, 20, 24))
    moved = _motion.extrapolate(field, motion, steps=3, inflow="empty")
    for step in range(3):
        down, right = ((step + 1) * each for each in shift)
        expected = np.zeros_like(field)
        expected[max(down, 0) : 20 + min(down, 0), max(right, 0) : 24 + min(right, 0)] = field[
            max(-down, 0) : 20 - max(down, 0), max(-right, 0) : 24 - max(right, 0)
        ]
        np.testing.assert_allclose(moved[step], expected, atol=1e-9)
    edge = _motion.extrapolate(field, motion, steps=3, inflow="edge")
    assert edge.min() >= field.min()


@pytest.mark.parametrize("motion", ["optical-flow", "phase-correlation"])
def test_no_echo_gives_no_echo_and_missing_cells_stay_missing(motion: str) -> None:
    frames = np.zeros((2, 6, 16, 16), "float32")
    frames[1, :, 3, 4] = np.nan
    inputs, wanted = history(frames)
    estimate = Advection(motion=motion).solve(inputs, wanted).refl
    assert estimate.dtype == np.float32
    assert (estimate.values[0] == 0).all()
    assert np.isnan(estimate.values[1, :, 3, 4]).all()
    assert estimate.isnull().sum() == 12


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["optical-flow", "phase-correlation"]),
    st.sampled_from(["empty", "edge"]),
    st.sampled_from([0.0, 0.2]),
)
def test_an_estimate_stays_between_zero_and_the_maximum(seed: int, motion: str, inflow: str, smoothing: float) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (1, 5, 17, 12)).astype("uint8")
    inputs, wanted = history(frames)
    estimate = Advection(motion=motion, inflow=inflow, smoothing=smoothing).solve(inputs, wanted).refl.values
    assert estimate.min() >= 0
    assert estimate.max() <= frames[0, -1].max() + 1e-3


def test_fields_that_are_not_planes_are_refused_at_plan_time() -> None:
    given = Signature((Field("sst", ("sample", "lead", "level", "y", "x")),), dict.fromkeys("yx", 9) | {"lead": 12})
    with pytest.raises(HandshakeError, match="moves fields in the plane") as caught:
        Advection().check(given)
    assert caught.value.allowed == "fields (sample, lead, y, x) of at least 3 by 3 cells"


def scores(estimate: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """CSI by threshold, and the mean squared error on 0 to 1."""
    hits = [((estimate >= each) & (truth >= each)).sum() for each in THRESHOLDS]
    any_ = [((estimate >= each) | (truth >= each)).sum() for each in THRESHOLDS]
    return np.array(hits) / np.array(any_), float((((estimate - truth) / 255.0) ** 2).mean())


@pytest.mark.slow
@pytest.mark.skipif(not RADAR.exists(), reason=f"no {RADAR.name} beside the repository")
def test_it_beats_persistence_on_july_2016() -> None:
    with xr.open_dataset(RADAR) as source:
        month = source.time.values[source.event_start.values].astype("datetime64[M]")
        chosen = (month == np.datetime64("2016-07")) & (source.event_wet_fraction.values >= 0.03)
        events = np.stack([source.refl[first : first + 25].values for first in source.event_start.values[chosen]])
    inputs, wanted = history(events[:, :13])
    truth = events[:, 13:].astype("float32")
    csi, mse = scores(Persistence().solve(inputs, wanted).refl.values.astype("float32"), truth)
    np.testing.assert_allclose(csi, [0.537, 0.389, 0.171, 0.101, 0.069, 0.032], atol=0.002)
    assert mse == pytest.approx(0.01473, abs=0.0002)
    better, smaller = scores(Advection().solve(inputs, wanted).refl.values, truth)
    assert (better[:5] > csi[:5]).all()
    assert better.mean() > csi.mean() + 0.02
    assert smaller < 0.75 * mse
