"""`thalweg check NAME`: every part of a plugin, tried on examples that fit it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import xarray as xr

from ..components import (
    Component,
    Dataset,
    Enforcer,
    Law,
    Loss,
    Method,
    Metric,
    OutputEnforcer,
    Transform,
    WholeMetric,
)
from ..errors import NameTakenError, ThalwegError
from ..plugins import KINDS, SINGULAR, Registry
from ..samples import Samples
from ..signature import Signature, shake
from . import components, datasets, enforcers, laws, losses, methods, transforms
from .metrics import check_metric
from .report import Finding, Report, attempt, ensure
from .scenes import guess, scenes, series, windowed

HEAVY = ("dask", "numpy", "torch", "xarray")
"""What a plugin must not import before its hooks are called."""

SECONDS = 2.0
"""Processor time that importing a plugin's module may take, over that of thalweg."""

_PROBE = """
import sys, time
import thalweg
before, start = set(sys.modules), time.process_time()
__import__(sys.argv[1])
print(time.process_time() - start, *(each for each in sys.argv[2:] if each in sys.modules))
"""


def check(registry: Registry, plugin: str) -> Report:
    """What the kit finds about one plugin. Raises `UnknownNameError` for one that is not installed, or not loaded."""
    module = registry.module(plugin)
    findings = list(attempt("plugin", plugin, (hooks_provide_their_parts,), registry, plugin))
    if isinstance(module, ModuleType):
        findings += attempt("plugin", plugin, (imports_nothing_heavy,), module.__name__)
    if all(each.ok for each in findings[:1]):
        findings += _Kit(registry, plugin).findings()
    return Report(plugin, tuple(findings))


def hooks_provide_their_parts(registry: Registry, plugin: str) -> None:
    ensure(registry.plugins[plugin], "it implements no hook; mark functions with @hookimpl")
    try:
        for kind in KINDS:
            registry.parts(kind)
    except NameTakenError as error:
        raise AssertionError(str(error)) from None
    ensure(plugin not in registry.failures, registry.failures.get(plugin, ""))


