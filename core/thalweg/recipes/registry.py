"""Finding plugins, and the `Registry`: the parts that they provide, by kind and name.

The plugins of thalweg itself are found as any other's: by the entry-point group `thalweg`, entry name = plugin name,
value = module. `THALWEG_PLUGINS=a,b` loads only those. A plugin that fails, or registers a name that is taken, never
breaks the others; it is named when a lookup misses.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import Annotated, Any, TypeVar, get_args

import pluggy
from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

from ..boundaries.options import option_error
from ..boundaries.switches import refuse_switches
from ..components import (
    Component,
    Dataset,
    Enforcer,
    Law,
    Learner,
    Loss,
    LossEnforcer,
    Method,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    SamplingEnforcer,
    Solver,
    Transform,
    WholeMetric,
    hookspecs,
)
from ..components.calls import error_text, part_error
from ..credentials import shown
from ..errors import NameTakenError, OptionError, PluginError, ThalwegError, UnknownNameError

log = logging.getLogger("thalweg")

KINDS: dict[str, tuple[type[Component], ...]] = {
    "datasets": (Dataset,),
    "transforms": (Transform,),
    "methods": (Method,),
    "laws": (Law,),
    "enforcers": (Enforcer,),
    "losses": (Loss,),
    "metrics": (Metric, WholeMetric),
}
"""Each kind of part: its plural, as in `register_metrics` and `thalweg metrics`, and its base classes."""

_WORK: dict[str, tuple[type[Component], ...]] = {
    "methods": (Solver, Learner),
    "enforcers": (LossEnforcer, OperatorEnforcer, SamplingEnforcer, OutputEnforcer),
}
"""What a part of a kind must be to be used, where the base class of the kind says only what its options are."""

SINGULAR = {kind: "loss" if kind == "losses" else kind[:-1] for kind in KINDS}

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Part = TypeVar("Part", bound=Component)


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from."""

    plugin: str
    distribution: str
    version: str


