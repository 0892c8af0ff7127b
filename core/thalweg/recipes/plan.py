"""A plan: a recipe whose parts are made, with a step for each stage. How one is made: `planning`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..cluster import Cluster
from ..components import Component, Dataset, Hold, Learner, Method, Metric, Phase, Transform, WholeMetric
from ..components.method import phases_of
from ..components.transform import divided
from ..credentials import hidden, masked
from ..errors import OptionError
from ..stores.store import Store
from .limits import human
from .lines import beside, cut
from .provenance import components, digest, record, recorded, stage_code
from .recipe import Recipe

NOTHING = "nothing to learn"
UNTESTED = "no test period: nothing is estimated or scored"


@dataclass(frozen=True)
class Step:
    """One stage of a plan."""

    name: str
    digest: str
    gives: str
    nbytes: int = 0
    tasks: int = 0
    peak: int = 0
    """Memory of one task, bytes."""
    cached: bool = False
    note: str = ""
    broken: str = ""
    """What is wrong with what is committed; it is refused unless it is made again (`--from`)."""


@dataclass(frozen=True)
class Places:
    """Where the samples of a plan lie."""

    digest: str = ""
    """Of the store that holds them."""
    learned: str = ""
    """Digest of the places that are learned from: those of train and validate."""
    scored: str = ""
    """Digest of the places of test."""


@dataclass(frozen=True)
class Plan:
    """A recipe whose parts are made and fit."""

    recipe: Recipe
    store: Store
    cluster: Cluster
    dataset: Dataset
    transforms: tuple[Transform, ...]
    method: Method
    options: Mapping[str, Any]
    """The recipe's `train:` options, but for the method."""
    holds: tuple[Hold, ...]
    metrics: Mapping[str, Metric | WholeMetric]
    """By label: the metric's name, and its variable where two would be alike."""
    steps: Mapping[str, Step] = field(default_factory=dict)
    places: Places = Places()
    batch: int = 1
    """Samples that one task of `constrain` or `evaluate` takes."""
    tested: bool = True
    """Whether there are test samples; without them a method learns, and is used to forecast."""
    names: Mapping[type[Component], str] = field(default_factory=dict)
    """Those of all methods that are registered."""
    source_record: str = ""
    """Digest of the dataset's options, whatever the state of its source."""
    cites: tuple[str, ...] = ()
    only: str = ""
    variants: Mapping[str, tuple[Hold, ...]] = field(default_factory=dict)
    """The holds of each held estimate by its name; `holds` are those of all."""
    given: Mapping[str, Plan] = field(default_factory=dict)
    """Of a phase, the earlier ones whose solvers it is given."""

    @property
    def digest(self) -> str:
        """The run's digest."""
        return digest(self.steps["evaluate"].digest, self.places.digest, self.recipe.name, self.recipe.experiment)

    @property
    def field_transforms(self) -> tuple[Transform, ...]:
        """Those that make the fields."""
        return divided(self.transforms)[0]

    @property
    def index_transforms(self) -> tuple[Transform, ...]:
        """Those after them, which say where samples lie."""
        return divided(self.transforms)[1]

    def under(self, variant: str) -> Plan:
        """The plan of one estimate alone: of `free` without a law."""
        holds = self.variants.get(variant, ())
        return replace(self, holds=holds, variants={variant: holds} if holds else {})

    def estimate_mark(self, variant: str) -> str:
        """The digest of an estimate."""
        return self.under(variant).estimate_digest(held=variant != "free")

    def solver_digest(self, *, held: bool) -> str:
        """The digest of what the method learns, free or under the laws held while learning."""
        fields, method = self.steps["preprocess"].digest, self.method
        given = {name: each.solver_digest(held=held) for name, each in {**self.given, **self.phases}.items()}
        if not isinstance(method, Learner):
            return digest("train", fields, record(method))
        return digest(
            "train", fields, self.places.learned, self._learning(method, held=held), *([given] if given else ())
        )

    def learned_from(self, values: str, *, held: bool) -> str:
        """The digest of a training by the values that it learns from, wherever they come from."""
        assert isinstance(self.method, Learner)
        given = {name: each.learned_from(values, held=held) for name, each in {**self.given, **self.phases}.items()}
        return digest("learned from", values, self._learning(self.method, held=held), *([given] if given else ()))

    @property
    def phases(self) -> dict[str, Plan]:
        """The trainings that come before that of the method, by name: each as a plan of its own."""
        made: dict[str, Plan] = {}
        for each in phases_of(self.method, self.options) if isinstance(self.method, Learner) else ():
            holds = self.learning_holds if each.holds else ()
            given = {name: made[name] for name in each.after}
            learner = self._registered(each)
            made[each.name] = replace(self, method=learner, options=each.options, holds=holds, given=given)
        return made

    def _registered(self, phase: Phase) -> Learner:
        """The learner of a phase, under the name that it is registered by: its folder is read by that."""
        if phase.learner.name in self.names.values():
            return phase.learner
        if type(phase.learner) not in self.names:
            raise OptionError(
                f"the phase {phase.name!r} is learned by {type(phase.learner).__name__}, which no plugin registers",
                allowed="methods by name, so that a folder says what is in it",
                advice=f"register the learner of {phase.name!r} with `register_methods`",
                where="train.method",
            )
        made = phase.learner.model_copy()
        made._name = self.names[type(phase.learner)]
        return made

    def solvers(self, *, held: bool) -> set[str]:
        """The digests of all that is learned, phases included."""
        own = {self.solver_digest(held=held)} if isinstance(self.method, Learner) else set[str]()
        return own.union(*(each.solvers(held=held) for each in self.phases.values()))

    def _learning(self, method: Learner, *, held: bool) -> Any:
        """What a training is besides its data."""
        holds = [hold_record(each) for each in self.learning_holds] if held else []
        resolved = method.resolved(self.options)
        judged = any(isinstance(each, Metric | WholeMetric) for each in components(resolved))
        code = [stage_code(each) for each in ("train", "judge") if each == "train" or judged]
        return [record(method), recorded(resolved), holds, code]

    def estimate_digest(self, *, held: bool) -> str:
        """The digest of the free or the held estimate; the free one is the same under any `constrain`."""
        free = digest("estimate", self.solver_digest(held=False), self.places.scored, stage_code("estimate"))
        return digest(free, self.solver_digest(held=True), [hold_record(each) for each in self.holds]) if held else free

    def stages(self) -> dict[str, list[str]]:
        """The digests of all that a run writes or reads, by the folders of the store."""
        solvers = self.solvers(held=False).union(*(self.under(each).solvers(held=True) for each in self.variants))
        return {
            "ingest": [self.steps["ingest"].digest],
            "preprocess": [self.steps["preprocess"].digest],
            "index": [self.places.digest],
            "train": sorted(solvers),
            "estimate": sorted(set(map(self.estimate_mark, self.versions))),
            "evaluate": [self.steps["evaluate"].digest],
        }

    def resolved(self) -> dict[str, Any]:
        """The recipe with every default, as plain data; without credentials."""

        def named(part: Component) -> dict[str, Any]:
            return {part.name: part.model_dump(mode="json")}

        held = {
            name: [
                {"hold": named(law), "by": named(hold.enforcer), "oracle": hold.oracle}
                for hold in holds
                for law in hold.laws
            ]
            for name, holds in self.variants.items()
        }
        tree = {
            **self.recipe.resolved(),
            "ingest": named(self.dataset),
            "preprocess": [named(each) for each in self.transforms],
            "train": {
                "method": named(self.method),
                **{key: named(each) if isinstance(each, Component) else each for key, each in self.options.items()},
            },
            "constrain": held["held"] if list(held) == ["held"] else held or [],
            "evaluate": [named(each) for each in self.metrics.values()],
            "store": self.store.root,
        }
        return dict(hidden(tree))

    @property
    def learning_holds(self) -> tuple[Hold, ...]:
        return tuple(each for each in self.holds if each.site in ("loss", "operator"))

    @property
    def twins(self) -> bool:
        """Whether the held estimate comes from another training than the free one."""
        return bool(self.learning_holds)

    @property
    def apart(self) -> bool:
        """Whether the held estimate is solved by itself, and does not start from the free one."""
        return self.twins or any(hold.site == "sampling" for hold in self.holds)

    @property
    def versions(self) -> tuple[str, ...]:
        """The estimates that are made: free, each variant, or both."""
        apart = all(self.under(each).apart for each in self.variants)
        return tuple(self.variants) if self.only == "held" and self.variants and apart else ("free", *self.variants)

    def text(self) -> str:
        """What would run, to be read before it is."""
        lines = [f"{self.recipe.name} ({self.recipe.experiment})  store {self.store.root}  on {self.cluster.summary}"]
        for step in self.steps.values():
            state = "broken" if step.broken else "cached" if step.cached else "run"
            state = "-" if step.note in (NOTHING, UNTESTED) else state
            size = f"{human(step.nbytes):>9}" if step.nbytes else f"{'':>9}"
            work = f"{step.tasks} task{'s' * (step.tasks > 1)}, {human(step.peak)} each" if step.tasks else ""
            before = f"  {step.name:<11}{step.digest[:10]}  {state:<7}{size}  {work:<26}"
            lines += [*beside(before, step.gives, indent=13), *(cut(step.note, indent=13) if step.note else ())]
            lines += [f"  {'':<11}{step.broken}"] if step.broken else []
        return masked("\n".join(lines))


def hold_record(hold: Hold) -> Any:
    """What identifies what a hold does."""
    return [[record(law) for law in hold.laws], record(hold.enforcer), hold.oracle]
