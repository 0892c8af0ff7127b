"""Different methods, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from thalweg import Fitted, Learner, Method, Named, Phase, Samples, Signature, Site, Training, shake

from .mixture import Mixture, mixed


class MultiModel(Learner):
    r"""The mean of several methods, each counted alike, and the variance over them.

    Those that learn do so one after the other, each by the options of `train:` that it reads. See `Mixture`.
    """

    cite: ClassVar[str] = "10.1111/j.1600-0870.2005.00103.x"
    fitted: ClassVar[type[Fitted]] = Mixture
    example: ClassVar[Mapping[str, Any]] = {"of": ["persistence", "damped-persistence"]}

    of: tuple[Named[Method], ...] = Field(
        min_length=2, description="methods whose estimates are averaged: [persistence, {unet: {preset: small}}]"
    )

    @property
    def _learners(self) -> list[Learner]:
        return [each for each in self.of if isinstance(each, Learner)]

    @property
    def sites(self) -> frozenset[Site]:  # type: ignore[override]
        """Those at which every one of them can hold a law."""
        own = [each.sites if isinstance(each, Learner) else frozenset[Site]() for each in self.of]
        return frozenset[Site].intersection(*own)

    @property
    def trains_on(self) -> frozenset[str]:  # type: ignore[override]
        """What any of them reads."""
        return frozenset[str]().union(*(each.trains_on for each in self._learners))

    def check(self, given: Signature) -> None:
        for each in self.of:
            shake(given, each.needs(), giver="preprocess", taker=each.name)
            each.check(given)

    def resolved(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """As each of them resolves those that it reads."""
        return {f"{i}-{each.name}": dict(each.resolved(_read(each, options))) for i, each in enumerate(self._learners)}

    def check_samples(self, train: Samples) -> None:
        for each in self._learners:
            each.check_samples(train)

    @property
    def nested(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of all of them."""
        return {key: kind for each in self._learners for key, kind in each.nested.items()}

    def gives(self, given: Signature, truth: Signature) -> Signature:
        """The mean and its variance."""
        return mixed(self.of, given, truth)

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        """A training for each of them that learns."""
        return tuple(
            Phase(f"{i}-{each.name}", each, _read(each, options), holds=True)
            for i, each in enumerate(self.of)
            if isinstance(each, Learner)
        )

    def fit(self, training: Training) -> Fitted:
        solvers: list[Any] = [training.parts.get(f"{i}-{each.name}", each) for i, each in enumerate(self.of)]
        return Mixture.holding(self.of, solvers, registry=training.registry)


def _read(learner: Learner, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in learner.trains_on}
