"""A learner in coordinates that move with the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from thalweg import HandshakeError, Signature
from thalweg.learning import Layout

from ._wrapper import Wrapper

if TYPE_CHECKING:
    from torch import nn


class Moving(Wrapper):
    """A network of maps in coordinates that move with their flow, which is found from the inputs by optical flow.

    Inputs are carried to the time of the last of them, and what the network makes is carried on, so that it has only to
    learn how a field changes along the flow. Raises `HandshakeError` for what is no map in time on one grid.
    """

    cite: ClassVar[str] = "10.1109/JSTARS.2023.3238016"
    example: ClassVar[Mapping[str, Any]] = {"of": {"unet": {"widths": [4], "centre": 8}}}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from ._moving_network import Moving as Network

        one, other = Layout.of(given), Layout.of(wanted)
        maps = all(len(each.dims) == 3 and each.dims[0] == "lead" for each in (one, other)) and one.sizes[0] > 1
        if not maps or one.sizes[1:] != other.sizes[1:] or "member" in self.gives(given, wanted).uncertainty:
            raise HandshakeError(
                f"{self.of.name} cannot learn in moving coordinates from {given} to {wanted}",
                allowed="maps in time on one grid: (sample, lead, y, x), at least two inputs; no members",
                advice=f"use {self.of.name} by itself",
            )
        return Network(self.inner.build(given, wanted))
