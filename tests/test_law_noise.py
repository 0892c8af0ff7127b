"""A law that says how sure its target is of each sample: what holds it weighs it by that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from mutants import sites
from mutants.samplers import Conditioned
from thalweg import Denoised, EstimateError, Held, LinearLaw, Registry, Rows, Signature
from thalweg.laws import AreaMean, System, grid_of
from thalweg.learning import Layout
from thalweg.testing import samplers, series, windowed
from torch import nn

REGISTRY = Registry.installed()
DIMS = ("sample", "lead", "y", "x")


class MeanOfFrames(LinearLaw):
    """The mean is that of the input frames, as sure as these are alike."""

    variable: str = "field"
    scale: float = 1.0

    def rows(self, grid: xr.Dataset) -> Rows:
        return AreaMean(variable=self.variable, weights="equal").rows(grid)

    def _frames(self, context: xr.Dataset) -> xr.DataArray:
        return context[self.variable].mean(("y", "x"), dtype="float64").expand_dims("row")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return self._frames(context).mean("lead").assign_attrs(units="1")

    def variances(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray | float:
        return self.scale * self._frames(context).var("lead")


LAW = MeanOfFrames()
DRAW = np.random.default_rng(5)
CONTEXT = xr.Dataset({"field": (DIMS, DRAW.normal(2.0, 1.0, (3, 4, 4, 5)))})
CONTEXT["field"][1] = CONTEXT["field"][1, 0]  # Frames that are alike: held exactly.
FREE = DRAW.normal(0.0, 1.0, (3, 2, 4, 5))
SPREAD = DRAW.uniform(0.5, 2.0, FREE.shape)
GONE = np.zeros(FREE.shape, bool)
GONE[2, :, 1, :3] = True
ESTIMATE = xr.Dataset({"field": (DIMS, FREE, {"units": "1"}), "field_variance": (DIMS, SPREAD, {"units": "1"})})
GRID = grid_of(ESTIMATE[["field"]], xr.Dataset())


def expected(variance: np.ndarray[Any, Any], gone: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The formula, sample by sample: of a mean over cells that are there."""
    frames = CONTEXT["field"].values.mean((2, 3))
    target, noise = frames.mean(1)[:, None], frames.var(1)[:, None]
    weight = np.where(gone, 0.0, 1.0 / (~gone).sum((2, 3), keepdims=True))
    gap = (weight * FREE).sum((2, 3)) - target
    system = (weight**2 * variance).sum((2, 3)) + noise
    return np.where(gone, np.nan, FREE - variance * weight * (gap / system)[..., None, None])


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("by", ["additive", "probconserv"])
def test_the_output_is_moved_as_far_as_the_target_is_sure(by: str, chunks: bool) -> None:
    given = ESTIMATE.where(~GONE)
    given = given.chunk({"sample": 2, "y": 2}) if chunks else given
    enforcer: Any = REGISTRY.make("enforcers", by)
    held = enforcer.hold(given, Held((LAW,), GRID), CONTEXT)["field"].compute()
    wanted = expected(SPREAD if by == "probconserv" else np.ones_like(SPREAD), GONE)
    np.testing.assert_allclose(held.values, wanted, rtol=1e-12)
    left = abs(LAW.residual(held.to_dataset(), CONTEXT, GRID)["field"]).max(("lead", "row")).values
    assert left[1] < 1e-14 and left[[0, 2]].min() > 1e-3


