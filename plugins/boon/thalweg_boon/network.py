"""Networks whose output obeys boundary laws, whatever their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from thalweg import HandshakeError, Law, OptionError
from thalweg.learning import layouts
from torch import Tensor, nn

from .closures import Closure, DirichletClosure, NeumannClosure, PeriodicClosure
from .laws._faces import Side, Value
from .laws.dirichlet import Dirichlet
from .laws.neumann import Neumann
from .laws.periodic import Periodic
from .layer import Boundary, Corrected


@runtime_checkable
class Layered(Protocol):
    """A network that names its layers that map fields to fields linearly, `(sample, *space, channel)`."""

    def linear_layers(self) -> Sequence[str]: ...


def closure_of(law: Law, axis: int) -> Closure:
    """The law across a dim of a tensor. Raises `OptionError` if it lacks what a network does not know."""
    match law:
        case Dirichlet():
            return DirichletClosure(axis, tuple(law.values))
        case Neumann():
            if law.spacing is None:
                raise OptionError(
                    "a network does not know how far apart its cells are",
                    allowed="`spacing`, in units of the coordinate",
                    advice=f"set `spacing` of the law {law.name}",
                )
            return NeumannClosure(axis, tuple(law.values), law.order, law.spacing)
        case Periodic():
            return PeriodicClosure(axis)
    raise OptionError(f"{law.name} is no boundary law of plugin boon", allowed="dirichlet, neumann, periodic")


class Held(nn.Module):
    """A network whose output obeys a law, by the outermost cells (`overwrite`) or a smooth function added (`lifting`).

    Of several laws the one wrapped last has the cells where two boundaries meet.
    """

    def __init__(
        self,
        network: nn.Module,
        law: Law,
        *,
        by: Literal["overwrite", "lifting"] = "overwrite",
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.given, self.wanted = layouts(network)
        self.scales: Mapping[str, tuple[float, float]] = getattr(network, "scales", {})
        values: Mapping[Side, Value] = getattr(law, "values", {})
        self._values = values
        self._variable, self._dim = str(law.variable), str(law.dim)  # type: ignore[attr-defined]
        _known(self._variable, self.wanted.names, "the network gives")
        _known(self._dim, self.wanted.dims, "the network's output lies along")
        for each in values.values():
            if isinstance(each, str):
                _known(each, self.given.names, "the network is given")
        self._by, self._boundary = by, boundary
        # Counted without the channel, which is cut off before.
        self._closure = closure_of(law, 1 + self.wanted.dims.index(self._dim))

    def forward(self, inputs: Tensor) -> Tensor:
        values = {side: self._value(inputs, side, value) for side, value in self._values.items()}
        if self._boundary is not None:
            self._boundary.values = {side: self._hidden(each) for side, each in values.items()}
        output = self.network(inputs)
        channel = self.wanted.names.index(self._variable)
        field = output[..., channel]
        held = (self._closure.overwrite if self._by == "overwrite" else self._closure.lift)(field, values)
        if output.shape[-1] == 1:
            return held.unsqueeze(-1)
        return torch.cat([output[..., :channel], held.unsqueeze(-1), output[..., channel + 1 :]], -1)

    def _value(self, inputs: Tensor, side: Side, value: Value) -> Tensor:
        """`(sample, *face)`, or one number."""
        if not isinstance(value, str):
            assert value is not None
            return inputs.new_tensor(value)
        found, dims = inputs[..., self.given.names.index(value)], list(self.given.dims)
        if "lead" in dims:
            found = found.select(1 + dims.index("lead"), -1)
            dims.remove("lead")
        if self._dim in dims:
            found = found.select(1 + dims.index(self._dim), 0 if side == "left" else -1)
            dims.remove(self._dim)
        for number, dim in enumerate((d for d in self.wanted.dims if d != self._dim), start=1):
            if dim not in dims:
                found = found.unsqueeze(number)
        return found

    def _hidden(self, value: Tensor) -> Tensor:
        """What layers hold, for all their channels: scaled as the network is inside, without the lead."""
        offset, scale = self.scales.get(self._variable, (0.0, 1.0))
        # A slope has no offset.
        value = (value - (0.0 if isinstance(self._closure, NeumannClosure) else offset)) / scale
        rest = [dim for dim in self.wanted.dims if dim != self._dim]
        if value.ndim and "lead" in rest:
            value = value.mean(1 + rest.index("lead"))
        return value.unsqueeze(-1) if value.ndim else value


def corrected(network: nn.Module, law: Law, *, damping: float, compat: bool) -> Held:
    """The network with its linear layers corrected, in place, and its output held."""
    _, wanted = layouts(network)
    dim = str(law.dim)  # type: ignore[attr-defined]
    _known(dim, wanted.dims, "the network's output lies along")
    space = [each for each in wanted.dims if each != "lead"]
    if compat and len(space) != 1:
        raise OptionError(
            f"`compat` in {len(space)} dims of space",
            allowed="one",
            advice="leave `compat` out: the published code of two dims and more has defects that are not copied",
        )
    closure, boundary = closure_of(law, space.index(dim)), Boundary()
    found = [
        (owner, name) for owner in network.modules() if isinstance(owner, Layered) for name in owner.linear_layers()
    ]
    if not found:
        raise HandshakeError(
            f"{type(network).__name__} names no linear layers to correct",
            allowed="a network with `linear_layers()`, such as fno",
            advice="hold the law by `boundary-channel` on this network",
        )
    for owner, name in found:
        layer = owner.get_submodule(name)
        if not isinstance(layer, Corrected):
            layer = Corrected(layer, damping=damping, compat=compat)
            owner.set_submodule(name, layer)
        elif compat:
            raise OptionError("two laws with `compat`", allowed="one", advice="leave `compat` out")
        layer.add(closure, boundary)
    return Held(network, law, boundary=boundary)


def _known(name: str, names: Sequence[str], who: str) -> None:
    if name not in names:
        raise HandshakeError(f"there is no {name!r}", allowed=f"{who} {', '.join(names)}", advice="name one of them")
