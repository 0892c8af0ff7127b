"""Methods that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import PrivateAttr
from thalweg import (
    Denoised,
    Draw,
    Fields,
    Fitted,
    Learner,
    Noise,
    Signature,
    Solver,
    Steered,
    Training,
)

if TYPE_CHECKING:
    from thalweg import Steering


class Still(Solver):
    """The last input, at every lead."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        last = inputs[list(wanted.names)].isel(lead=-1, drop=True)
        return last.expand_dims(lead=lead).transpose("sample", "lead", ...)


class Mean(Fitted):
    """The mean that was learned, at every lead."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = Still().solve(inputs, wanted) * 0 + xr.DataArray(self.state["mean"], dims=("y", "x"))
        return made.astype("float32")


class Learns(Learner):
    """Learns the mean."""

    fitted: ClassVar[type[Fitted]] = Mean

    def fit(self, training: Training) -> Fitted:
        inputs = training.train.inputs(slice(None))
        return Mean().with_state({"mean": inputs["field"].mean(("sample", "lead")).values})


class Else(Learns):
    fitted: ClassVar[type[Fitted]] = Fitted  # type: ignore[type-abstract]


class Empty(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).rename(field="other")


class Early(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs, wanted)
        return estimate.assign_coords(lead=estimate["lead"] - 1)


class Holed(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs, wanted)
        return estimate.where(estimate["lead"] < 4)


class Sure(Still):
    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_variance()


class Overwrites(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs.copy(deep=True), wanted)
        inputs["field"].values[:] = 0
        return estimate


class Dice(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return (super().solve(inputs, wanted) + 1e-6 * np.random.default_rng().random()).astype("float32")


class Crowd(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted) - inputs["field"].mean()


class MeanBeside(Mean):
    _mean: Any = PrivateAttr(None)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return (Still().solve(inputs, wanted) * 0 + xr.DataArray(self._mean or 0.0)).astype("float32")


class Loses(Learns):
    fitted: ClassVar[type[Fitted]] = MeanBeside

    def fit(self, training: Training) -> Fitted:
        learned = MeanBeside()
        learned._mean = float(training.train.inputs(slice(0, 2))["field"].mean())
        return learned


class Double(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).astype("float64")


class Turned(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).transpose("sample", "lead", "x", "y")


class OtherUnits(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = super().solve(inputs, wanted)
        return made.assign(field=made["field"].assign_attrs(units="K"))


class Mirrored(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).isel(x=slice(None, None, -1))


class Straight(Solver):
    """Goes on along the line through the last two inputs, `late` leads late."""

    late: ClassVar[int] = 0
    damping: ClassVar[float] = 1.0

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        reach = np.array([sum(self.damping**k for k in range(1, h + 1)) for h in lead - self.late])
        last, before = (inputs[list(wanted.names)].isel(lead=i, drop=True) for i in (-1, -2))
        made = last + (last - before) * xr.DataArray(reach, {"lead": lead}, "lead")
        return made.transpose("sample", "lead", ...).astype("float32")


class StraightLate(Straight):
    late = 1


class StraightEarly(Straight):
    late = -1


class DampedLate(Straight):
    late, damping = 1, 0.7


class DampedEarly(Straight):
    late, damping = -1, 0.5


class Rolled(Straight):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        longer = Signature(wanted.fields, {**wanted.sizes, "lead": wanted.sizes["lead"] + 1})
        made = super().solve(inputs, longer)
        return made.isel(lead=slice(1, None)).assign_coords(lead=made["lead"].values[:-1])


class Moody(Learns):
    def fit(self, training: Training) -> Fitted:
        learned = super().fit(training)
        return learned.with_state({"mean": learned.state["mean"] + np.random.default_rng().random()})


class Dull(Learns):
    def fit(self, training: Training) -> Fitted:
        return Mean().with_state({"mean": np.full((6, 8), 0.5)})


class Stuck(Learns):
    """Scales by its samples, but its epochs change nothing."""

    trains_on: ClassVar[frozenset[str]] = frozenset({"epochs"})


class Spies(Learns):
    def fit(self, training: Training) -> Fitted:
        return Mean().with_state({"mean": training.train.data["field"].mean("time").values})


class Draws(Steered):
    """Two draws around the last input, step by step."""

    members: ClassVar[int] = 2
    width: ClassVar[float] = 0.01

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_members(self.members)

    def sample(self, inputs: xr.Dataset, wanted: Signature, steering: Steering | None) -> xr.Dataset:
        import torch

        still = Still().solve(inputs, wanted)
        draw = Draw.of(inputs, seed=0, members=self.members)
        centre = torch.from_numpy(still["field"].values.copy()).repeat_interleave(self.members, 0)
        white = draw.normal("start", tuple(centre.shape[1:]), members=True)
        state = torch.from_numpy(self.width * white).flatten(0, 1)

        def decode(states: torch.Tensor) -> Fields:
            fields = states.unflatten(0, (-1, self.members))
            return Fields({"field": fields}, {"field": ("sample", "member", "lead", "y", "x")})

        for number, (t, then) in enumerate(pairwise((0.1, 0.5, 1.0))):
            gain = t / (t**2 + (1 - t) ** 2)
            now = Denoised.of(
                lambda z, t=t, gain=gain: centre + gain * (z - t * centre),  # type: ignore[misc]
                state,
                decode=decode,
                noise=Noise(t, 1 - t, gain=then - (1 - then) * t / (1 - t), last=then == 1.0),
                draw=draw.at(number),
            )
            found = self.moved(now, steering)
            state = then * found + (1 - then) / (1 - t) * (state - t * found)
        made = still["field"].expand_dims(member=self.members, axis=1)
        return made.copy(data=state.unflatten(0, (-1, self.members)).numpy()).to_dataset()

    def moved(self, now: Denoised, steering: Steering | None) -> Any:
        return now.estimate.detach() if steering is None else steering(now)


class DrawsAside(Draws):
    def moved(self, now: Denoised, steering: Steering | None) -> Any:
        return super().moved(now, steering) * (1.0 if steering is None else 1.001)


class DrawsUnheard(Draws):
    def moved(self, now: Denoised, steering: Steering | None) -> Any:
        return now.estimate.detach()


class DrawsOn(Draws):
    def sample(self, inputs: xr.Dataset, wanted: Signature, steering: Steering | None) -> xr.Dataset:
        return super().sample(inputs, wanted, steering).clip(min=0.4)


KEPT = Still


MUTANTS: Mapping[str, Any] = {
    "learns_what_it_declares": Else,
    "estimate_is_what_is_wanted": (Empty, Double, Turned, OtherUnits),
    "estimate_has_the_coordinates_of_the_truth": (Early, Mirrored),
    "estimate_is_finite": Holed,
    "uncertainty_is_what_it_declares": Sure,
    "inputs_are_left_alone": Overwrites,
    "same_inputs_give_the_same_estimate": Dice,
    "samples_do_not_see_one_another": Crowd,
    "leads_are_not_shifted": (StraightLate, StraightEarly, DampedLate, DampedEarly, Rolled),
    "learns_the_same_again": Moody,
    "learns_from_its_samples": (Dull, Stuck),
    "does_not_learn_from_the_test_split": Spies,
    "steps_that_nothing_moves_are_the_free_estimate": DrawsAside,
    "last_step_is_what_is_given": (DrawsUnheard, DrawsOn),
    "comes_back_from_its_folder": Loses,
}
"""Parts that break a check, by its name."""
