"""A network without values: the shapes that it makes and what a step keeps, before anything is learned."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..components.signature import Signature
from ..errors import HandshakeError, RecipeError
from .drawn import Noises
from .feeding import Feeding
from .network import parts_in

if TYPE_CHECKING:
    from .contract import NetworkLearner

log = logging.getLogger("thalweg")


@dataclass(frozen=True)
class Outline:
    """A network on torch's `meta` device, which computes shapes only, after one sample went through."""

    network: nn.Module
    output: tuple[int, ...]
    """The shape of what it makes of one sample."""
    nbytes: int
    """Bytes of that output."""
    activations: int
    """Bytes of what is kept of one sample for the gradient, without the weights."""
    helpers: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """What is learned beside it."""


def outlined(learner: NetworkLearner, given: Signature, wanted: Signature) -> Outline | None:
    """The outline of what a learner builds; None if an operation of it has no shapes without values.

    Raises what `build` refuses.
    """
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
            learning, solving = (
                noises.beside(noises.example(), None)
                for noises in (Noises(learner, when, given=given, wanted=wanted) for when in ("learning", "solving"))
            )
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                output = network.train()(inputs, *learning)
            with torch.no_grad():
                solved = network.eval()(inputs, *solving)
        for made in (output, solved):
            if not isinstance(made, torch.Tensor):
                raise HandshakeError(
                    f"the network of {learner.name} makes a {type(made).__name__}",
                    allowed="one tensor: all fields on its last axis",
                    advice="return one tensor from `forward`",
                )
    except RecipeError:
        raise
    except (NotImplementedError, RuntimeError, ValueError) as error:
        log.info("the shapes of %s's network are not known before: %s", learner.name, error)
        return None
    parts = parts_in(network)
    parameters = {each.untyped_storage()._cdata for whole in (network, *parts) for each in whole.parameters()}
    activations = sum(size for storage, size in kept.items() if storage not in parameters)
    return Outline(network.train(), tuple(solved.shape), output.numel() * output.element_size(), activations)
