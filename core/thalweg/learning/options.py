"""The options of a recipe's `train:` section that every `TorchLearner` reads."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import cos, pi
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from ..boundaries.switches import refuse_switches
from ..components import Metric
from ..errors import OptionError, ThalwegError
from ..recipes.registry import Named

Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainOptions(BaseModel):
    """How a network learns. A step is one update of the weights, by one batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: PositiveInt = 10
    batch: PositiveInt = Field(8, description="samples of one step, on all ranks together")
    accumulate: PositiveInt = Field(1, description="pieces of a rank's share of the batch, one after the other")
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = Field(0.0, description="of all but vectors and what is called a bias")
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    warm_up: Fraction = Field(0.1, description="share of the schedule in which the learning rate grows linearly")
    warm_up_from: Fraction = Field(0.0, description="the first learning rate, in parts of `learning_rate`")
    floor: Fraction = Field(1e-3, description="the last learning rate, in parts of `learning_rate`")
    schedule_steps: PositiveInt | None = Field(
        None, description="length of the schedule; all steps if not given. After its end the cosine rises again"
    )
    clip: PositiveFloat | None = Field(1.0, description="largest norm of the gradient")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of the running mean of the weights, with which is validated and solved"
    )
    validate_every: PositiveInt = Field(1, description="epochs from one validation to the next; the last is validated")
    judge: Named[Metric] | None = Field(
        None, description="the metric by which epochs are judged on the validation split; the loss if not given"
    )
    patience: PositiveInt | None = Field(None, description="epochs without a better validation before it stops")
    choose: Literal["best", "last"] = Field("best", description="the weights that are kept, by validation if any")
    shuffle: Literal["blocks", "windows", "once", "none"] = Field(
        "blocks",
        description="blocks: windows of a few blocks of chunks at a time, each chunk decoded once; "
        "once: whole blocks, in one order for all epochs",
    )
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = Field(False, description="compile the network (torch.compile)")
    readers: PositiveInt | None = Field(None, description="threads that decode chunks; one per processor if not given")
    checkpoint_steps: PositiveInt | None = Field(None, description="steps between checkpoints within an epoch")
    ranks: PositiveInt = Field(1, description="workers that learn together, one process each")
    timeout: PositiveFloat = Field(600.0, description="seconds that a rank waits for the others")
    restarts: Annotated[int, Field(ge=0)] = Field(3, description="how often all ranks begin again after one is lost")

    @classmethod
    def of(cls, given: Mapping[str, Any], *, defaults: Mapping[str, Any]) -> TrainOptions:
        """The options of a recipe over those of a learner. Raises `OptionError`."""
        try:
            made = cls.model_validate({**defaults, **given})
        except ValidationError as error:
            raise _option_error(error) from None
        refuse_switches(given, made, where="train")
        if made.judge is not None and made.judge.higher_is_better is None:
            raise OptionError(
                f"{made.judge.name} cannot judge: neither a high nor a low value of it is better",
                allowed="a metric that says which is better",
                advice="judge by another metric, or by the loss",
                where="train.judge",
            )
        if made.batch < made.ranks * made.accumulate:
            raise OptionError(
                f"a batch of {made.batch} does not go round {made.ranks} ranks x {made.accumulate} pieces",
                allowed=f"batch: {made.ranks * made.accumulate} or more",
                advice="raise `batch`, or lower `ranks` or `accumulate`",
                where="train.batch",
            )
        return made

    def learning_rate_at(self, step: int, *, steps: int) -> float:
        r"""The learning rate of a step, counted from 0, of `steps` in all.

        $\eta \, (f + (1 - f)(1 + \cos \pi s)/2)$ with floor $f$, $s$ growing from 0 at the end of the warm-up to 1 at
        the end of the schedule, and beyond.
        """
        length = self.schedule_steps or steps
        rise = round(self.warm_up * length)
        if step < rise:
            return self.learning_rate * (self.warm_up_from + (1 - self.warm_up_from) * step / rise)
        if self.schedule == "constant":
            return self.learning_rate
        gone = (step - rise) / max(1, length - rise)
        return self.learning_rate * (self.floor + (1 - self.floor) * (1 + cos(pi * gone)) / 2)


def _option_error(error: ValidationError) -> ThalwegError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ThalwegError):
        return cause
    name, options = str(first["loc"][0]), TrainOptions.model_fields
    if name not in options:
        near = difflib.get_close_matches(name, options, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "leave it out"
        return OptionError(f"there is no option {name!r}", allowed=", ".join(options), advice=advice, where="train")
    message = first["msg"].removeprefix("Input ")
    return OptionError(
        f"{first['input']!r} {message[:1].lower()}{message[1:]}",
        allowed=options[name].description or f"{name} like {options[name].default!r}, the default",
        advice=f"change {name!r}",
        where=f"train.{name}",
    )
