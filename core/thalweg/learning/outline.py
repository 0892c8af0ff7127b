"""The shapes that a network makes and what a step keeps, before anything is learned; without values where it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..components.signature import Signature
from ..errors import ContractError, RecipeError
from .drawn import Noises
from .feeding import Feeding
from .network import parts_in
from .randomness import aside

if TYPE_CHECKING:
    from .contract import NetworkLearner

log = logging.getLogger("thalweg")


@dataclass(frozen=True)
class Outline:
    """A network after one sample went through: on torch's `meta` device, which computes shapes only; a small one that
    has no shapes without values, on the processor."""

    network: nn.Module
    output: tuple[int, ...]
    """The shape of what it makes of one sample."""
    nbytes: int
    """Bytes of that output."""
    activations: int
    """Bytes of what is kept of one sample for the gradient, without the weights."""
    helpers: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """What is learned beside it."""


SMALL = 16 * 2**20
"""Bytes of weights, and of one sample, up to which a network is tried with values."""


def outlined(learner: NetworkLearner, given: Signature, wanted: Signature) -> Outline | None:
    """The outline of what a learner builds; None if an operation of it has no shapes without values, and it is large.

    Raises what `build` refuses, and what a small network raises of any values.
    """
    found, error = _on("meta", learner, given=given, wanted=wanted)
    if isinstance(found, Outline):
        return found
    if found is None or not is_small(found, given, wanted):
        log.info("the shapes of %s's network are not known before: %s", learner.name, error)
        return None
    with aside(0, torch.device("cpu")):
        for draw in (torch.randn_like, torch.rand_like):
            found, error = _on("cpu", learner, given=given, wanted=wanted, values=draw)
            if isinstance(found, Outline):
                return found
    assert error is not None
    raise error


def is_small(network: nn.Module, given: Signature, wanted: Signature) -> bool:
    """Whether a network and one sample are small enough to be tried with values."""
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    sample = sum(each.nbytes(set(each.sizes) - {"sample"}) for each in (given, wanted))
    return max(weights, 16 * sample) <= SMALL


def _on(
    device: str,
    learner: NetworkLearner,
    *,
    given: Signature,
    wanted: Signature,
    values: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Outline | nn.Module | None, Exception | None]:
    """The outline on a device; where an operation fails, the network, if it was built, and the error."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    network: nn.Module | None = None
    try:
        with torch.device(device):
            network = learner.build(given, wanted)
            scales = dict.fromkeys(given.names, (0.0, 1.0))
            inputs = Feeding(learner, given=given, wanted=wanted, scales=scales).example(wanted)
            learning, solving = (
                noises.beside(noises.example(), None)
                for noises in (Noises(learner, when, given=given, wanted=wanted) for when in ("learning", "solving"))
            )
            if values is not None:
                inputs, learning, solving = (_mapped(each, values) for each in (inputs, learning, solving))
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                output = network.train()(inputs, *learning)
            with torch.no_grad():
                solved = network.eval()(inputs, *solving)
        for made in (output, solved):
            if not isinstance(made, torch.Tensor):
                raise ContractError(
                    f"the network of {learner.name} makes a {type(made).__name__}",
                    allowed="one tensor: all fields on its last axis",
                    advice="return one tensor from `forward`",
                )
    except RecipeError:
        raise
    except (NotImplementedError, RuntimeError, ValueError) as error:
        return network, error
    parts = parts_in(network)
    parameters = {each.untyped_storage()._cdata for whole in (network, *parts) for each in whole.parameters()}
    activations = sum(size for storage, size in kept.items() if storage not in parameters)
    nbytes = output.numel() * output.element_size()
    return Outline(network.train(), tuple(solved.shape), nbytes, activations), None


def _mapped(tree: Any, values: Callable[[Tensor], Tensor]) -> Any:
    """The same inputs or noise, of other values."""
    if isinstance(tree, Tensor):
        return values(tree)
    if isinstance(tree, dict):
        return {name: _mapped(each, values) for name, each in tree.items()}
    return tuple(_mapped(each, values) for each in tree)
