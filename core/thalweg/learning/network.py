"""The network of a learner: built, under its laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..components import OperatorEnforcer
from ..components.held import Held
from ..components.signature import Signature
from .layout import Layout
from .scaling import Scales
from .tensors import Scaler

if TYPE_CHECKING:
    from .contract import NetworkLearner


class Unscaled(nn.Module):
    """A network that takes and gives fields in their units, for an enforcer to wrap.

    `given` and `wanted` say which variable is which channel, and along which dims they lie; `scales` how the network
    inside has them.
    """

    def __init__(self, network: nn.Module, given: Layout, wanted: Layout, scales: Scales) -> None:
        super().__init__()
        self.network, self.given, self.wanted, self.scales = network, given, wanted, scales
        self._given, self._wanted = Scaler(given, scales), Scaler(wanted, scales)

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        self._given.to(inputs.device)
        self._wanted.to(inputs.device)
        return self._wanted.unscale(self.network(self._given.scale(inputs)))


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


def network_of(
    learner: NetworkLearner,
    *,
    given: Signature,
    wanted: Signature,
    scales: Scales,
    wrappers: Mapping[str, tuple[OperatorEnforcer, Held]],
) -> nn.Module:
    """What the learner builds, wrapped by its operator enforcers, scaled in and out.

    With `wrappers` it takes what laws know beside its inputs.
    """
    network = learner.build(given, wanted)
    if not wrappers:
        return network
    inputs, outputs = Layout.of(given), Layout.of(wanted)
    wrapped: Any = Unscaled(network, inputs, outputs, scales)
    for prefix, (enforcer, held) in wrappers.items():
        wrapped = enforcer.wrap(wrapped, held, prefix)
    return Scaled(wrapped, inputs, outputs, scales)
