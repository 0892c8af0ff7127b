"""Learning a distribution over fields from a few of their points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt
from thalweg import HandshakeError, OptionError, Signature, Site
from thalweg.learning import Layout, TorchLearner

if TYPE_CHECKING:
    from torch import Tensor, nn


class AttentiveNeuralProcess(TorchLearner):
    r"""An attentive neural process: a field, with its variance, from a context of points.

    The context of a field `u(sample, time, x)` is `context_u`, `context_time` and `context_x`, all `(sample, point)`;
    `target_time` or `target_x`, where there are such inputs, are the coordinates of each sample's own. Other inputs are
    not looked at. Minimises the negative evidence bound at `targets` points of the truth, drawn anew in each step. Mean
    and variance are those of a mixture over `draws` of its latent variable. 989,826 weights over two dims. Raises
    `HandshakeError` for inputs without a context, or more than one field to estimate.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1901.05761 10.48550/arXiv.2302.11002"
    sites: ClassVar[frozenset[Site]] = frozenset({"loss"})
    separate_inputs: ClassVar[bool] = True
    own_loss: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 500,
        "batch": 250,
        "learning_rate": 1e-4,
        "optimizer": "adam",
        "schedule": "constant",
        "warm_up": 0.0,
        "clip": None,
    }
    example: ClassVar[Mapping[str, Any]] = {"width": 8, "latent": 8, "heads": 2, "draws": 2, "targets": 20}

    width: PositiveInt = Field(128, description="channels of the encoders and the decoder")
    latent: PositiveInt = Field(128, description="size of the latent variable")
    heads: PositiveInt = Field(4, description="number of attention heads")
    dropout: float = Field(
        0.1, ge=0.0, lt=1.0, description="dropout: share of the attention weights that are dropped in training"
    )
    draws: PositiveInt = Field(100, description="draws of the latent variable for one estimate")
    targets: PositiveInt = Field(100, description="points of the truth that a step learns from; all if it has fewer")
    collocated: PositiveInt = Field(25, description="how many of the targets a law in the loss is evaluated at")
    spans: dict[str, PositiveFloat] = Field(
        {}, description="what coordinates are divided by, in their units, by name; 1 if not given"
    )
    compat: bool = Field(
        False,
        description="whether dropout stays on when solving, as in the published code; an estimate then depends "
        "on its batch",
    )
    scale: Literal["none"] = Field("none", description="none: fields are learned in their own units")

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The mean and its variance."""
        return truth.with_variance()

    def check(self, given: Signature) -> None:
        """Raise `HandshakeError` for inputs without a context, `OptionError` for heads that do not divide the width."""
        found = [each for each in given.fields if each.name.startswith("context_")]
        if len(found) < 2 or len({each.dims for each in found}) > 1 or len(found[0].dims) != 2:
            raise HandshakeError(
                f"a context of points is what attentive-neural-process learns from, and it is given {given}",
                allowed="context_NAME and context_DIM (sample, point)",
                advice="choose a dataset of pde with a context, such as porous-medium, or another method",
            )
        if self.width % self.heads:
            raise OptionError(
                f"{self.heads} heads do not divide a width of {self.width}", allowed="a divisor of `width`"
            )

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from ..attentive import AttentiveNeuralProcess as Process
        from .points import PointsToField

        dims = Layout.of(wanted).dims
        if len(wanted.fields) > 1 or "lead" in dims:
            raise HandshakeError(
                f"attentive-neural-process estimates one field without leads, and {wanted} is wanted",
                allowed="one field of pairs",
                advice="choose another dataset or method",
            )
        name = wanted.fields[0].name
        missing = [each for each in (f"context_{each}" for each in (*dims, name)) if each not in given]
        if missing:
            raise HandshakeError(
                f"the context lacks {', '.join(missing)}", allowed=str(given), advice="give one for each dim"
            )
        process = Process(
            len(dims),
            width=self.width,
            latent=self.latent,
            heads=self.heads,
            dropout=self.dropout,
            draws=self.draws,
            drops=self.compat,
        )
        spans = tuple(self.spans.get(dim, 1.0) for dim in dims)
        return PointsToField(process, name=name, dims=dims, spans=spans)

    def objective(
        self,
        network: nn.Module,
        inputs: Mapping[str, Tensor],
        truth: Tensor,
        *,
        step: int,  # noqa: ARG002
        loss: Any,  # noqa: ARG002
        noise: Mapping[str, Tensor],  # noqa: ARG002
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        from .points import PointsToField

        assert isinstance(network, PointsToField)
        return network.learned(inputs, truth[..., 0], count=self.targets, collocated=self.collocated)