class Registry:
    """The parts of a set of plugins. A value: make one, pass it on, also to other processes."""

    def __init__(self, plugins: Mapping[str, ModuleType | object] | None = None) -> None:
        self._manager = pluggy.PluginManager("thalweg")
        self._manager.add_hookspecs(hookspecs)
        self._parts: dict[str, dict[str, tuple[type[Component], str]]] = {}
        self._token = uuid.uuid4().hex
        """Changes with its plugins, and travels with it: two registries of one token hold the same parts."""
        self.failures: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        for name, plugin in (plugins or {}).items():
            self.add(name, plugin)

    @classmethod
    def installed(cls) -> Registry:
        """All plugins that are installed, or those that `THALWEG_PLUGINS` names."""
        registry = cls()
        listed = os.environ.get("THALWEG_PLUGINS")
        wanted = None if listed is None else {each.strip() for each in listed.split(",")}
        for entry in sorted(metadata.entry_points(group="thalweg"), key=lambda entry: entry.name):
            if wanted is not None and entry.name not in wanted:
                continue
            try:
                registry.add(entry.name, entry.load())
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                registry.failures.setdefault(entry.name, error_text(error))
                continue
            if entry.dist:
                registry.origins[entry.name] = Origin(entry.name, entry.dist.name, entry.dist.version)
        return registry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and other._token == self._token

    def __hash__(self) -> int:
        return hash(self._token)

    def __getstate__(self) -> dict[str, Any]:
        plugins = [(name, plugin) for name, plugin in self._manager.list_name_plugin() if plugin is not None]
        return {
            # Modules are imported again by their names; what else may be a plugin is pickled.
            "plugins": [(n, p.__name__, None) if isinstance(p, ModuleType) else (n, None, p) for n, p in plugins],
            "token": self._token,
            "failures": self.failures,
            "origins": self.origins,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        for name, module, plugin in state["plugins"]:
            self.add(name, plugin if module is None else importlib.import_module(module))
        self._token, self.failures, self.origins = state["token"], state["failures"], state["origins"]

    def add(self, name: str, plugin: ModuleType | object) -> None:
        """Register a plugin. Raises `PluginError` for a hook that does not exist or takes other arguments."""
        if self._manager.has_plugin(name):
            raise NameTakenError(
                f"two plugins are called {name!r}: {_called(self._manager.get_plugin(name))} and {_called(plugin)}",
                advice="rename one's entry point, or uninstall it",
            )
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise PluginError(
                f"plugin {name!r} does not fit: {' '.join(str(error).split())}",
                allowed=", ".join(key for key, hook in vars(hookspecs).items() if hasattr(hook, "thalweg_spec")),
                advice="compare the hook's name and arguments with thalweg.components.hookspecs",
            ) from error
        self._parts.clear()
        self._token = uuid.uuid4().hex

    def module(self, plugin: str) -> ModuleType | object:
        """What a plugin registered as. Raises `UnknownNameError`, which tells why it failed to load if it did."""
        if self._manager.has_plugin(plugin):
            return self._manager.get_plugin(plugin)
        known = sorted(self.plugins)
        near = difflib.get_close_matches(plugin, known, n=1)
        why = f": it could not be loaded\n  {self.failures[plugin]}" if plugin in self.failures else ""
        raise UnknownNameError(
            f"no plugin is called {plugin!r}{why}",
            allowed=", ".join(known) or "none: no plugin is installed",
            advice=f"did you mean {near[0]!r}?" if near else "see `thalweg plugins`",
        )

    @property
    def plugins(self) -> dict[str, tuple[str, ...]]:
        """The hooks that each plugin implements."""
        return {
            name: tuple(caller.name for caller in self._manager.get_hookcallers(plugin) or ())
            for name, plugin in self._manager.list_name_plugin()
            if plugin is not None
        }

    def load(self) -> None:
        """Call the hooks of all kinds, so that `failures` names every plugin that fails."""
        for kind in KINDS:
            self._load(kind)

    def parts(self, kind: str) -> dict[str, type[Component]]:
        """All parts of a kind, by name, in order of name."""
        return {name: part for name, (part, _) in sorted(self._load(kind).items())}

    def plugin_of(self, kind: str, name: str) -> str:
        """The plugin that provides a part."""
        self.get(kind, name)
        return self._load(kind)[name][1]

    def get(self, kind: str, name: str) -> type[Component]:
        """The class of a part. Raises `UnknownNameError`, which offers the nearest and tells what failed to load."""
        found = self._load(kind)
        if name in found:
            return found[name][0]
        near = difflib.get_close_matches(name, found, n=1)
        broken = "".join(f"\n  {plugin} could not be loaded: {why}" for plugin, why in self.failures.items())
        raise UnknownNameError(
            f"no {SINGULAR[kind]} is called {name!r}{broken}",
            allowed=", ".join(sorted(found)) or f"none: no plugin provides {kind}",
            advice=f"did you mean {near[0]!r}?" if near else f"see `thalweg {kind}`",
        )

    def make(self, kind: str, given: Any, *, where: str = "") -> Component:
        """The part that a recipe names: `csi`, or `{csi: {thresholds: [74]}}`."""
        name, options = named(given, kind=kind, where=where)
        try:
            part = self.get(kind, name)
        except UnknownNameError as error:
            raise error.at(where) from None
        return self.build(part, name, options, where=f"{where}.{name}" if where else name)

    def build(self, part: type[Part], name: str, options: Mapping[str, Any], *, where: str) -> Part:
        """A part from its options. Raises `OptionError`, which lists the options that there are."""
        if inspect.isabstract(part):
            raise PluginError(f"{name!r} is abstract", advice=f"define {', '.join(sorted(part.__abstractmethods__))}")
        try:
            made = part.model_validate(options, context={"registry": self, "where": where})
        except ValidationError as error:
            raise option_error(part, error, options, where=where) from None
        except ThalwegError:
            raise
        except Exception as error:
            found = part_error(error, name=name)
            if found is None:
                raise
            raise found.at(where) from None
        refuse_switches(options, made, where=where)
        made._name = name
        return made

    def observers(self, hook: str, **arguments: object) -> Iterator[tuple[str, BaseException | None]]:
        """Call an observer hook, plugin by plugin; yields who was called, and the error it raised."""
        for call in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                call.function(*(arguments[name] for name in call.argnames))
            except Exception as error:
                yield call.plugin_name, error
            else:
                yield call.plugin_name, None

    def _load(self, kind: str) -> dict[str, tuple[type[Component], str]]:
        if kind not in self._parts:
            found: dict[str, tuple[type[Component], str]] = {}
            for call in getattr(self._manager.hook, f"register_{kind}").get_hookimpls():
                mine: dict[str, tuple[type[Component], str]] = {}
                try:
                    call.function(partial(self._register, kind, call.plugin_name, found, mine))
                except Exception as error:
                    # None of its parts of this kind: half of a plugin would be harder to understand.
                    self.failures[call.plugin_name] = error_text(error)
                    log.warning("plugin %s: its %s are left out: %s", call.plugin_name, kind, error_text(error))
                else:
                    found.update(mine)
            self._parts[kind] = found
        return self._parts[kind]

    @staticmethod
    def _register(
        kind: str,
        plugin: str,
        found: Mapping[str, tuple[type[Component], str]],
        mine: dict[str, tuple[type[Component], str]],
        name: str,
        part: type[Component],
        /,
    ) -> None:
        bases = _WORK.get(kind, KINDS[kind])
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{plugin} registers {name!r}", allowed="lower-case words joined by '-'", advice="rename it"
            )
        if not (isinstance(part, type) and issubclass(part, bases)):
            raise PluginError(
                f"{plugin} registers {name!r} as {part!r}",
                allowed=f"a subclass of {' or '.join(base.__name__ for base in bases)}",
                advice=f"register a class, by `register_{kind}`",
            )
        if inspect.isabstract(part):
            raise PluginError(
                f"{plugin} registers {name!r}, which does not define {', '.join(sorted(part.__abstractmethods__))}",
                advice="define these methods",
            )
        for taken in (found, mine):
            if name in taken:
                raise NameTakenError(
                    f"{SINGULAR[kind]} {name!r} is registered twice: by {taken[name][1]} and by {plugin}",
                    advice="rename one, or name the plugins to load in THALWEG_PLUGINS",
                )
        mine[name] = (part, plugin)


