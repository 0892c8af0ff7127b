"""What a training needs, before it is begun: weights, what a step keeps for its gradient, batches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components.signature import Signature
from .feeding import Feeding
from .network import device_of
from .options import TrainOptions

if TYPE_CHECKING:
    from .contract import NetworkLearner

log = logging.getLogger("thalweg")


def peak(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> int:
    """Bytes of host memory of one rank: three raw batches; weights, moments and activations where no GPU holds them.

    The network is built and run on the `meta` device, which computes shapes only; one that cannot be is left out of
    the sum.
    """
    one = sum(each.nbytes(set(each.sizes) - {"sample"}) for each in (given, wanted))
    piece = -(-options.batch // (options.ranks * options.accumulate))
    batches = 3 * one * options.batch // options.ranks
    if device_of(options.device).type != "cpu":
        return batches
    return batches + _network(learner, given, wanted, options, piece)


def _network(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions, piece: int) -> int:
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    try:
        with torch.device("meta"):
            network = learner.build(given, wanted)
            scales = dict.fromkeys(given.names, (0.0, 1.0))
            inputs = Feeding(learner, given=given, wanted=wanted, scales=scales).example(wanted)
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                output = network.train()(inputs)
    except (NotImplementedError, RuntimeError) as error:
        # An operation that has no shapes without values; what is wrong with the network is said when it learns.
        log.info("the memory of %s's network is not known before: %s", learner.name, error)
        return 0
    # Gradient and two moments of each weight; the running mean and the best weights; the buckets of other ranks.
    copies = 4 + (options.ema is not None) + (options.choose == "best") + (options.ranks > 1)
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    parameters = {each.untyped_storage()._cdata for each in network.parameters()}
    half = 1 if options.precision == "fp32" else 2
    activations = sum(size for storage, size in kept.items() if storage not in parameters)
    return int(copies * weights + piece * (activations // half + 2 * output.numel() * output.element_size()))
