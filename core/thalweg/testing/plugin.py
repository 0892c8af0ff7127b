"""`thalweg check NAME`: every part of a plugin, tried on examples that fit it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

from ..components import Component
from ..errors import ContractError, HandshakeError, OptionError, SourceError, ThalwegError
from ..recipes.registry import KINDS, SINGULAR, Registry
from . import components
from .report import Finding, Report, attempt, ensure, finding_text
from .trials import trials

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
    """What the kit finds about one plugin. Raises `UnknownNameError` for one that is not installed."""
    if plugin in registry.failures and plugin not in registry.plugins:
        return Report(plugin, (Finding("plugin", plugin, "is loaded", False, registry.failures[plugin]),))
    module = registry.module(plugin)
    findings = list(attempt("plugin", plugin, (hooks_provide_their_parts,), registry, plugin))
    if isinstance(module, ModuleType):
        findings += attempt("plugin", plugin, (imports_nothing_heavy,), module.__name__)
    findings += _findings(registry, plugin)
    return Report(plugin, tuple(findings))


def hooks_provide_their_parts(registry: Registry, plugin: str) -> None:
    ensure(registry.plugins[plugin], "it implements no hook; mark functions with @hookimpl")
    for kind in KINDS:
        registry.parts(kind)
    ensure(plugin not in registry.failures, registry.failures.get(plugin, ""))


def imports_nothing_heavy(module: str) -> None:
    """A plugin that is installed but not used costs nothing."""
    command = [sys.executable, "-c", _PROBE, module, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ensure(done.returncode == 0, done.stderr.strip().rsplit("\n", 1)[-1])
    seconds, *heavy = done.stdout.split()
    ensure(not heavy, f"importing {module} imports {', '.join(heavy)}; import parts inside the hooks")
    ensure(float(seconds) <= SECONDS, f"importing {module} takes {seconds} s of processor time")


def is_made_from_its_example(registry: Registry, name: str, part: type[Component]) -> None:
    try:
        _example(registry, name, part)
    except ThalwegError as error:
        raise AssertionError(f"{error}\n  do: set `example: ClassVar = {{...}}` to options that work") from None


def _example(registry: Registry, name: str, part: type[Component]) -> Component:
    return registry.build(part, name, part.example, where=name)


def _findings(registry: Registry, plugin: str) -> Iterator[Finding]:
    made: list[tuple[str, Component]] = []
    for kind in KINDS:
        for name, part in registry.parts(kind).items():
            if registry.plugin_of(kind, name) == plugin:
                found = list(attempt(SINGULAR[kind], name, (is_made_from_its_example,), registry, name, part))
                yield from found
                if found[0].ok:
                    made.append((SINGULAR[kind], _example(registry, name, part)))
    parts = [part for _, part in made]
    for kind, each in made:
        yield from attempt(kind, each.name, components.CHECKS, each, registry)
        yield from _of_kind(kind, each, parts)


def _of_kind(kind: str, part: Component, parts: list[Component]) -> Iterator[Finding]:
    """The checks of its kind, on the first trial that it does not refuse."""
    try:
        yield from _tried(kind, part, parts)
    except Exception as error:
        yield Finding(kind, part.name, "takes an example", False, finding_text(error))


def _tried(kind: str, part: Component, parts: list[Component]) -> Iterator[Finding]:
    why = f"nothing of the kit's fits it; call thalweg.testing.check_{kind} with data of your own"
    for trial in trials(part, parts):
        try:
            trial.begin()
        except ContractError as error:
            yield Finding(kind, part.name, "is what it says", False, str(error))
            return
        except (HandshakeError, OptionError, SourceError) as error:
            why = str(error).replace("\n ", ";")
            continue
        except Exception as error:
            # One finding: every check would say the same.
            yield Finding(kind, part.name, "takes an example", False, finding_text(error))
            return
        yield from attempt(kind, part.name, trial.checks, *trial.arguments)
        return
    yield Finding(kind, part.name, "takes an example", None, why)
