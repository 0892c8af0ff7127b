"""How fields become one tensor: `(sample, *dims, channel)`, a channel for each variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..components.signature import Signature
from ..errors import HandshakeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """The variables of a tensor, its dims between `sample` and `channel`, and their sizes.

    `lead` comes first where there is one, then space as the largest field has it; a field without one of the dims (a
    height, a constant of one sample) is the same along it.
    """

    names: tuple[str, ...]
    dims: tuple[str, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, signature: Signature) -> Layout:
        """The layout of the numeric fields. Raises `HandshakeError` if they do not lie on one grid."""
        fields = [each for each in signature.fields if not each.dtype or each.dtype[:3] in _NUMERIC]
        if not fields:
            raise HandshakeError(
                f"a network needs numbers, and is given {signature}", advice="name fields of numbers in `windows`"
            )
        largest = max(fields, key=lambda each: prod(signature.sizes.get(dim, 1) for dim in each.dims))
        dims = [dim for dim in largest.dims if dim not in ("sample", "lead")]
        for each in fields:
            apart = [dim for dim in each.dims if dim not in ("sample", "lead", *dims)]
            if apart:
                raise HandshakeError(
                    f"{str(each)!r} lies on {', '.join(apart)}, where {str(largest)!r} does not: no tensor holds both",
                    allowed="fields of one grid",
                    advice="leave one of them out in preprocess, or bring both onto one grid",
                )
        lead = ["lead"] if any("lead" in each.dims for each in fields) else []
        dims = [*lead, *dims]
        return cls(tuple(each.name for each in fields), tuple(dims), tuple(signature.sizes[dim] for dim in dims))

    @classmethod
    def of_output(cls, gives: Signature) -> Layout:
        """The layout of what a network gives, `(sample, [member,] [lead,] *space, channel)`: fields, then variances.

        Raises `HandshakeError` for fields with other dims than each other's, which no tensor holds.
        """
        kinds = {frozenset(each.dims) for each in gives.fields}
        if len(kinds) > 1:
            raise HandshakeError(
                f"a network gives fields of one shape, and {str(gives)!r} have {len(kinds)}",
                allowed="fields with the same dims; variances and members of them",
                advice="name fields with the same dims in `gives`, or in `predict` of windows",
            )
        whole = cls.of(gives)
        if "member" not in whole.dims:
            return whole
        dims = ("member", *(dim for dim in whole.dims if dim != "member"))
        return cls(whole.names, dims, tuple(gives.sizes[dim] for dim in dims))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, channels last."""
        return (*self.sizes, len(self.names))


@runtime_checkable
class InUnits(Protocol):
    """A network on fields in their units: `(sample, *given.dims, channel)` to `(sample, *wanted.dims, channel)`.

    A module; `known` is what laws know of the samples, by name, and the noise that the network takes (`noise/NAME`). It
    is handed to the network inside.
    """

    given: Layout
    wanted: Layout

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """The fields in their units."""


def layouts(network: object) -> tuple[Layout, Layout]:
    """The variables of the channels that a network takes, and of those that it gives.

    Raises `HandshakeError` for a network that does not say which these are.
    """
    if not isinstance(network, InUnits):
        raise HandshakeError(
            f"{type(network).__name__} does not say which channel is which variable",
            allowed="a network with `given` and `wanted` layouts",
            advice="wrap what a TorchLearner builds, or set both",
        )
    return network.given, network.wanted


_NUMERIC = frozenset({"flo", "int", "uin", "boo"})