def imports_nothing_heavy(module: str) -> None:
    """A plugin that is installed but not used costs nothing."""
    command = [sys.executable, "-c", _PROBE, module, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ensure(done.returncode == 0, done.stderr.strip().rsplit("\n", 1)[-1])
    seconds, *heavy = done.stdout.split()
    ensure(not heavy, f"importing {module} imports {', '.join(heavy)}; import parts inside the hooks")
    ensure(float(seconds) <= SECONDS, f"importing {module} takes {seconds} s of processor time")


class _Kit:
    """One check of one plugin: its parts, and what they can be tried on."""

    def __init__(self, registry: Registry, plugin: str) -> None:
        self._registry = registry
        self._classes = [
            (kind, name, part)
            for kind in KINDS
            for name, part in registry.parts(kind).items()
            if registry.plugin_of(kind, name) == plugin
        ]
        self._made: dict[tuple[str, str], Component] = {}

    def findings(self) -> Iterator[Finding]:
        for kind, name, part in self._classes:
            found = list(attempt(SINGULAR[kind], name, (self.is_made_from_its_example,), kind, name, part))
            yield from found
            if found[0].ok:
                made = self._made[kind, name]
                yield from attempt(SINGULAR[kind], name, components.CHECKS, made, self._registry)
                yield from self._of_kind(made)

    def is_made_from_its_example(self, kind: str, name: str, part: type[Component]) -> None:
        try:
            self._made[kind, name] = self._registry.build(part, name, part.example, where=name)
        except ThalwegError as error:
            raise AssertionError(f"{error}\n  do: set `example: ClassVar = {{...}}` to options that work") from None

    def _of_kind(self, part: Component) -> Iterator[Finding]:
        match part:
            case Dataset():
                yield from attempt("dataset", part.name, datasets.CHECKS, part)
            case Transform():
                yield from self._tried("transform", part, transforms.CHECKS, transforms_on(part))
            case Method():
                fitting = (methods.Case(part, data) for data in self._examples(part))
                yield from self._tried("method", part, methods.CHECKS, ((case,) for case in fitting))
            case Law():
                cases = (laws.Case(part, data) for data in self._examples(part))
                yield from self._tried("law", part, laws.CHECKS, ((case,) for case in cases))
            case OutputEnforcer():
                yield from self._tried("enforcer", part, enforcers.CHECKS, self._enforcer_cases(part))
            case Enforcer():
                yield Finding(
                    "enforcer", part.name, "holds its laws", None, f"a network has to be made for the {part.site} site"
                )
            case Loss():
                yield from attempt("loss", part.name, losses.CHECKS, part)
            case Metric() | WholeMetric():
                yield from self._tried("metric", part, (is_a_measure,), self._metric_cases(part))

    def _tried(
        self, kind: str, part: Component, checks: Iterable[Any], cases: Iterator[tuple[Any, ...]]
    ) -> Iterator[Finding]:
        try:
            case = next(cases, None)
        except Exception as error:
            yield Finding(kind, part.name, "takes an example", False, f"{type(error).__name__}: {error}")
            return
        if case is None:
            advice = f"call thalweg.testing.check_{kind} with data of its own, or provide a dataset that fits"
            yield Finding(kind, part.name, "takes an example", None, f"none of the kit's fits it; {advice}")
            return
        yield from attempt(kind, part.name, checks, *case)

    def _examples(self, part: Component) -> Iterator[xr.Dataset]:
        """Data cut into samples that a part does not refuse: the kit's, then those of the plugin's own datasets."""
        for data in (*scenes(part.needs()), *self._own_data()):
            if not _refusal(part, Samples.of(data, "test").given):
                yield data

    def _own_data(self) -> Iterator[xr.Dataset]:
        for kind, name, part in self._classes:
            if kind == "datasets":
                try:
                    made = self._registry.build(part, name, part.example, where=name)
                    assert isinstance(made, Dataset)
                    data = made.open()
                    Samples.of(data, "test").given  # noqa: B018
                except ThalwegError:
                    continue
                yield data

    def _enforcer_cases(self, part: OutputEnforcer) -> Iterator[tuple[enforcers.Case]]:
        offered = tuple(made for made in self._made.values() if isinstance(made, Law))
        for chosen in (enforcers.laws_for(part, ()), *((law,) for law in enforcers.laws_for(part, offered))):
            if chosen:
                needs = {field.name: field for law in chosen for field in law.needs().fields}
                data = windowed(series(Signature(tuple(needs.values()))))
                if not any(_refusal(law, Samples.of(data, "test").given) for law in chosen):
                    yield (enforcers.Case(part, chosen, data),)

    def _metric_cases(self, part: Metric | WholeMetric) -> Iterator[tuple[Any, ...]]:
        for data in self._examples(part):
            samples = Samples.of(data, "test")
            truth, estimate = samples.truth(slice(None)), guess(samples, slice(None))
            members = xr.concat([estimate + 0.05 * i for i in range(4)], "member").transpose(..., "member")
            spread = {f"{name}_variance": abs(each) * 0.01 + 1e-3 for name, each in estimate.data_vars.items()}
            for given in (estimate, members, estimate.assign(spread)):
                if not _refusal(part, Signature.of(given)):
                    yield part, given, truth


def is_a_measure(metric: Metric | WholeMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    check_metric(metric, estimate, truth)


def transforms_on(part: Transform) -> Iterator[tuple[Transform, xr.Dataset]]:
    """The kit's series, whole and cut into samples, that a transform does not refuse."""
    for data in (series(part.needs()), *scenes(part.needs())):
        if not _refusal(part, Signature.of(data)):
            yield part, data


def _refusal(part: Component, given: Signature) -> str:
    try:
        shake(given, part.needs(), giver="the example", taker=part.name)
        part.check(given)
    except ThalwegError as error:
        return str(error)
    return ""
