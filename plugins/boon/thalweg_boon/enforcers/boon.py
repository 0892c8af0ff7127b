"""Laws at faces, by correcting the kernels of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import xarray as xr
from pydantic import Field
from thalweg import KEPT, FaceLaw, Held, Law, OperatorEnforcer, Signature

from ..compat import refuse_planes

if TYPE_CHECKING:
    from thalweg.learning import InUnits


class Boon(OperatorEnforcer):
    r"""Corrects each linear layer of a network at a face, and its output: the law holds for any weights.

    A layer $K$ is given $x + \delta e_0 + \epsilon e_N$, such that its output at a face is of the input there alone,
    and its outermost cells are then set to obey the law; so are the network's. Takes any line of weights at a face
    (values, slopes, their sum, periodicity), and networks that name their layers in `linear_layers()`. Raises
    `HandshakeError` for other networks and for lines that are too long, `RunError` for laws that contradict each
    other where their faces meet.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"
    takes: ClassVar[tuple[type[Law], ...]] = (FaceLaw,)

    damping: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3,
        description="damping of the inverse of a boundary block, as a share of its typical singular value; 0 "
        "inverts it exactly",
    )
    compat: bool = Field(
        False, description="whether one scalar corrects all channels, as published; for one dim of space"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` for `compat` on fields of more than one dim of space."""
        for field in given.fields if self.compat else ():
            refuse_planes([dim for dim in field.dims if dim not in (*KEPT, "member", "rank")])

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        from ..known import known
        from ..network import laws_of

        return known(held, context, laws_of(held))

    def wrap(self, network: InUnits, held: Held, prefix: str) -> InUnits:
        from ..network import corrected

        return corrected(network, held, prefix, damping=self.damping, compat=self.compat)
