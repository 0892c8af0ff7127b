"""The options of a recipe's `train:` section that every `TorchLearner` reads."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from ..boundaries.options import option_error
from ..boundaries.switches import refuse_switches
from ..components import Loss, Metric
from ..errors import OptionError
from ..recipes.registry import Named

Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainOptions(BaseModel):
    """How a network learns. A step is one update of the weights, by one batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: PositiveInt = Field(10, description="passes over the training samples, at most")
    batch: PositiveInt = Field(8, description="samples of one step, on all ranks together")
    accumulate: PositiveInt = Field(
        1, description="micro-batches of a step on each rank, one after the other: less memory for the same gradient"
    )
    learning_rate: PositiveFloat = Field(1e-3, description="the largest learning rate, at the end of the warm-up")
    weight_decay: NonNegativeFloat = Field(0.0, description="weight decay; none for biases and other vectors")
    optimizer: Literal["adamw", "adam"] = Field(
        "adamw", description="Adam with decoupled weight decay (adamw), or with weight decay in the gradient (adam)"
    )
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="course of the learning rate after the warm-up: a cosine down to `floor`, or constant"
    )
    warm_up: Fraction = Field(0.1, description="share of the schedule in which the learning rate grows linearly")
    warm_up_from: Fraction = Field(0.0, description="the first learning rate, as a fraction of `learning_rate`")
    floor: Fraction = Field(1e-3, description="the last learning rate, as a fraction of `learning_rate`")
    schedule_steps: PositiveInt | None = Field(
        None, description="length of the schedule in steps; all steps if null. After its end the cosine rises again"
    )
    clip: PositiveFloat | None = Field(
        1.0, description="largest L2 norm of the gradient; a larger one is scaled down. Not clipped if null"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="floating-point type of the forward pass; fp16 with a scaled loss"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay per step of the exponential moving average of the weights, which is validated and kept; "
        "no average if null",
    )
    validate_every: PositiveInt = Field(
        1, description="epochs from one validation to the next; the last epoch is validated too"
    )
    loss: Named[Loss] | None = Field(
        None, description="what is minimised; the method's own loss, or else the mean squared error, if null"
    )
    initial: str | None = Field(
        None,
        description="weights to begin with: the folder of an earlier run or solver, or a file of weights (safetensors, "
        "or torch's); new ones, drawn from the seed, if null",
    )
    judge: Named[Metric] | None = Field(
        None, description="the metric by which epochs are judged on the validation split; the loss if null"
    )
    patience: PositiveInt | None = Field(
        None, description="early stopping: epochs without a better validation after which training stops; never if null"
    )
    choose: Literal["best", "last"] = Field(
        "best", description="the weights that are kept: of the best validated epoch, or of the last epoch"
    )
    shuffle: Literal["blocks", "windows", "once", "none"] = Field(
        "blocks",
        description="order of the samples. blocks: drawn anew each epoch among a few blocks of chunks at a time, so "
        "that each chunk is decoded once; windows: drawn anew among all samples; once: whole blocks, in one order for "
        "all epochs; none: as stored",
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="seed of the first weights, the order of samples and all noise: the same seed, the same weights"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the network runs; auto: a GPU if there is one"
    )
    compile: bool = Field(False, description="whether the network is compiled (torch.compile): faster after some time")
    keep_decoded: bool = Field(
        True,
        description="whether later epochs map the chunks that the first one decoded, from a temporary file in the "
        "store: as fast as memory. It takes their decoded size for each rank, and is left out where that is more than "
        "half of what the disk has free",
    )
    readers: PositiveInt | None = Field(None, description="threads that decode chunks; one per processor if null")
    checkpoint_steps: PositiveInt | None = Field(
        None, description="steps between checkpoints within an epoch; if null, a checkpoint after each epoch only"
    )
    ranks: PositiveInt = Field(1, description="workers that learn together, one process each, with one GPU each if any")
    timeout: PositiveFloat = Field(600.0, description="seconds that a rank waits for the others before it is lost")
    restarts: Annotated[int, Field(ge=0)] = Field(
        3, description="times that all ranks may begin again from the last checkpoint after one is lost"
    )

    @classmethod
    def of(cls, given: Mapping[str, Any], *, defaults: Mapping[str, Any]) -> TrainOptions:
        """The options of a recipe over those of a learner. Raises `OptionError`."""
        options = {**defaults, **given}
        try:
            made = cls.model_validate(options)
        except ValidationError as error:
            raise option_error(cls, error, options, where="train") from None
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
