"""What the parts of a plugin can be tried on: the kit's scenes, then the plugin's own datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import xarray as xr

from ..components import (
    Component,
    Dataset,
    Enforcer,
    Law,
    Loss,
    LossEnforcer,
    Method,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    SamplingEnforcer,
    Transform,
    WholeMetric,
)
from ..components.signature import Signature, shake
from ..errors import ThalwegError
from ..results.scoring import score
from ..samples import Samples
from . import datasets, enforcers, laws, losses, methods, metrics, operators, penalties, pieces, samplers, transforms
from .report import Check
from .scenes import guess, scenes, series, windowed

FEW = slice(0, 6)


@dataclass(frozen=True)
class Trial:
    """Checks, and what they are called with; `begin` does the least that shows whether the part takes it."""

    checks: Sequence[Check]
    arguments: tuple[Any, ...]
    begin: Callable[[], object]


def trials(part: Component, parts: Sequence[Component]) -> Iterator[Trial]:
    """Trials of a part that its `needs` and `check` do not rule out; `parts` are all those of its plugin."""
    match part:
        case Dataset():
            yield Trial(datasets.CHECKS, (part,), part.open)
        case Transform():
            yield from _transform_trials(part, parts)
        case Method():
            for data in _examples(part, parts):
                method_case = methods.Case(part, data)
                yield Trial((*methods.CHECKS, *pieces.CHECKS), (method_case,), method_case.estimate)
        case Law():
            for data in _examples(part, parts):
                law_case = laws.Case(part, data)
                yield Trial(laws.CHECKS, (law_case,), law_case.residual)
        case Enforcer():
            for data, chosen in _laws(part, parts):
                yield from _enforcer_trials(part, chosen, data)
        case Loss():
            yield Trial(losses.CHECKS, (part,), lambda: None)
        case Metric() | WholeMetric():
            for estimate, truth in _estimates(part, parts):
                yield Trial(metrics.CHECKS, (part, estimate, truth), partial(score, part, estimate, truth))


def _transform_trials(part: Transform, parts: Sequence[Component]) -> Iterator[Trial]:
    for data in (series(part.needs()), *scenes(part.needs()), *_sampled_datasets(parts)):
        if _takes(part, Signature.of(data)):
            yield Trial(transforms.CHECKS, (part, data), partial(part.statistics, data))


def _enforcer_trials(part: Enforcer, chosen: tuple[Law, ...], data: xr.Dataset) -> Iterator[Trial]:
    """Trials of an enforcer with laws, at its site."""
    match part:
        case OutputEnforcer():
            output_case = enforcers.Case(part, chosen, data)
            yield Trial(enforcers.CHECKS, (output_case,), partial(output_case.hold, chosen))
        case LossEnforcer():
            penalty_case = penalties.Case(part, chosen[0], data)
            yield Trial(penalties.CHECKS, (penalty_case,), partial(penalty_case.penalty, penalty_case.estimate()))
        case OperatorEnforcer():
            operator_case = operators.Case(part, chosen[0], data)
            yield Trial(operators.CHECKS, (operator_case,), partial(operator_case.estimate, 0))
        case SamplingEnforcer():
            sampler_case = samplers.Case(part, chosen, data)
            yield Trial(samplers.CHECKS, (sampler_case,), partial(sampler_case.steering, chosen))


def _examples(part: Component, parts: Sequence[Component]) -> Iterator[xr.Dataset]:
    for data in (*scenes(part.needs()), *_sampled_datasets(parts)):
        if _takes(part, Samples.of(data, "test").given):
            yield data


def _sampled_datasets(parts: Sequence[Component]) -> Iterator[xr.Dataset]:
    """The plugin's datasets that come as samples."""
    for dataset in parts:
        if isinstance(dataset, Dataset):
            try:
                data = dataset.open()
                samples = Samples.of(data, "test")
            except Exception:
                continue  # Its own checks say so.
            if len(samples):
                yield data


def _laws(part: Enforcer, parts: Sequence[Component]) -> Iterator[tuple[xr.Dataset, tuple[Law, ...]]]:
    own = tuple(law for law in parts if isinstance(law, Law) and isinstance(law, part.takes))
    for chosen in (enforcers.laws_for(part), *((law,) for law in own)):
        if chosen:
            needs = {field.name: field for law in chosen for field in law.needs().fields}
            sizes = samplers.SIZES if isinstance(part, SamplingEnforcer) else {}
            data = windowed(series(Signature(tuple(needs.values()))), **sizes)
            if all(_takes(law, Samples.of(data, "test").given) for law in chosen):
                yield data, chosen


def _estimates(part: Component, parts: Sequence[Component]) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    for data in (*scenes(part.needs()), *_sampled_datasets(parts)):
        samples = Samples.of(data, "test")
        truth, estimate = samples.truth(FEW), guess(samples, FEW)
        members = xr.concat([estimate + 0.05 * i for i in range(4)], "member").transpose(..., "member")
        spread = {f"{name}_variance": abs(each) * 0.01 + 1e-3 for name, each in estimate.data_vars.items()}
        if _takes(part, Signature.of(truth)):
            yield from ((given, truth) for given in (estimate, members, estimate.assign(spread)))


def _takes(part: Component, given: Signature) -> bool:
    try:
        shake(given, part.needs(), giver="the example", taker=part.name)
        part.check(given)
    except ThalwegError:
        return False
    return True
