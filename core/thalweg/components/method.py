"""Parts that make an estimate: solvers at once, learners after they have learned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, PrivateAttr

from ..errors import OptionError, ThalwegError
from .calls import call
from .component import Component, Parts, Site
from .returned import returned
from .signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..cluster import Workers
    from ..samples import Samples
    from .enforcer import Hold, OperatorEnforcer
    from .held import Held
    from .steering import Steering


@dataclass(frozen=True)
class Training:
    """What a learner is given: samples, the recipe's `train:` options, a folder of its own, and a
    function that reports numbers."""

    train: Samples
    validate: Samples | None
    wanted: Signature
    options: Mapping[str, Any]
    folder: Path
    """For checkpoints: what is there was left by an earlier, interrupted call of the same training."""
    report: Callable[[Mapping[str, float], int], None]
    """`report({"loss/train": 0.3}, epoch)`."""
    workers: Workers
    holds: tuple[Hold, ...] = ()
    """Laws to be held at the `loss` and `operator` sites."""
    registry: Parts | None = None
    """Makes parts that options name; None where no option names one."""
    parts: Mapping[str, Fitted] = field(default_factory=dict)
    """What the phases of the learner learned, by their names."""


class Method(Component):
    """A method that makes an estimate: a `Solver` at once, a `Learner` after it has learned."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The fields of an estimate, from what the method is given and what the truth holds: the truth's, by default.

        Beside them `truth.with_variance()`, `truth.with_factor(rank)` or `truth.with_members(count)`. The plan sizes
        stores and memory by it, metrics and enforcers shake hands with it, and every estimate is compared with it.
        """
        return truth


class Solver(Method):
    """A method that computes its estimate from the inputs, without learning."""

    @abstractmethod
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        """An estimate of the `wanted` fields from `inputs`, both in memory.

        Dims and coordinates are the truth's: `(sample, lead, ...)`, `lead = 1 .. wanted.sizes["lead"]`.
        Beside them whatever `gives` says: `NAME_variance`, `NAME_factor` along `rank`, or a `member` dim.
        """


class Fitted(Solver):
    """A solver that learning returned: its options are fields, its arrays are `state`, and what it is made from that
    was learned before it are its `parts`."""

    _state: dict[str, Any] = PrivateAttr(default_factory=dict)
    _parts: dict[str, Fitted] = PrivateAttr(default_factory=dict)
    _registry: Parts | None = PrivateAttr(None)

    def model_post_init(self, context: Any, /) -> None:
        """Keep the registry of the validation's context: options that name parts are made by it."""
        if isinstance(context, Mapping):
            self._registry = context.get("registry")

    @property
    def context(self) -> dict[str, Any]:
        """The context in which the options of parts inside it are validated."""
        return {} if self._registry is None else {"registry": self._registry}

    @property
    def registry(self) -> Parts:
        """What makes the parts that its options name. Raises `OptionError` if it was made without one."""
        if self._registry is None:
            raise OptionError(
                f"{type(self).__name__} names parts, and was made without a registry to make them",
                allowed="a solver that `thalweg.load` or a run has read",
                advice='give `context={"registry": ...}` where it is validated',
            )
        return self._registry

    @property
    def state(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """The learned arrays, by name."""
        return self._state

    @final
    def with_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> Fitted:
        """This solver, holding these arrays."""
        self._state.update(state)
        return self

    @property
    def parts(self) -> Mapping[str, Fitted]:
        """What earlier phases learned and it solves with, by name; kept in its folder, each once."""
        return self._parts

    @final
    def with_parts(self, parts: Mapping[str, Fitted]) -> Fitted:
        """This solver, made from what phases learned: `training.parts`, as far as it needs them."""
        self._parts.update(parts)
        return self


class Steered(Solver):
    """A solver whose estimate is drawn step by step, so that laws can be held on the way."""

    @final
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        """Draws under no law."""
        return self.sample(inputs, wanted, None)

    @abstractmethod
    def sample(self, inputs: xr.Dataset, wanted: Signature, steering: Steering | None) -> xr.Dataset:
        """As `solve`; each denoised estimate is what `steering`, if there is any, makes of it.

        Without it, and under laws that are true, the same seed gives the same estimate.
        """


@dataclass(frozen=True)
class Demand:
    """What a training takes: workers at once, and bytes of memory on each; 0 where that is not known."""

    workers: int = 1
    memory: int = 0


@dataclass(frozen=True)
class Phase:
    """A training that another one needs: a committed stage of its own, shared by all trainings that need it."""

    name: str
    learner: Learner
    options: Mapping[str, Any]
    """Its `train:` options."""
    after: tuple[str, ...] = ()
    """Earlier phases, whose solvers it is given in `training.parts` itself."""
    holds: bool = False
    """Whether it learns under the laws that are held while learning."""


class Learner(Method):
    """A method that learns from samples; learning returns a solver."""

    fitted: ClassVar[type[Fitted]]
    """What `fit` returns, so that it can be read back from its folder."""
    sites: ClassVar[frozenset[Site]] = frozenset()
    """Sites at which it can hold laws while learning (`loss`, `operator`)."""
    trains_on: ClassVar[frozenset[str]] = frozenset()
    """Options of the recipe's `train:` section that it reads; any other is refused."""
    train_options: ClassVar[type[BaseModel] | None] = None
    """The model of these options, for `thalweg methods NAME`; None where they are those of learners inside it."""
    nested: ClassVar[Mapping[str, str]] = {}
    """Those of them that are parts, and their kinds: `{"judge": "metrics"}`. The plan makes the parts."""

    def demand(self, given: Signature, wanted: Signature, options: Mapping[str, Any]) -> Demand:
        """What learning with these `train:` options takes; asked at plan time. By default what its phases take.

        Raises `OptionError` or `HandshakeError` for options that do not fit.
        """
        return planned(self, given, wanted, options)[1]

    def on_phases(self, phases: Mapping[str, Learner], given: Signature, wanted: Signature) -> Learner:  # noqa: ARG002
        """This learner as the plan asks it, which knows the learners of its phases; itself by default.

        Raises `HandshakeError` for phases that it cannot be built on.
        """
        return self

    def resolved(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The `train:` options of a recipe with the defaults of those that it leaves out: part of a training's digest.

        Raises `OptionError` for options that do not fit.
        """
        return {**getattr(self, "defaults", {}), **options}

    def check_samples(self, train: Samples) -> None:
        """Raise `HandshakeError` if there are too few samples to learn from; at plan time, so read no field."""

    def check_wrap(
        self,
        enforcer: OperatorEnforcer,
        held: Held,
        *,
        given: Signature,
        wanted: Signature,
        options: Mapping[str, Any],
    ) -> None:
        """Raise `HandshakeError` or `OptionError` where an enforcer cannot wrap its network; at plan time.

        Asks its phases that learn under laws, by default.
        """
        for phase in phases_of(self, options):
            if phase.holds:
                phase.learner.check_wrap(enforcer, held, given=given, wanted=wanted, options=phase.options)

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:  # noqa: ARG002
        """The trainings before its own, with these `train:` options: members, an autoencoder; none by default.

        Each is resumed, committed and used again by itself; what it learned is in `training.parts`.
        """
        return ()

    @abstractmethod
    def fit(self, training: Training) -> Fitted:
        """Learn from `training.train`; the test split is never given."""


def phases_of(learner: Learner, options: Mapping[str, Any]) -> tuple[Phase, ...]:
    """The phases of a learner. Raises `ContractError` for what are none."""
    found = learner.phases(options)
    returned(found, (tuple, list), by=f"`phases` of {learner.name}", allowed="a tuple of `Phase`", items=Phase)
    return tuple(found)


def planned(
    learner: Learner, given: Signature, wanted: Signature, options: Mapping[str, Any]
) -> tuple[Learner, Demand]:
    """A learner that knows the learners of its phases, and the most that one of these takes.

    Raises what their `demand` raises, with the phase.
    """
    made: dict[str, Learner] = {}
    demand = Demand()
    for phase in phases_of(learner, options):
        own = phase.learner.on_phases({name: made[name] for name in phase.after}, given, wanted)
        try:
            taken = call(own, own.demand, given, wanted, phase.options)
        except ThalwegError as error:
            raise error.at(f"phase {phase.name}") from None
        demand = Demand(max(demand.workers, taken.workers), max(demand.memory, taken.memory))
        made[phase.name] = _knowing(own, given, wanted, phase.options)
    return learner.on_phases(made, given, wanted), demand


def _knowing(learner: Learner, given: Signature, wanted: Signature, options: Mapping[str, Any], /) -> Learner:
    """A learner that knows the learners of its phases, which were asked before."""
    made: dict[str, Learner] = {}
    for phase in learner.phases(options):
        own = phase.learner.on_phases({name: made[name] for name in phase.after}, given, wanted)
        made[phase.name] = _knowing(own, given, wanted, phase.options)
    return learner.on_phases(made, given, wanted)
