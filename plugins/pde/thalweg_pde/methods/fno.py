"""Learning with a Fourier neural operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveInt
from thalweg import HandshakeError, Signature
from thalweg.learning import Layout, TorchLearner

from ..relative_loss import RelativeLoss

if TYPE_CHECKING:
    from torch import nn


class FNO(TorchLearner):
    """A Fourier neural operator over all dims of space, one to three; leads are channels.

    By default the relative error in L2 of a sample is minimised. Raises `HandshakeError` for fields without space, or
    with more than three dims of it, and where inputs and truth lie on different ones.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2010.08895"
    defaults: ClassVar[Mapping[str, Any]] = {
        "optimizer": "adam",
        "batch": 20,
        "weight_decay": 1e-4,
        "loss": RelativeLoss(),
    }

    modes: PositiveInt = Field(
        12, description="Fourier modes that are kept along each dim; all where the grid has fewer"
    )
    width: PositiveInt = Field(32, description="channels of each layer")
    layers: PositiveInt = Field(4, description="number of Fourier layers")

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .. import fno
        from .folded import Folded

        inputs, outputs = Layout.of(given), Layout.of(wanted)
        space = [tuple(dim for dim in layout.dims if dim != "lead") for layout in (inputs, outputs)]
        sizes = tuple(size for dim, size in zip(outputs.dims, outputs.sizes, strict=True) if dim != "lead")
        if not 1 <= len(sizes) <= 3 or space[0] != space[1]:
            raise HandshakeError(
                f"inputs lie along {space[0]!r}, the truth along {space[1]!r}",
                allowed="the same dims of space for both, one to three",
                advice="choose other variables, or another method",
            )
        leads = [dict(zip(layout.dims, layout.sizes, strict=True)).get("lead", 0) for layout in (inputs, outputs)]
        network = fno.FNO(
            len(inputs.names) * max(1, leads[0]),
            len(outputs.names) * max(1, leads[1]),
            modes=tuple(max(1, min(self.modes, size // 2)) for size in sizes),
            width=self.width,
            layers=self.layers,
        )
        return Folded(network, leads_in=bool(leads[0]), leads_out=leads[1])
