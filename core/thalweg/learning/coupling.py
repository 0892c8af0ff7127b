"""Whether a small network and its objective compare the samples of a batch: tried with values, before it is learned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..components.draw import Draw
from ..components.signature import Signature
from ..losses.mean_squared import MeanSquared
from .drawn import Noises
from .feeding import Fed, Feeding
from .layout import Layout
from .outline import Outline, is_small
from .randomness import aside

if TYPE_CHECKING:
    from .contract import NetworkLearner
    from .options import TrainOptions

log = logging.getLogger("thalweg")

LATE = 10**9
"""A step after all schedules."""
NEAR = 1e-3
"""What a loss and the mean of its pieces may differ by, relative to them."""
ACTIVATIONS = 64 * 2**20
"""Bytes that a sample keeps for its gradient, up to which it is tried."""


def compares_samples(
    learner: NetworkLearner, outline: Outline, *, given: Signature, wanted: Signature, options: TrainOptions
) -> bool:
    """Whether the loss of four samples is another than the mean of those of one and of three of them.

    False for a large network, for a loss that is drawn anew for each batch, and for what cannot be computed of values
    that were drawn.
    """
    if not is_small(outline.network, given, wanted) or outline.activations > ACTIVATIONS:
        return False
    trial = _Trial(learner, given, wanted, options)
    try:
        whole, one, three = (trial.loss(at, seed=0) for at in (slice(4), slice(1), slice(1, 4)))
        again = trial.loss(slice(4), seed=1)
    except Exception as error:  # Of values that are no data.
        log.debug("whether %s compares samples is not known before: %r", learner.name, error)
        return False
    near = NEAR * abs(whole)
    return abs(again - whole) <= near < abs((one + 3 * three) / 4 - whole)


class _Trial:
    """Four samples of random fields, and a network that has not learned."""

    def __init__(self, learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions, /) -> None:
        self._learner, self._chosen = learner, options.loss or MeanSquared()
        scales = dict.fromkeys(given.names, (0.0, 1.0))
        feeding = Feeding(learner, given=given, wanted=wanted, scales=scales)
        noises = Noises(learner, "learning", given=given, wanted=wanted)
        self._asked, self._separate = noises.asked, feeding.names if learner.separate_inputs else ()
        with aside(0, torch.device("cpu")):
            self._network = learner.build(given, wanted).train()
            for each in self._network.modules():
                if isinstance(each, nn.modules.dropout._DropoutNd):
                    each.p = 0.0
            self._fed = self._drawn(feeding.example(wanted))
            self._truth = torch.randn((4, *Layout.of(wanted).shape))
        self._noise = noises(Draw(0, tuple("abcd")), torch.device("cpu"))

    def loss(self, at: slice, *, seed: int) -> float:
        """What is minimised of some of the samples."""
        network: Any = self._network
        fed, truth = self._cut(self._fed, at), self._truth[at]
        noise = {name: each[at] for name, each in self._noise.items()}
        with aside(seed, torch.device("cpu")):
            found = self._learner.objective(network, fed, truth, step=LATE, loss=self._value, noise=noise)
            if found is None:
                estimate = network(fed, noise) if self._asked else network(fed)
                found = estimate, self._value(estimate, truth)
        return float(found[1].detach())

    def _value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        value = self._learner.loss(estimate, truth)
        return (self._chosen.value(estimate, truth) if value is None else value).mean()

    def _drawn(self, fed: Fed) -> Fed:
        if isinstance(fed, Tensor):
            return torch.randn((4, *fed.shape[1:]))
        return {
            n: torch.randn((4, *e.shape[1:])) if n in self._separate else torch.rand_like(e) for n, e in fed.items()
        }

    def _cut(self, fed: Fed, at: slice) -> Fed:
        if not isinstance(fed, Mapping):
            return fed[at]
        return {name: each[at] if name in self._separate else each for name, each in fed.items()}
