"""The solve of the output site, as the last layer of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import xarray as xr
from pydantic import Field
from thalweg import Held, Law, LinearLaw, OperatorEnforcer

if TYPE_CHECKING:
    from thalweg.learning import InUnits


class LastLayer(OperatorEnforcer):
    r"""Ends a network in the nearest field that obeys, $\mu' = \mu - V G^T (G V G^T + R)^{-1} (G \mu - b)$.

    The law holds for any weights, and the network learns through it: it is scored, while it learns, on what is held.
    $V$ is the identity (`additive`) or the diagonal of $|\mu|$ (`multiplicative`). All laws are solved jointly. Takes
    the mean of a mean and a variance. Raises `HandshakeError` for a network that does not say which channel is which,
    and for targets of what is not known; `RunError` for laws that contradict each other.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw,)

    by: Literal["additive", "multiplicative"] = Field(
        "additive", description="the correction: the same for all cells, or in proportion to their values"
    )

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        from ..independent import independent

        return independent(held, held.known_together(context))

    def wrap(self, network: InUnits, held: Held, prefix: str) -> InUnits:
        from ..layer import Ended

        return Ended(network, held, prefix, by=self.by)
