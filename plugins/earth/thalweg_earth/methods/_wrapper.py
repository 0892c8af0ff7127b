"""What wrappers of learners share: all but the network is the learner's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator
from thalweg import Learner, Named, OptionError, Phase, Samples, Signature, Site, shake
from thalweg.learning import TorchLearner

if TYPE_CHECKING:
    from thalweg.learning import Turn
    from torch import nn


class Wrapper(TorchLearner):
    """A learner whose network is inside another one. The network outside takes inputs only: a learner whose objective
    needs more of its own is refused.
    """

    of: Named[Learner] = Field(description="the learner, by name: {unet: {preset: small}}")

    @model_validator(mode="after")
    def _of_a_network(self) -> Self:
        if not isinstance(self.of, TorchLearner):
            raise OptionError(
                f"{self.of.name} is no network",
                allowed="a learner that builds one: unet, earthformer, ...",
                advice=f"use {self.of.name} itself",
            )
        if self.of.own_objective:
            raise OptionError(
                f"{self.of.name} would learn otherwise inside another network: {self.of.own_objective} would be lost",
                allowed="a learner whose loss is all that it minimises",
                advice=f"set its weight to 0 in {self.of.name}, or use {self.of.name} by itself",
            )
        if "scale" in self.model_fields_set and self.scale != self.inner.scale:
            raise OptionError(
                f"{self.scale!r} is not the scale of {self.of.name}, which is {self.inner.scale!r}",
                allowed="one scale",
                advice=f"set `scale` in {self.of.name}",
            )
        self.__dict__["scale"] = self.inner.scale
        return self

    @property
    def inner(self) -> TorchLearner:
        """The learner, given what its phases learned."""
        assert isinstance(self.of, TorchLearner)
        return self.of.with_parts(self.parts)

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        """Those of the learner."""
        return self.of.phases(options)

    @property
    def sites(self) -> frozenset[Site]:  # type: ignore[override]
        """Those of the learner."""
        return self.of.sites

    @property
    def defaults(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Those of the learner."""
        return self.inner.defaults

    @property
    def over(self) -> Literal["sample", "batch"]:  # type: ignore[override]
        """As the learner says."""
        return self.inner.over

    def check(self, given: Signature) -> None:
        shake(given, self.of.needs(), giver="preprocess", taker=self.of.name)
        self.of.check(given)

    def check_samples(self, train: Samples) -> None:
        self.of.check_samples(train)

    def gives(self, given: Signature, truth: Signature) -> Signature:
        """What the learner gives."""
        return self.of.gives(given, truth)

    def helpers(self, given: Signature, wanted: Signature) -> Mapping[str, nn.Module]:
        """Those of the learner."""
        return self.inner.helpers(given, wanted)

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:
        """Those of the learner."""
        return self.inner.turns(modules, usual)
