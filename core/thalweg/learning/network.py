"""The module of a network: built, under its laws, filled with its weights, or frozen inside another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..components import OperatorEnforcer
from ..components.held import Held
from ..components.signature import Signature
from ..errors import ContractError, HandshakeError
from .checkpoint import load_weights
from .drawn import PREFIX
from .knowing import under
from .layout import Layout
from .randomness import aside
from .scaling import Scales
from .tensors import Scaler

if TYPE_CHECKING:
    from .contract import Network, NetworkLearner


class Unscaled(nn.Module):
    """A network that takes and gives fields in their units, for an enforcer to wrap.

    `given` and `wanted` say which variable is which channel, and along which dims they lie; `scales` how the network
    inside has them. With `noisy` the network takes noise, which is among what laws know.
    """

    def __init__(
        self, network: nn.Module, given: Layout, wanted: Layout, scales: Scales, *, noisy: bool = False
    ) -> None:
        super().__init__()
        self.network, self.given, self.wanted, self.scales = network, given, wanted, scales
        self._noisy = noisy
        self._given, self._wanted = Scaler(given, scales), Scaler(wanted, scales)

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        self._given.to(inputs.device)
        self._wanted.to(inputs.device)
        noise = (under(PREFIX, known),) if self._noisy else ()
        return self._wanted.unscale(self.network(self._given.scale(inputs), *noise))


class Scaled(nn.Module):
    """The inverse: a network in units, as one that takes and gives scaled fields; it takes what laws know as well."""

    def __init__(self, network: nn.Module, given: Layout, wanted: Layout, scales: Scales) -> None:
        super().__init__()
        self.network = network
        self._given, self._wanted = Scaler(given, scales), Scaler(wanted, scales)

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        self._given.to(inputs.device)
        self._wanted.to(inputs.device)
        return self._wanted.scale(self.network(self._given.unscale(inputs), known))


def built(
    learner: NetworkLearner,
    *,
    given: Signature,
    wanted: Signature,
    scales: Scales,
    wrappers: Mapping[str, tuple[OperatorEnforcer, Held]],
    examples: Iterable[tuple[Any, Tensor]] | None = None,
) -> nn.Module:
    """What the learner builds, wrapped by its operator enforcers, scaled in and out.

    With `wrappers` it takes what laws know beside its inputs; with `examples` it is prepared by them.
    """
    if wrappers and learner.steered:
        raise HandshakeError(
            f"{wrappers[min(wrappers)][0].name} works inside a network, and {learner.name} calls its own at every step "
            "of what it draws",
            allowed="the sites loss, sampling and output",
            advice="hold the law while sampling",
        )
    gives = learner.gives(given, wanted)
    if wrappers and (gives.uncertainty or not gives.is_estimate_of(wanted)):
        raise HandshakeError(
            f"{wrappers[min(wrappers)][0].name} holds the fields of the truth in a network, and that of {learner.name} "
            f"gives {str(gives)!r}",
            allowed="a network that gives the truth's fields alone",
            advice="hold the law at another site",
        )
    network = learner.build(given, wanted)
    if examples is not None:
        learner.prepare(network, examples, scales)
    if not wrappers:
        return network
    inputs, outputs = Layout.of(given), Layout.of(wanted)
    wrapped: Any = Unscaled(network, inputs, outputs, scales, noisy=bool(learner.noises(given, wanted)))
    for prefix, (enforcer, held) in wrappers.items():
        wrapped = enforcer.wrap(wrapped, held, prefix)
        if not isinstance(wrapped, nn.Module):
            raise ContractError(
                f"`wrap` of {enforcer.name} gives a {type(wrapped).__name__}",
                allowed="a torch module around the network",
                advice="return the wrapped network",
            )
    return Scaled(wrapped, inputs, outputs, scales)


def filled(
    network: Network, *, device: torch.device, wrappers: Mapping[str, tuple[OperatorEnforcer, Held]]
) -> nn.Module:
    """The module of a learned network, with its weights. Raises `CorruptError` for those of another architecture."""
    with aside(0, device):
        module = built(
            network.learner, given=network.given, wanted=network.wanted, scales=network.scales, wrappers=wrappers
        )
    kinds = module.state_dict()
    weights = {
        name: _like(torch.from_numpy(np.array(each)), kinds.get(name)) for name, each in (network.weights or {}).items()
    }
    load_weights(module, weights, source=f"the state of {network.title}")
    return module


def _like(weights: Tensor, expected: Tensor | None) -> Tensor:
    return torch.view_as_complex(weights) if expected is not None and expected.is_complex() else weights


class Frozen(nn.Module):
    """A learned network inside another: it does not learn, is always in evaluation mode, and is not among the weights.

    `module` is what the learner of its phase built: scaled fields in, scaled fields out. Gradients go through it.
    """

    module: nn.Module

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # Past `nn.Module`: what is not registered is in no state, optimizer, average or checkpoint, and has no mode.
        self.__dict__["module"] = module.requires_grad_(False).eval()

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def _apply(self, fn: Any, recurse: bool = True) -> Frozen:
        self.module._apply(fn, recurse)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def frozen(network: Network) -> Frozen:
    """A module of a network of an earlier phase, for the module that is built on it: on its device, not its weights.

    Raises `HandshakeError` for a network under laws, which are not known inside another.
    """
    if network.holds:
        raise HandshakeError(
            f"the network of {network.title} is under {network.holds[0].laws[0].name}",
            allowed="parts without a law in the network",
            advice="leave `holds` out of the phase, or hold the law on the whole",
        )
    if network.weights is None or torch.get_default_device().type == "meta":
        # At plan time shapes are all that is asked of it.
        return Frozen(network.learner.build(network.given, network.wanted))
    with torch.device("cpu"):
        return Frozen(filled(network, device=torch.device("cpu"), wrappers={}))


def parts_in(module: nn.Module) -> list[nn.Module]:
    """The frozen networks inside a module, and those inside them."""
    own = [each.module for each in module.modules() if isinstance(each, Frozen)]
    return [*own, *(inner for each in own for inner in parts_in(each))]
