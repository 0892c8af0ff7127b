"""The least learner there is: a line through the last input, cell by cell, for the tests of `thalweg.learning`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from pydantic import Field

from ..cluster import Workers, cluster_from
from ..components import Fitted, Hold, Loss, Training
from ..components.signature import Signature
from ..learning import Layout, TorchLearner
from ..recipes.parts import with_parts
from ..recipes.registry import Registry
from ..results.phases import fitted
from ..samples import Samples

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn


class ToyLoss(Loss):
    """The mean absolute error."""

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return (estimate - truth).abs().flatten(1).mean(1)


class ToyLearner(TorchLearner):
    """Two linear layers over the leads and channels of a cell, with dropout, and a weight that nothing uses."""

    defaults: ClassVar[dict[str, float]] = {"epochs": 2, "batch": 4, "learning_rate": 1e-2}

    width: int = Field(4, description="of the hidden layer")
    dropout: float = Field(0.0, description="share of the hidden layer that is left out while learning")

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        given_shape, wanted_shape = Layout.of(given).shape, Layout.of(wanted).shape
        return _network(given_shape, wanted_shape, width=self.width, dropout=self.dropout)


def _network(given: tuple[int, ...], wanted: tuple[int, ...], *, width: int, dropout: float) -> nn.Module:
    import torch
    from torch import nn

    class Network(nn.Module):
        """`(sample, lead, *space, channel)`: leads and channels of each cell through two linear layers."""

        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Linear(given[0] * given[-1], width)
            self.dropout = nn.Dropout(dropout)
            self.out = nn.Linear(width, wanted[0] * wanted[-1])
            self.unused = nn.Parameter(torch.zeros(3))

        def forward(self, inputs: Tensor) -> Tensor:
            cells = inputs.movedim(1, -2).flatten(-2)
            output: Tensor = self.out(self.dropout(torch.tanh(self.into(cells))))
            return output.reshape(*output.shape[:-1], wanted[0], wanted[-1]).movedim(-2, 1)

    return Network()


def learn(
    learner: TorchLearner,
    data: xr.Dataset,
    folder: Path,
    *,
    workers: Workers | None = None,
    report: Callable[[Mapping[str, float], int], None] = lambda numbers, step: None,  # noqa: ARG005
    holds: tuple[Hold, ...] = (),
    registry: Registry | None = None,
    **options: Any,
) -> Fitted:
    """What a learner learns from the train split of `data`, validated on its test split."""
    train, validate = Samples.of(data, "train"), Samples.of(data, "test")
    if any(isinstance(options.get(name), str | Mapping) for name in learner.nested):
        options = with_parts(options, registry or Registry.installed(), learner)
    with cluster_from({"threads": {"threads": 1}}).open() as here:
        return fitted(
            learner, Training(train, validate, train.wanted, options, folder, report, workers or here, holds, registry)
        )


def learn_in_two(learner: TorchLearner, data: xr.Dataset, folder: Path, *, at: int, **options: Any) -> Fitted:
    """What it learns when it is interrupted before its `at`-th step, and called again; a checkpoint after each step.

    Raises `RuntimeError` for a training that has not so many.
    """
    from ..learning.loop import Loop

    step, steps = Loop._step, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == at:
            raise KeyboardInterrupt
        return step(*arguments)

    options["checkpoint_steps"] = 1
    with patch.object(Loop, "_step", interrupted), suppress(KeyboardInterrupt):
        learn(learner, data, folder, **options)
        raise RuntimeError(f"it took {steps} steps, and was to be interrupted before step {at}")
    return learn(learner, data, folder, **options)


def learn_and_die(learner: TorchLearner, url: str, folder: Path, *, at: int, **options: Any) -> bool:
    """Learn in a process of its own that kills itself (SIGKILL) at its `at`-th instant; False if it finished before.

    The instants are before each step, and within each checkpoint: before it, before and after its draft is in place.
    """
    context = multiprocessing.get_context("forkserver")
    # torch.optim loads dynamo, which takes seconds.
    context.set_forkserver_preload(["thalweg.learning.training", "thalweg.learning.fitting", "torch._dynamo"])
    process = context.Process(target=_learn_and_die, args=(learner, url, folder, at, options))
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the training ended with exit code {process.exitcode}")
    return process.exitcode != 0


def _learn_and_die(learner: TorchLearner, url: str, folder: Path, at: int, options: dict[str, Any]) -> None:
    from ..learning import checkpoint, loop
    from ..stores.arrays import read

    instants = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal instants
            instants += 1
            if instants == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for module, name in ((checkpoint, "save"), (checkpoint, "_flush"), (loop.Loop, "_step")):
        setattr(module, name, deadly(getattr(module, name)))
    learn(learner, read(url), folder, **options)
