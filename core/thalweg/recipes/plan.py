"""Recipe -> Plan: parts made, hands shaken, sizes and digests known, before anything is spent.

A plan opens its source lazily and runs the transforms on it lazily, so what it knows of names, dims, dtypes, units and
sizes is what will be, not what was declared. It reads coordinates, and no field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..boundaries.access import asked
from ..cluster import Cluster, cluster_from
from ..components import Component, Dataset, Demand, Hold, Learner, Method, Metric, Transform, WholeMetric
from ..components.calls import call, planning
from ..components.signature import Signature, shake
from ..credentials import hidden, masked
from ..errors import CorruptError, HandshakeError, SourceError, ThalwegError, TooLargeError
from ..samples import SPLITS, Samples, Split, shared_steps
from ..stores.attempt import FORMAT
from ..stores.blocks import PEAK, blocks, chunks_of, largest_block, same_array
from ..stores.store import Store
from .handshakes import at, shake_hands
from .limits import check_place, check_space, check_task, demand_of, human
from .lines import beside, cut
from .parts import held_laws, labelled_metrics, train_options
from .provenance import digest, record, stage_code
from .recipe import Recipe
from .registry import Registry

if TYPE_CHECKING:
    import xarray as xr

NOTHING = "nothing to learn"
WHOLE = 2 * 2**30
"""Bytes of estimate and truth up to which a metric that needs all of them at once is computed."""
BATCH = 64 * 2**20
"""Bytes of inputs and truth that one task of `constrain` or `evaluate` reads."""


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
    batch: int = 1
    """Samples that one task of `constrain` or `evaluate` takes."""
    source_record: str = ""
    """Digest of the dataset's options, whatever the state of its source."""
    cites: tuple[str, ...] = ()
    only: str = ""

    @property
    def digest(self) -> str:
        """The run's digest."""
        return digest(self.steps["evaluate"].digest, self.recipe.name, self.recipe.experiment)

    def solver_digest(self, *, held: bool) -> str:
        """The digest of what the method learns, free or under the laws held while learning."""
        learner = isinstance(self.method, Learner)
        holds = [_record(each) for each in self.learning_holds] if held else []
        options = {key: record(each) if isinstance(each, Component) else each for key, each in self.options.items()}
        judged = learner and (options.get("judge") or getattr(self.method, "defaults", {}).get("judge"))
        code = [stage_code(each) for each in ("train", "judge") if learner and (each == "train" or judged)]
        return digest("train", self.steps["preprocess"].digest, record(self.method), options, holds, code)

    def estimate_digest(self, *, held: bool) -> str:
        """The digest of the free or the held estimate; the free one is the same under any `constrain`."""
        free = digest("estimate", self.solver_digest(held=False), stage_code("estimate"))
        return digest(free, self.solver_digest(held=True), [_record(each) for each in self.holds]) if held else free

    def stages(self) -> dict[str, list[str]]:
        """The digests of all that a run writes or reads, by the folders of the store."""
        learner = isinstance(self.method, Learner)
        solvers = {self.solver_digest(held=held) for held in (False, self.twins)} if learner else set()
        return {
            "ingest": [self.steps["ingest"].digest],
            "preprocess": [self.steps["preprocess"].digest],
            "train": sorted(solvers),
            "estimate": sorted({self.estimate_digest(held=version == "held") for version in self.versions}),
            "evaluate": [self.steps["evaluate"].digest],
        }

    def resolved(self) -> dict[str, Any]:
        """The recipe with every default, as plain data; without credentials."""

        def named(part: Component) -> dict[str, Any]:
            return {part.name: part.model_dump(mode="json")}

        tree = {
            **self.recipe.resolved(),
            "ingest": named(self.dataset),
            "preprocess": [named(each) for each in self.transforms],
            "train": {
                "method": named(self.method),
                **{key: named(each) if isinstance(each, Component) else each for key, each in self.options.items()},
            },
            "constrain": [
                {"hold": named(law), "by": named(hold.enforcer), "oracle": hold.oracle}
                for hold in self.holds
                for law in hold.laws
            ],
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
    def versions(self) -> tuple[str, ...]:
        """The estimates that are made: free, held, or both."""
        if not self.holds:
            return ("free",)
        apart = self.twins or any(hold.site == "sampling" for hold in self.holds)
        return ("held",) if self.only == "held" and apart else ("free", "held")

    def text(self) -> str:
        """What would run, to be read before it is."""
        lines = [f"{self.recipe.name} ({self.recipe.experiment})  store {self.store.root}  on {self.cluster.summary}"]
        for step in self.steps.values():
            state = "broken" if step.broken else "cached" if step.cached else "run"
            state = "-" if step.note == NOTHING else state
            size = f"{human(step.nbytes):>9}" if step.nbytes else f"{'':>9}"
            work = f"{step.tasks} tasks, {human(step.peak)} each" if step.tasks else ""
            before = f"  {step.name:<11}{step.digest[:10]}  {state:<7}{size}  {work:<26}"
            lines += [*beside(before, step.gives, indent=13), *(cut(step.note, indent=13) if step.note else ())]
            lines += [f"  {'':<11}{step.broken}"] if step.broken else []
        return masked("\n".join(lines))


def plans(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    registry: Registry | None = None,
    store: str | None = None,
    cluster: Any = None,
    only: str = "",
) -> list[Plan]:
    """The plans of a recipe, one per method. Raises `RecipeError`; nothing is started.

    `only="free"` leaves out the laws, `only="held"` the free twin of a method that learns under a law.
    """
    registry = registry or Registry.installed()
    recipe = Recipe.load(path, overrides=overrides)
    if only == "free":
        recipe = recipe.model_copy(update={"constrain": ()})
    if cluster is not None:
        recipe = recipe.model_copy(update={"cluster": cluster})
    try:
        with planning():
            return plans_of(recipe, registry, store=store, only=only)
    except ThalwegError as error:
        raise error.at("", file=recipe.file) from None


def plans_of(recipe: Recipe, registry: Registry, *, store: str | None = None, only: str = "") -> list[Plan]:
    """The plans of a parsed recipe, one per method."""
    place = check_place(store or recipe.store or "thalweg-store")
    dataset = cast(Dataset, registry.make("datasets", recipe.ingest, where="ingest"))
    transforms = tuple(
        cast(Transform, registry.make("transforms", each, where=f"preprocess[{i}]"))
        for i, each in enumerate(recipe.preprocess)
    )
    each = list(recipe.each_method())
    methods = [cast(Method, registry.make("methods", one.train["method"], where="train.method")) for one in each]
    options = train_options(recipe, registry, methods)
    holds = held_laws(recipe, registry)
    metrics = labelled_metrics(recipe, registry)
    cluster = cluster_from(recipe.cluster)
    ground = _ground(dataset, transforms, cluster=cluster, store=place)
    made = []
    for one, method, own in zip(each, methods, options, strict=True):
        plan = Plan(one, place, cluster, dataset, transforms, method, own, holds, metrics, only=only)
        made.append(_complete(plan, ground))
    return made


@dataclass(frozen=True)
class _Ground:
    """What the plans of one recipe share: the lazy data and the first two stages."""

    data: xr.Dataset
    steps: Mapping[str, Step]
    source_record: str


def _ground(dataset: Dataset, transforms: tuple[Transform, ...], *, cluster: Cluster, store: Store) -> _Ground:
    source = record(dataset)
    mark = digest("ingest", FORMAT, stage_code("ingest"), source, _asked(dataset, dataset.fingerprint))
    data = raw = cast("xr.Dataset", _asked(dataset, dataset.open))
    given = Signature.of(data)
    if not given.fields:
        raise SourceError(f"{dataset.name} gives no variables", advice="declare `variables`", where="ingest")
    older = [each for each in store.others("ingest", digest(source)) if each["digest"] != mark]
    cached, broken = _known(store, "ingest", mark)
    note = f"the source changed since {older[-1]['created']}: it is read anew" if older and not cached else ""
    ingest = replace(_sized("ingest", mark, raw, cached=cached, note=note), broken=broken)
    giver = dataset.name
    for i, transform in enumerate(transforms):
        given = Signature.of(data)
        data = at(f"preprocess[{i}].{transform.name}", _transformed, transform, data, given, giver)
        giver = transform.name
    own = data.drop_vars([name for name, array in data.data_vars.items() if same_array(array, raw.get(name))])
    mark = digest("preprocess", mark, stage_code("preprocess"), [record(each) for each in transforms])
    cached, broken = _known(store, "preprocess", mark)
    preprocess = _sized("preprocess", mark, own, cached=cached, note="")
    preprocess = replace(
        preprocess,
        broken=broken,
        gives=str(Signature.of(data.drop_vars([v for v in data.data_vars if "window" in data[v].dims]))),
    )
    for step in (ingest, preprocess):
        if not step.cached:
            check_task(step.name, step.peak, cluster)
    check_space(store, sum(step.nbytes for step in (ingest, preprocess) if not step.cached))
    return _Ground(data, {"ingest": ingest, "preprocess": preprocess}, digest(source))


def _known(store: Store, stage: str, *marks: str) -> tuple[bool, str]:
    """Whether all of these are committed and sound, and what is wrong with one that is not."""
    found, wrong = [], []
    for mark in dict.fromkeys(marks):
        try:
            found.append(store.find(stage, mark) is not None)
        except CorruptError as error:
            wrong.append(f"{error.given}; {error.advice}")
    return not wrong and all(found), "; ".join(wrong)


def _asked(dataset: Dataset, method: Callable[[], Any]) -> Any:
    return at(f"ingest.{dataset.name}", lambda: call(dataset, asked, method, dataset.name, kind=SourceError))


def _transformed(transform: Transform, data: xr.Dataset, given: Signature, giver: str) -> xr.Dataset:
    shake(given, transform.needs(), giver=giver, taker=transform.name)
    call(transform, transform.check, given)
    return call(transform, transform.apply, data, call(transform, transform.statistics, data))


def _complete(plan: Plan, ground: _Ground) -> Plan:
    data = ground.data
    test = Samples.of(data, "test")
    wanted, given = test.wanted, test.given
    learner = isinstance(plan.method, Learner)
    if learner and (test.index.label is None or not len(Samples.of(data, "train"))):
        raise HandshakeError(
            f"{plan.method.name} learns, but nothing is set apart to learn from",
            allowed="data with a `train` split that the test split does not overlap",
            advice="add `split: {train: ..., test: ...}` to preprocess",
            where="preprocess",
        )
    pairs: tuple[tuple[Split, Split], ...] = (("train", "test"), ("train", "validate"), ("validate", "test"))
    for first, second in pairs:
        shared = shared_steps(data, first, second)
        if shared:
            raise HandshakeError(
                f"{first} and {second} share {shared} steps",
                allowed="windows that lie inside one period each",
                advice="separate the periods in `split`",
                where="preprocess",
            )
    gives = at(f"train.method.{plan.method.name}", plan.method.gives, given, wanted)
    shake_hands(plan.method, plan.holds, plan.metrics, given=given, gives=gives)
    if isinstance(plan.method, Learner):
        at(f"train.method.{plan.method.name}", plan.method.check_samples, Samples.of(data, "train"))
    whole = [label for label, metric in plan.metrics.items() if isinstance(metric, WholeMetric)]
    if whole and gives.nbytes() + wanted.nbytes() > WHOLE:
        raise TooLargeError(
            f"{', '.join(whole)} would hold {human(gives.nbytes() + wanted.nbytes())} at once",
            allowed=f"up to {human(WHOLE)}",
            advice="score a shorter test period, or use a metric of means",
            where="evaluate",
        )
    plan = replace(plan, steps=ground.steps)
    trained, broken = _known(plan.store, "train", plan.solver_digest(held=False)) if learner else (True, "")
    note = "" if learner else NOTHING
    if plan.twins:
        held = plan.solver_digest(held=True)
        there, wrong = _known(plan.store, "train", held)
        broken = "; ".join(each for each in (broken if "free" in plan.versions else "", wrong) if each)
        under = ", ".join(law.name for hold in plan.learning_holds for law in hold.laws)
        note = f"and a twin under {under} ({held[:10]}{', cached' if there else ''})"
        trained = there and (trained or "free" not in plan.versions)
    counts = ", ".join(f"{len(Samples.of(data, split))} {split}" for split in SPLITS)
    demand = Demand()
    if isinstance(plan.method, Learner) and not trained:
        demand = demand_of(plan.method, plan.options, plan.cluster, given=given, wanted=wanted)
    mark = digest(plan.solver_digest(held=False), plan.solver_digest(held=True))
    train = Step(
        "train",
        mark,
        f"{plan.method.name} on {counts} samples",
        tasks=demand.workers if demand.memory else 0,
        peak=demand.memory,
        cached=trained,
        note=note,
        broken=broken,
    )
    one = max(_one(gives), _one(wanted)) + _one(given)
    batch = max(1, min(len(test), BATCH // max(1, one)))
    tasks = -(-len(test) // batch)
    kept = plan.estimate_digest(held=bool(plan.holds))
    there, broken = _known(
        plan.store, "estimate", *(plan.estimate_digest(held=version == "held") for version in plan.versions)
    )
    laws = "; ".join(f"{'+'.join(law.name for law in h.laws)} by {h.enforcer.name} ({h.site})" for h in plan.holds)
    copies = len(plan.versions)
    peak = PEAK * batch * one
    constrain = Step(
        "constrain", kept, str(gives), copies * gives.nbytes(), tasks, peak, there, laws or "no law is held", broken
    )
    scored_by = {name: record(each) for name, each in plan.metrics.items()}
    mark = digest("evaluate", kept, plan.versions, scored_by, stage_code("evaluate"))
    scored, broken = _known(plan.store, "evaluate", mark)
    evaluate = Step("evaluate", mark, ", ".join(plan.metrics), 0, tasks, (1 + copies) * peak, scored, broken=broken)
    steps = {**ground.steps, **{step.name: step for step in (train, constrain, evaluate)}}
    for name in ("constrain", "evaluate"):
        if not steps[name].cached:
            check_task(name, steps[name].peak, plan.cluster)
    check_space(plan.store, sum(step.nbytes for step in steps.values() if not step.cached))
    parts: list[Component] = [plan.dataset, *plan.transforms, plan.method, *plan.metrics.values()]
    parts += [part for hold in plan.holds for part in (*hold.laws, hold.enforcer)]
    cites = tuple(dict.fromkeys(doi for part in parts for doi in type(part).cite.split()))
    return replace(plan, steps=steps, batch=batch, source_record=ground.source_record, cites=cites)


def _one(signature: Signature) -> int:
    """Bytes of one sample."""
    return signature.nbytes(dims=set(signature.sizes) - {"sample"})


def _record(hold: Hold) -> Any:
    return [[record(law) for law in hold.laws], record(hold.enforcer), hold.oracle]


def _sized(name: str, mark: str, data: xr.Dataset, *, cached: bool, note: str) -> Step:
    large = chunks_of(data)
    nbytes = sum(prod(data[each].shape) * data[each].dtype.itemsize for each in large)
    chunks = "; ".join(f"{each} in chunks of {'x'.join(map(str, size))}" for each, size in large.items())
    return Step(
        name,
        mark,
        str(Signature.of(data)),
        nbytes,
        sum(1 for _ in blocks(data)),
        PEAK * largest_block(data),
        cached,
        "; ".join(each for each in (chunks, note) if each),
    )
