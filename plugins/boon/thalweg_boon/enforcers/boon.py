"""Boundary laws, by correcting the kernels of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from thalweg import Law, OperatorEnforcer

from ..laws.dirichlet import Dirichlet
from ..laws.neumann import Neumann
from ..laws.periodic import Periodic

if TYPE_CHECKING:
    from torch import nn


class Boon(OperatorEnforcer):
    r"""Corrects each linear layer of a network at a boundary, and its output: the law holds for any weights.

    A layer $K$ is given $x + \delta e_0 + \epsilon e_N$, such that its output at a boundary is of the input there
    alone, and its outermost cells are then set to obey the law; so are the network's. Takes networks that name their
    layers in `linear_layers()`. A second law, across another dim, is held by a second wrap. Raises `HandshakeError`
    for other networks, `OptionError` for a `neumann` without `spacing`.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"
    takes: ClassVar[tuple[type[Law], ...]] = (Dirichlet, Neumann, Periodic)

    damping: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3,
        description="damping of the inverse of a boundary block, as a share of its typical singular value; 0 "
        "inverts it exactly",
    )
    compat: bool = Field(
        False, description="whether one scalar corrects all channels, as published; for one dim of space"
    )

    def wrap(self, module: nn.Module, law: Law) -> nn.Module:
        from ..network import corrected

        return corrected(module, law, damping=self.damping, compat=self.compat)