class Free(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.given = self.wanted = Layout.of(Signature.of(ESTIMATE[["field"]]))

    def forward(self, inputs: torch.Tensor, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.from_numpy(FREE)[..., None]


def last_layer(*laws: LinearLaw, context: xr.Dataset = CONTEXT, kind: Any = sites.Kept) -> np.ndarray[Any, Any]:
    enforcer = kind(REGISTRY.make("enforcers", "last-layer"))
    held = Held(laws, GRID)
    known = {f"0/{name}": torch.from_numpy(np.array(each)) for name, each in enforcer.known(held, context).items()}
    found: np.ndarray[Any, Any] = enforcer.wrap(Free(), held, "0")(torch.zeros(3), known)[..., 0].numpy()
    return found


def test_a_network_ends_in_the_same() -> None:
    gone = CONTEXT.assign(field=CONTEXT["field"].where(~GONE[:, :1]))
    np.testing.assert_allclose(last_layer(LAW), expected(np.ones_like(SPREAD), np.zeros_like(GONE)), rtol=1e-12)
    there = ~GONE[2]
    # With cells that are missing the frames' own means are others.
    held, known = last_layer(LAW, context=gone)[2], System.of([LAW], GRID).known(gone, GRID)
    gap = FREE[2].mean(axis=(1, 2), where=there) - known["targets"][2, 0, 0]
    system = 1.0 / there[0].sum() + known["noise"][2, 0, 0]
    moved = (gap / system / there[0].sum())[:, None, None]
    np.testing.assert_allclose(held[there], (FREE[2] - moved)[there], rtol=1e-12)
    mutant = last_layer(LAW, context=gone, kind=sites.WholeNoise)[2]
    assert np.abs(mutant - held)[there].max() > 1e-2


def test_a_law_twice_is_as_sure_as_both_together() -> None:
    """Of two guesses with the same noise: half of it. One that is exact decides alone."""
    both = last_layer(LAW, MeanOfFrames(scale=1.0 + 1e-12))
    np.testing.assert_allclose(both, last_layer(MeanOfFrames(scale=0.5)), rtol=1e-9, atol=1e-9)
    exact = AreaMean(variable="field", weights="equal", target=1.0)
    sure = last_layer(LAW, exact, context=CONTEXT.isel(sample=[0, 2, 0]))
    np.testing.assert_allclose(sure.mean((2, 3)), 1.0, rtol=1e-9)


def test_what_is_not_sure_at_all_says_nothing() -> None:
    """One frame has no variance; of two laws the other one is held."""
    context = CONTEXT.assign(field=CONTEXT["field"].where(CONTEXT["sample"] != 0))
    found = System.of([LAW], GRID).known(context, GRID)
    assert found["share"].shape == (3, 1, 1) and found["share"].ravel().tolist() == [0.0, 1.0, 1.0]
    np.testing.assert_array_equal(last_layer(LAW, context=context)[0], FREE[0])
    additive: Any = REGISTRY.make("enforcers", "additive")
    held = additive.hold(ESTIMATE, Held((LAW,), GRID), context)["field"]
    np.testing.assert_array_equal(held[0], FREE[0])
    with pytest.raises(EstimateError, match="MeanOfFrames says that its target has the variance -"):
        System.of([MeanOfFrames(scale=-1.0)], GRID).known(CONTEXT, GRID)


class Certain(Conditioned):
    """Takes each target to be exact."""

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().steer(state, held, {name: each for name, each in known.items() if not name.endswith("noise")})


def test_draws_are_as_spread_as_the_target_is_unsure() -> None:
    """Against the exact conditional distribution of a Gaussian field, on a flow and on a diffusion."""
    law = MeanOfFrames(scale=300.0)
    cases = [samplers.Case(by(), (law,), windowed(series(), **samplers.SIZES)) for by in (Conditioned, Certain)]
    assert float(cases[0].conditions[2]) > 0.0
    for check in samplers.CHECKS:
        check(cases[0])
    with pytest.raises(AssertionError, match="W2 over trace to the conditional distribution"):
        samplers.draws_are_of_the_conditional_distribution(cases[1])


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_a_row_whose_target_is_not_known_is_not_scored(unknown: float) -> None:
    """Beside it the residual is that of a law without noise."""

    class Partly(MeanOfFrames):
        def variances(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray | float:
            return xr.DataArray([1.0, unknown, 0.0], dims="sample")

    class Never(MeanOfFrames):
        def variances(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray | float:
            return unknown

    fields = ESTIMATE[["field"]]
    partly, never, whole = (law.residual(fields, CONTEXT, GRID)["field"] for law in (Partly(), Never(), LAW))
    assert bool(never.isnull().all())
    np.testing.assert_array_equal(partly.isnull().any("lead").squeeze("row"), [False, True, False])
    np.testing.assert_array_equal(partly.isel(sample=[0, 2]), whole.isel(sample=[0, 2]))
