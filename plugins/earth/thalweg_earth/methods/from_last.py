"""A learner of the difference from the last input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from thalweg import HandshakeError, Signature
from thalweg.learning import Layout

from ._wrapper import Wrapper

if TYPE_CHECKING:
    from torch import nn


class FromLast(Wrapper):
    """A network that learns the difference from the last input: the untrained one persists, in moving coordinates it
    extrapolates.

    Its last layer, `head` of the network, begins with zeros. Raises `HandshakeError` for a network without a head, or
    where inputs and truth are not the same variables.
    """

    example: ClassVar[Mapping[str, Any]] = {"of": {"unet": {"widths": [4], "centre": 8}}}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from ._from_last_network import FromLast as Network

        names = [Layout.of(each).names for each in (given, wanted)]
        if names[0] != names[1]:
            raise HandshakeError(
                f"from-last continues the last input, but from {', '.join(names[0])} it is to make "
                f"{', '.join(names[1])}",
                allowed="the same variables as inputs and truth",
                advice="leave the others out in `windows`",
            )
        network = self.inner.build(given, wanted)
        head = getattr(network, "head", None)
        if head is None:
            raise HandshakeError(
                f"the network of {self.of.name} does not say which is its last layer",
                allowed="a network with `head`, a layer that its output is linear in: unet, earthformer",
                advice=f"use {self.of.name} by itself, or its own `from_last` if it has one",
            )
        return Network(network, head)
