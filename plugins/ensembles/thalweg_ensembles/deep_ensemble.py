"""One learner, learned several times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from thalweg import Demand, Fitted, Learner, Named, OptionError, Phase, Samples, Signature, Site, Training, shake

from .mixture import Keep, Mixture, mixed


class DeepEnsemble(Learner):
    r"""An ensemble of one learner, whose members differ by their seed: the mean and the variance over them, or all.

    Member $i$ is what the learner learns from all samples with the seed `train.seed` $+ i$, one after the other.
    See `Mixture` for the formula. Raises `OptionError` for a learner without a seed, whose members would be alike.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1612.01474"
    fitted: ClassVar[type[Fitted]] = Mixture
    example: ClassVar[Mapping[str, Any]] = {"of": {"unet": {"widths": [4], "centre": 8}}, "members": 2}

    of: Named[Learner] = Field(description="the learner, by name: {earthformer: {preset: small}}")
    members: int = Field(5, ge=2, description="number of networks, each with its own seed")
    keep: Keep = "moments"

    @model_validator(mode="after")
    def _of_seeds(self) -> Self:
        if "seed" not in self.of.trains_on:
            raise OptionError(
                f"{self.of.name} draws nothing, so that the members of its ensemble would be alike",
                allowed="a learner that reads `seed`",
                advice=f"use {self.of.name} itself",
            )
        return self

    @property
    def sites(self) -> frozenset[Site]:  # type: ignore[override]
        """Those of the learner."""
        return self.of.sites

    @property
    def trains_on(self) -> frozenset[str]:  # type: ignore[override]
        """What the learner reads."""
        return self.of.trains_on

    @property
    def nested(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of the learner."""
        return self.of.nested

    def check(self, given: Signature) -> None:
        shake(given, self.of.needs(), giver="preprocess", taker=self.of.name)
        self.of.check(given)

    def demand(self, given: Signature, wanted: Signature, options: Mapping[str, Any]) -> Demand:
        """The learner's: members learn one after the other."""
        return self.of.demand(given, wanted, options)

    def resolved(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the learner resolves them."""
        return self.of.resolved(options)

    def check_samples(self, train: Samples) -> None:
        self.of.check_samples(train)

    def gives(self, given: Signature, truth: Signature) -> Signature:
        """The mean and its variance, or members."""
        return mixed([self.of] * self.members, given, truth, keep=self.keep)

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        """A training for each member."""
        seed = int(options.get("seed", 0))
        return tuple(
            Phase(f"member-{i}", self.of, {**options, "seed": seed + i}, holds=True) for i in range(self.members)
        )

    def fit(self, training: Training) -> Fitted:
        solvers = [training.parts[f"member-{i}"] for i in range(self.members)]
        return Mixture.holding([self.of] * self.members, solvers, registry=training.registry, keep=self.keep)
