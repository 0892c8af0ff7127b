"""The solve of the output site, as the last layer of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat
from thalweg import Law, LinearLaw, OperatorEnforcer

if TYPE_CHECKING:
    from torch import nn


class LastLayer(OperatorEnforcer):
    r"""Ends a network in the nearest field that obeys, $\mu' = \mu - V G^T (G V G^T + R)^{-1} (G \mu - b)$.

    The law holds for any weights, and the network learns through it: it is scored, while it learns, on what is held.
    $V$ is the identity (`additive`) or the diagonal of $|\mu|$ (`multiplicative`). Laws that are wrapped one after the
    other are solved jointly. A network does not know its coordinates: dims have the `spacing` given here, or cells
    one apart. Takes the mean of a mean and a variance. Raises `HandshakeError` for a network that does not say which
    channel is which, and for targets of what it is not given.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw,)

    by: Literal["additive", "multiplicative"] = Field(
        "additive", description="the correction: the same for all cells, or in proportion to their values"
    )
    spacing: dict[str, PositiveFloat] = Field(
        {}, description="distance between cells by dim, in the coordinate's units"
    )

    def wrap(self, module: nn.Module, law: Law) -> nn.Module:
        from ..layer import ended

        assert isinstance(law, LinearLaw)
        return ended(module, law, by=self.by, spacing=self.spacing)
