"""The steps of a plan: of each stage its digest, whether it is committed, its tasks, bytes and memory.

`complete` makes those of the last three stages, each by a function of its own, and refuses what cannot be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from ..components import Component, Demand, Learner, WholeMetric
from ..components.signature import Signature
from ..errors import CorruptError, HandshakeError, TooLargeError
from ..samples import SPLITS, Samples, Split, shared_steps
from ..samples.kinds import fields_of
from ..samples.written import stored
from ..stores.blocks import PEAK, blocks, chunks_of, largest_block
from ..stores.store import Store
from .handshakes import at, shake_hands
from .limits import check_space, check_task, demand_of, human
from .plan import NOTHING, UNTESTED, Plan, Step
from .provenance import digest, record, stage_code
from .rehearsal import rehearse

if TYPE_CHECKING:
    import xarray as xr

WHOLE = 2 * 2**30
"""Bytes of estimate and truth up to which a metric that needs all of them at once is computed."""
BATCH = 64 * 2**20
"""Bytes of inputs and truth that one task of `constrain` or `evaluate` reads."""


def complete(plan: Plan, data: xr.Dataset, *, first: Mapping[str, Step], source_record: str) -> Plan:
    """A plan with the steps of all stages; `first` are those of ingest and preprocess, `data` what they give.

    Raises `RecipeError` for parts that do not fit each other, and for what there is no room for.
    """
    test = Samples.of(data, "test")
    shown = _shown(plan, data, test)
    wanted, given = shown.wanted, shown.given
    _splits_are_apart(plan, data, test)
    gives = at(f"train.method.{plan.method.name}", plan.method.gives, given, wanted)
    shake_hands(plan.method, plan.variants, plan.metrics, given=given, gives=gives, truth=wanted)
    if isinstance(plan.method, Learner):
        at(f"train.method.{plan.method.name}", plan.method.check_samples, Samples.of(data, "train"))
    _whole_metrics_fit(plan, _all(gives, test) + _all(wanted, test))
    one = max(_one(gives), _one(wanted)) + _one(given)
    tested = len(test) > 0
    plan = replace(plan, steps=first, batch=max(1, min(len(test), BATCH // max(1, one))), tested=tested)
    train = _train(plan, data, given=given, wanted=wanted)
    rehearse(plan, shown, gives=gives, learned=_learned(plan))
    constrain = _constrain(plan, gives, test, peak=PEAK * plan.batch * one)
    later = [constrain, _evaluate(plan, constrain)]
    if not tested:
        later = [Step(each.name, each.digest, "", note=UNTESTED) for each in later]
    steps = {**first, **{step.name: step for step in (train, *later)}}
    for name in ("constrain", "evaluate"):
        if not steps[name].cached:
            check_task(name, steps[name].peak, plan.cluster)
    check_space(plan.store, sum(step.nbytes for step in steps.values() if not step.cached))
    return replace(plan, steps=steps, source_record=source_record, cites=_cites(plan))


def _shown(plan: Plan, data: xr.Dataset, test: Samples) -> Samples:
    """Samples that say what the method is given: those of test, or those learned from in a recipe that scores nothing.

    Raises `HandshakeError` where there is something to score, and no test.
    """
    train = Samples.of(data, "train")
    if len(test) or not isinstance(plan.method, Learner) or not len(train):
        return test
    if plan.metrics or any(hold.oracle for hold in plan.holds):
        raise HandshakeError(
            f"{next(iter(plan.metrics), 'a law that looks at the truth')} has nothing to score: `split` gives no test",
            allowed="a test period, or a recipe without `evaluate`, for a method that only forecasts",
            advice="add `test` to `split`, or leave out `evaluate`",
            where="evaluate",
        )
    return train


def _splits_are_apart(plan: Plan, data: xr.Dataset, test: Samples) -> None:
    """Raise `HandshakeError` where a learner has nothing to learn from, or where two splits share steps."""
    learner = isinstance(plan.method, Learner)
    if learner and (test.index.label is None or not len(Samples.of(data, "train"))):
        raise HandshakeError(
            f"{plan.method.name} learns, but nothing is set apart to learn from",
            allowed="data with a `train` split that the test split does not overlap",
            advice="add `split: {train: ..., test: ...}` to preprocess",
            where="preprocess",
        )
    pairs: tuple[tuple[Split, Split], ...] = (("train", "test"), ("train", "validate"), ("validate", "test"))
    for one, other in pairs:
        shared = shared_steps(data, one, other)
        if shared:
            raise HandshakeError(
                f"{one} and {other} share {shared} steps",
                allowed="windows that lie inside one period each",
                advice="separate the periods in `split`",
                where="preprocess",
            )


def _whole_metrics_fit(plan: Plan, nbytes: int) -> None:
    """Raise `TooLargeError` where a metric that needs all data at once would be given too many."""
    whole = [label for label, metric in plan.metrics.items() if isinstance(metric, WholeMetric)]
    if whole and nbytes > WHOLE:
        raise TooLargeError(
            f"{', '.join(whole)} would hold {human(nbytes)} at once",
            allowed=f"up to {human(WHOLE)}",
            advice="score a shorter test period, or use a metric of means",
            where="evaluate",
        )


def _train(plan: Plan, data: xr.Dataset, *, given: Signature, wanted: Signature) -> Step:
    learner = isinstance(plan.method, Learner)
    if isinstance(plan.method, Learner):
        at("train", plan.method.resolved, plan.options)
    trained, broken = known(plan.store, "train", plan.solver_digest(held=False)) if learner else (True, "")
    note = "" if learner else NOTHING
    twins = [view for view in map(plan.under, plan.variants) if view.twins]
    if twins:
        there, wrong, notes = zip(*map(_twin, twins), strict=True)
        broken = "; ".join(each for each in (broken if "free" in plan.versions else "", *wrong) if each)
        note = "and " + ", ".join(dict.fromkeys(notes))
        trained = all(there) and (trained or "free" not in plan.versions)
    if phases := plan.phases:
        cached = sum(known(plan.store, "train", each.solver_digest(held=False))[0] for each in phases.values())
        note = "; ".join(filter(None, [f"after {', '.join(phases)} ({cached} of {len(phases)} cached)", note]))
    counts = ", ".join(f"{len(Samples.of(data, split))} {split}" for split in SPLITS)
    demand = Demand()
    if isinstance(plan.method, Learner) and not trained:
        demand = demand_of(plan.method, plan.options, plan.cluster, given=given, wanted=wanted)
    return Step(
        "train",
        plan.under(plan.versions[0]).solver_digest(held=True),
        f"{plan.method.name} on {counts} samples",
        tasks=demand.workers if demand.memory else 0,
        peak=demand.memory,
        cached=trained,
        note=note,
        broken=broken,
    )


def _learned(plan: Plan) -> set[str]:
    """The variants that learn under their laws and have learned."""
    views = {name: plan.under(name) for name in plan.variants if plan.under(name).learning_holds}
    return {name for name, view in views.items() if known(view.store, "train", view.solver_digest(held=True))[0]}


def _twin(view: Plan) -> tuple[bool, str, str]:
    """Whether the solver of a variant is there, what is wrong with it, and what to say of it."""
    held = view.solver_digest(held=True)
    there, wrong = known(view.store, "train", held)
    under = ", ".join(law.name for hold in view.learning_holds for law in hold.laws)
    return there, wrong, f"a twin under {under} ({held[:10]}{', cached' if there else ''})"


def _constrain(plan: Plan, gives: Signature, test: Samples, *, peak: int) -> Step:
    marks = [plan.estimate_mark(version) for version in plan.versions]
    there, broken = known(plan.store, "estimate", *marks)
    laws = "; ".join(
        f"{'' if len(plan.variants) == 1 else f'{name}: '}{'+'.join(law.name for law in h.laws)} by {h.enforcer.name} "
        f"({h.site})"
        for name, holds in plan.variants.items()
        for h in holds
    )
    return Step(
        "constrain",
        marks[-1] if len(plan.variants) < 2 else digest(*marks),
        str(gives),
        len(plan.versions) * replace(gives, sizes={**gives.sizes, **stored(test, batch=plan.batch)}).nbytes(),
        -(-len(test) // plan.batch),
        peak,
        there,
        laws or "no law is held",
        broken,
    )


def _evaluate(plan: Plan, constrain: Step) -> Step:
    scored_by = {name: record(each) for name, each in plan.metrics.items()}
    mark = digest("evaluate", constrain.digest, plan.versions, scored_by, stage_code("evaluate"))
    scored, broken = known(plan.store, "evaluate", mark)
    peak = (1 + len(plan.versions)) * constrain.peak
    return Step("evaluate", mark, ", ".join(plan.metrics), 0, constrain.tasks, peak, scored, broken=broken)


def _cites(plan: Plan) -> tuple[str, ...]:
    """The DOIs of all parts, each once."""
    parts: list[Component] = [plan.dataset, *plan.transforms, plan.method, *plan.metrics.values()]
    parts += [part for hold in plan.holds for part in (*hold.laws, hold.enforcer)]
    return tuple(dict.fromkeys(doi for part in parts for doi in type(part).cite.split()))


def _all(signature: Signature, samples: Samples) -> int:
    """Bytes of all these samples: of ragged dims as many elements as they have."""
    return replace(signature, sizes={**signature.sizes, **samples.sizes(slice(None))}).nbytes()


def _one(signature: Signature) -> int:
    """Bytes of one sample."""
    return signature.nbytes(dims=set(signature.sizes) - {"sample"})


def known(store: Store, stage: str, *marks: str) -> tuple[bool, str]:
    """Whether all of these are committed and sound, and what is wrong with one that is not."""
    found, wrong = [], []
    for mark in dict.fromkeys(marks):
        try:
            found.append(store.find(stage, mark) is not None)
        except CorruptError as error:
            wrong.append(f"{error.given}; {error.advice}")
    return not wrong and all(found), "; ".join(wrong)


def sized(name: str, mark: str, data: xr.Dataset, *, cached: bool, note: str) -> Step:
    """The step of a stage that writes the large variables of `data`."""
    large = chunks_of(data)
    nbytes = sum(prod(data[each].shape) * data[each].dtype.itemsize for each in large)
    chunks = "; ".join(f"{each} in chunks of {'x'.join(map(str, size))}" for each, size in large.items())
    return Step(
        name,
        mark,
        str(Signature.of(fields_of(data))),
        nbytes,
        sum(1 for _ in blocks(data)),
        PEAK * largest_block(data),
        cached,
        "; ".join(each for each in (chunks, note) if each),
    )
