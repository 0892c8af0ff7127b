"""Advection of fields that a radar does not see everywhere: what is missing weighs nothing, and nothing is not 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Field, Signature
from thalweg.laws import grid_of
from thalweg_earth.laws.advection_budget import AdvectionBudget
from thalweg_earth.methods import _motion
from thalweg_earth.methods._extrapolation import empty_of
from thalweg_earth.methods.advection import Advection

ROW, COLUMN = np.indices((72, 72), dtype=np.float64)
RADIUS = np.hypot(ROW - 35.5, COLUMN - 35.5)
SEEN = RADIUS < 30
INSIDE = RADIUS < 18


def echoes(step: float, velocity: tuple[float, float], *, low: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(3)
    total = np.full(ROW.shape, low)
    places = (generator.uniform(-40, 112, 120) for _ in range(2))
    for y, x, width in zip(*places, generator.uniform(3, 5, 120), strict=True):
        away = (ROW - y - step * velocity[0]) ** 2 + (COLUMN - x - step * velocity[1]) ** 2
        total += 40 * np.exp(-away / (2 * width**2))
    return total


def history(frames: np.ndarray, **attrs: Any) -> tuple[xr.Dataset, Signature]:
    field = ("sample", "lead", "y", "x"), frames[None].astype("f4"), attrs
    inputs = xr.Dataset({"echo": field}, {"lead": np.arange(1 - len(frames), 1)})
    return inputs, Signature((Field("echo"),), {"lead": 6})


def observed(velocity: tuple[float, float], **options: Any) -> np.ndarray:
    return np.stack([np.where(SEEN, echoes(step, velocity, **options), np.nan) for step in range(-5, 1)])


@pytest.mark.parametrize("velocity", [(1.0, -1.5), (0.4, 0.8), (-2.2, 0.0), (0.0, 0.0)])
def test_the_edge_of_what_is_seen_does_not_hold_the_echoes_back(velocity: tuple[float, float]) -> None:
    expected = np.array(velocity)[:, None, None]
    frames = observed(velocity)
    assert np.isnan(frames).mean() > 0.4
    flow = _motion.optical_flow(frames, window=4.0, stiffness=0.3)
    assert abs(flow - expected)[:, INSIDE].max() < 0.15
    assert abs(_motion.phase_correlation(frames) - expected).max() < 0.1


@pytest.mark.bad_input("radar", "frames of which more than a third is out of the radar's reach")
@pytest.mark.parametrize("motion", ["optical-flow", "phase-correlation"])
def test_an_estimate_is_there_where_its_origin_was_seen(motion: Any) -> None:
    """It is the truth there; where the origin was not seen it is missing, never an echo of 0."""
    velocity = (0.0, 2.0)
    inputs, wanted = history(observed(velocity, low=-32.0), units="dBZ", valid_range=[-32.0, 95.0])
    estimate = Advection(motion=motion, smoothing=0.0).solve(inputs, wanted)["echo"].values[0]
    for step, found in enumerate(estimate, start=1):
        truth = echoes(step, velocity, low=-32.0)
        came_from = np.hypot(ROW - 35.5, COLUMN - 2 * step - 35.5)
        assert np.isnan(found[SEEN & (came_from > 32) & (2 * step < COLUMN)]).all()
        there = SEEN & (came_from < 28)
        assert np.isfinite(found[there]).all()
        assert np.sqrt(((found - truth)[there] ** 2).mean()) < 0.15 * truth[there].std()
        assert np.isnan(found[~SEEN]).all(), "a cell that is missing in all inputs stays missing"


def test_a_gap_in_the_last_frame_moves_with_the_echoes() -> None:
    frames = np.stack([echoes(step, (0.0, 2.0)) for step in range(-5, 1)])
    frames[-1, 30:40, 30:34] = np.nan
    inputs, wanted = history(frames, units="mm h-1")
    estimate = Advection(smoothing=0.1).solve(inputs, wanted)["echo"].values[0]
    missing = np.isnan(estimate[2])
    assert missing[32:38, 37:39].all()
    assert not missing[:, :34].any(), "the cells of the gap are filled by what comes from the left"
    assert missing.sum() < 80


@pytest.mark.parametrize(
    ("units", "bounds", "dtype", "empty"),
    [
        ("mm h-1", None, "float32", 0.0),
        ("mm/hr", None, "float32", 0.0),
        ("mm", None, "float32", 0.0),
        ("kg m-2 s-1", None, "float32", 0.0),
        ("kg m**-2", None, "float32", 0.0),
        ("1", (0.0, 255.0), "uint8", 0.0),
        ("dBZ", (-32.0, 95.0), "float32", -32.0),
        ("dBZ", None, "float32", np.nan),
        ("K", (0.0, 350.0), "float32", np.nan),
        ("degC", None, "float32", np.nan),
        ("1", None, "float32", np.nan),
        ("mmHg", None, "float32", np.nan),
    ],
)
def test_nothing_in_the_units_of_a_variable(units: str, bounds: Any, dtype: str, empty: float) -> None:
    field = Field("field", ("sample", "lead", "y", "x"), dtype, units, bounds)
    np.testing.assert_equal(empty_of(field), empty)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("options", "units", "expected"),
    [
        ({}, "dBZ", np.nan),
        ({"empty": -30.0}, "dBZ", -30.0),
        ({"empty": {"echo": -30.0}}, "dBZ", -30.0),
        ({"empty": {"other": -30.0}}, "mm h-1", 0.0),
        ({}, "K", np.nan),
        ({"inflow": "edge"}, "K", 20.0),
    ],
    ids=str,
)
def test_what_flows_in_over_the_edge(options: dict[str, Any], units: str, expected: float, smoothing: float) -> None:
    """A ramp that drifts to the right: of what comes in nothing was seen."""
    frames = np.stack([20.0 + 5 * np.sin((COLUMN - 1.5 * step) / 4) * np.sin(ROW / 5) for step in range(-5, 1)])
    frames[:, :, :4] = 20.0
    inputs, wanted = history(frames, units=units)
    found = Advection(smoothing=smoothing, **options).solve(inputs, wanted)["echo"].values[0, 5, 20:50, 0]
    if np.isnan(expected):
        assert np.isnan(found).all()
    else:
        np.testing.assert_allclose(found, expected, atol=3.0 if smoothing else 0.5)


def test_inputs_that_are_missing_give_nothing() -> None:
    inputs, wanted = history(np.full((6, 12, 12), np.nan), units="mm h-1")
    for motion in ("optical-flow", "phase-correlation"):
        assert Advection(motion=motion).solve(inputs, wanted)["echo"].isnull().all()  # type: ignore[arg-type]


@pytest.mark.bad_input("radar", "a series of which every other frame is missing")
@pytest.mark.parametrize("kept", [(0, 2, 4), (1, 5), (0, 3, 4), (0, 1, 5)], ids=str)
def test_frames_that_are_missing_do_not_stop_the_motion(kept: tuple[int, ...]) -> None:
    """Without two frames in succession there was no motion: the estimate was that of persistence."""
    frames = np.stack([echoes(step, (0.6, -0.5)) for step in range(-5, 1)])
    frames[[number for number in range(6) if number not in kept]] = np.nan
    expected = np.array([0.6, -0.5])[:, None, None]
    flow = _motion.optical_flow(frames, window=4.0, stiffness=0.3)
    assert abs(flow - expected)[:, INSIDE].max() < 0.15
    assert abs(_motion.phase_correlation(frames) - expected).max() < 0.1


@pytest.mark.bad_input("radar", "a series of which one frame only is there")
@pytest.mark.parametrize("motion", ["optical-flow", "phase-correlation"])
def test_one_frame_has_no_motion(motion: Any) -> None:
    frames = np.stack([echoes(step, (0.6, -0.5)) for step in range(-5, 1)])
    frames[:-1] = np.nan
    inputs, wanted = history(frames, units="mm h-1")
    assert Advection(motion=motion).solve(inputs, wanted)["echo"].isnull().all()
    context = inputs.assign_coords(target_lead=range(1, 7))
    assert np.isnan(AdvectionBudget(variable="echo").targets(context, grid_of(context, context))).all()


def test_the_budget_is_of_the_cells_that_the_radar_sees() -> None:
    """What moves out of its reach is out of the domain; a last input that is missing has no total."""
    inputs, _ = history(observed((0.0, 2.0)), units="mm h-1")
    empty = inputs.copy(deep=True)
    empty["echo"][:, -1] = np.nan
    context = xr.concat([inputs, empty], "sample").assign_coords(target_lead=range(1, 7))
    totals = AdvectionBudget(variable="echo").targets(context, grid_of(context, context)).values[..., 0]
    assert np.isnan(totals[1]).all()
    last = np.where(SEEN, echoes(0, (0.0, 2.0)), 0.0)
    kept = [np.where(np.hypot(ROW - 35.5, COLUMN + 2 * m - 35.5) < 30, last, 0.0).sum() for m in range(1, 7)]
    np.testing.assert_allclose(totals[0], kept, rtol=0.03)
