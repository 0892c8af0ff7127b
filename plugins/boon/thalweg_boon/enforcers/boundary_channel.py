"""Boundary laws, by what the network is told and what is done to its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from thalweg import Law, OperatorEnforcer

from ..laws.dirichlet import Dirichlet
from ..laws.neumann import Neumann
from ..laws.periodic import Periodic

if TYPE_CHECKING:
    from torch import nn


class BoundaryChannel(OperatorEnforcer):
    """Holds a law on a network's output, which learns to fit; its values are among the channels that it is given.

    The cheaper rival of `boon`: no layer is changed. An input variable that a law names is a channel of the network
    already, spread over space. `overwrite` sets the outermost cells; `lifting` adds a line (Dirichlet, periodic) or
    parabolas (Neumann), and moves the inside as well. Raises `HandshakeError` for a network that does not say which
    channel is which, `OptionError` for a `neumann` without `spacing`.
    """

    takes: ClassVar[tuple[type[Law], ...]] = (Dirichlet, Neumann, Periodic)

    by: Literal["overwrite", "lifting"] = Field(
        "overwrite",
        description="how the output takes the boundary's value: it is overwritten there, or lifted over the "
        "whole field",
    )

    def wrap(self, module: nn.Module, law: Law) -> nn.Module:
        from ..network import Held

        return Held(module, law, by=self.by)
