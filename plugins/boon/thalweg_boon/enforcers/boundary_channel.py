"""Laws at faces, by what the network is told and what is done to its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import xarray as xr
from pydantic import Field
from thalweg import FaceLaw, Held, Law, OperatorEnforcer

if TYPE_CHECKING:
    from thalweg.learning import InUnits


class BoundaryChannel(OperatorEnforcer):
    """Holds a law on a network's output, which learns to fit; its values are among the channels that it is given.

    The cheaper rival of `boon`: no layer is changed. An input variable that a law names is a channel of the network
    already, spread over space. `overwrite` sets the outermost cells; `lifting` adds constants or a straight line for
    values, parabolas for slopes, and moves the inside as well. Raises `HandshakeError` for a network that does not say
    which channel is which and for lines that are too long, `RunError` for laws that contradict each other where their
    faces meet.
    """

    takes: ClassVar[tuple[type[Law], ...]] = (FaceLaw,)

    by: Literal["overwrite", "lifting"] = Field(
        "overwrite",
        description="how the output takes the boundary's value: it is overwritten there, or lifted over the "
        "whole field",
    )

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        from ..known import known
        from ..network import laws_of

        return known(held, context, laws_of(held))

    def wrap(self, network: InUnits, held: Held, prefix: str) -> InUnits:
        from ..network import Closed

        return Closed(network, held, prefix, by=self.by)