def named(given: Any, *, kind: str, where: str = "") -> tuple[str, dict[str, Any]]:
    """`("csi", options)` of `csi` or `{csi: options}`. Raises `OptionError`."""
    if isinstance(given, str):
        return given, {}
    if isinstance(given, Mapping) and len(given) == 1:
        name, options = next(iter(given.items()))
        if isinstance(name, str) and (options is None or isinstance(options, Mapping)):
            return name, dict(options or {})
    raise OptionError(
        f"{shown(given)} does not name one {SINGULAR[kind]}",
        allowed=f"NAME, or {{NAME: {{option: value}}}}, with a name of `thalweg {kind}`",
        advice=f"name one {SINGULAR[kind]}",
        where=where,
    )


def _called(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


class _ByName:
    """Lets a recipe give a nested part by name, and writes it back with its name and all of its options."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        wanted = get_args(source) or (source,)
        kind = next(kind for kind, bases in KINDS.items() if issubclass(wanted[0], bases))

        def resolve(given: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            if not isinstance(given, Component):
                context = info.context or {}
                if "registry" not in context:
                    raise ValueError("a nested part needs a registry; give the part itself")
                where = ".".join(filter(None, (context.get("where"), info.field_name)))
                given = context["registry"].make(kind, given, where=where)
            return check(given)

        def dump(part: Any, info: SerializationInfo) -> Any:
            # The declared type's own serializer would write the options of that base class: none.
            return {part.name: part.model_dump(mode=info.mode)} if isinstance(part, Component) else part

        return core_schema.with_info_wrap_validator_function(
            resolve,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(dump, info_arg=True),
            metadata={"part": SINGULAR[kind]},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        choice = [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]
        return {"anyOf": choice, "part": schema["metadata"]["part"]}


Named = Annotated[Part, _ByName()]
"""The type of an option that is itself a part: `of: Named[Learner]` takes `{fno: {modes: 12}}`."""


def described(part: type[Component]) -> str:
    """The first sentence of a part's docstring."""
    return (inspect.getdoc(part) or "").split("\n", 1)[0]
