"""Networks whose output obeys laws at faces, whatever their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from thalweg import FaceLaw, HandshakeError, Held
from thalweg.learning import InUnits, Layout, layouts
from torch import Tensor, nn

from .closures import Closure
from .compat import refuse_planes
from .layer import Boundary, Corrected


@runtime_checkable
class Layered(Protocol):
    """A network that names its layers that map fields to fields linearly, `(sample, *space, channel)`."""

    def linear_layers(self) -> Sequence[str]: ...


class Closed(nn.Module):
    """A network whose output obeys laws, by its outermost cells (`overwrite`) or a smooth function added (`lifting`).

    Law by law: where two faces meet the last has the corner, and the others hold there because the laws agree.
    """

    def __init__(
        self,
        network: InUnits,
        held: Held,
        prefix: str,
        *,
        by: Literal["overwrite", "lifting"] = "overwrite",
        boundaries: Sequence[Boundary] = (),
    ) -> None:
        super().__init__()
        self.network: nn.Module = network  # type: ignore[assignment]
        self.given, self.wanted = layouts(network)
        self.scales: Mapping[str, tuple[float, float]] = getattr(network, "scales", {})
        self._by, self._boundaries, self._prefix = by, boundaries, prefix
        self._channels, self._closures = [], []
        for law in laws_of(held):
            # Counted without the channel, which is cut off before.
            self._closures.append(closure_of(law, held, 1 + _place(law.dim, self.wanted)))
            self._channels.append(self.wanted.names.index(law.variable))

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """Fields in their units."""
        told = [self._told(known, number) for number in range(len(self._closures))]
        for number, boundary in enumerate(self._boundaries):
            boundary.values, boundary.said = self._hidden(number, *told[number])
        output: Tensor = self.network(inputs, known)
        for closure, channel, (values, said) in zip(self._closures, self._channels, told, strict=True):
            field = output[..., channel]
            way = closure.overwrite if self._by == "overwrite" else closure.lift
            written = way(field, values, said).unsqueeze(-1)
            parts = [output[..., :channel], written, output[..., channel + 1 :]]
            output = torch.cat(parts, -1) if output.shape[-1] > 1 else written
        return output

    def _told(self, known: Mapping[str, Tensor], number: int) -> tuple[list[Tensor], list[Tensor | None]]:
        """What each line of a law gives, `(sample or 1, *face)`, and where it says something; None where everywhere."""
        values = known[f"{self._prefix}/{number}/values"].unbind(-1)
        said = known.get(f"{self._prefix}/{number}/said")
        return list(values), [None] * len(values) if said is None else list(said.unbind(-1))

    def _hidden(
        self, number: int, values: list[Tensor], said: list[Tensor | None], /
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """What layers hold, for all their channels: scaled as the network is inside, without the lead."""
        closure = self._closures[number]
        offset, scale = self.scales.get(self.wanted.names[self._channels[number]], (0.0, 1.0))
        rest = [dim for at, dim in enumerate(self.wanted.dims, 1) if at != closure.axis]
        lead = 1 + rest.index("lead") if "lead" in rest else None

        def without(value: Tensor) -> Tensor:
            return (value if lead is None else value.mean(lead)).unsqueeze(-1)

        # A line of a constant gives the sum of its weights: a slope has no offset.
        inner = [without((each - offset * total) / scale) for each, total in zip(values, closure.total, strict=True)]
        masks = [None if each is None else without(each.double()) == 1.0 for each in said]
        return inner, masks


def laws_of(held: Held) -> tuple[FaceLaw, ...]:
    """The laws at faces, and those that an earlier enforcer holds there."""
    return tuple(law for law in held.together if isinstance(law, FaceLaw))


def closure_of(law: FaceLaw, held: Held, axis: int) -> Closure:
    """The lines of a law across a dim of a tensor. Raises `HandshakeError` for lines that are too long."""
    made = Closure(axis, law.lines(held.grid))
    made.check(held.grid.sizes[law.dim])
    return made


def corrected(network: InUnits, held: Held, prefix: str, *, damping: float, compat: bool) -> Closed:
    """The network with its linear layers corrected, in place, and its output held."""
    _, wanted = layouts(network)
    space = [each for each in wanted.dims if each != "lead"]
    if compat:
        refuse_planes(space)
    assert isinstance(network, nn.Module)
    found = [
        (owner, name) for owner in network.modules() if isinstance(owner, Layered) for name in owner.linear_layers()
    ]
    if not found:
        raise HandshakeError(
            f"{type(network).__name__} names no linear layers to correct",
            allowed="a network with `linear_layers()`, such as fno",
            advice="hold the law by `boundary-channel` on this network",
        )
    for law in laws_of(held):
        _place(law.dim, wanted)
    closures = [closure_of(law, held, space.index(law.dim)) for law in laws_of(held)]
    boundaries = [Boundary() for _ in closures]
    for owner, name in found:
        layer = owner.get_submodule(name)
        if not isinstance(layer, Corrected):
            layer = Corrected(layer, damping=damping, compat=compat)
            owner.set_submodule(name, layer)
        for closure, boundary in zip(closures, boundaries, strict=True):
            layer.add(closure, boundary)
    return Closed(network, held, prefix, boundaries=boundaries)


def _place(dim: str, wanted: Layout) -> int:
    if dim not in wanted.dims or dim == "lead":
        raise HandshakeError(
            f"there is no {dim!r}",
            allowed=f"the network's output lies along {', '.join(wanted.dims)}",
            advice="name one of them",
        )
    return wanted.dims.index(dim)
