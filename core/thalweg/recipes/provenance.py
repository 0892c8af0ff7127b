"""What a result depends on: options, versions, and the code that computed it.

A stage's digest holds, for each of its parts, the options, the version of its distribution, and a digest of its source:
of the module that defines it, of those that this one imports from its own package, and of what all of them use of core,
base classes included. Beside its parts it holds the source of what runs the stage, found the same way. So an edit of a
plugin or of core is seen by the stages that it concerns, and a comment, a docstring or a neighbour is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from ..components import Component
from ..credentials import without
from .source_code import CORE, Place, digest_of

_SAMPLES = ("thalweg.samples.prepared", "Prepared")
"""What a stage is given of the one before it: named in annotations only, and so not found otherwise."""

STAGE_CODE: Mapping[str, tuple[Place, ...]] = {
    "ingest": (("thalweg.stages.ingest", "run"),),
    "preprocess": (("thalweg.stages.preprocess", "run"), ("thalweg.components.transform", "divided")),
    "train": (("thalweg.stages.train", "run"), _SAMPLES),
    "judge": (("thalweg.learning.judging", "Judge"),),
    "estimate": (("thalweg.stages.constrain", "run"), _SAMPLES),
    "evaluate": (("thalweg.stages.evaluate", "run"), _SAMPLES),
}
"""Where the code of core begins that runs each stage, and what a training runs besides if it has a judge."""


def digest(*parts: Any) -> str:
    """A digest of plain values (JSON), whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def record(part: Component) -> dict[str, Any]:
    """What identifies a part's results: its name, options and code, and those of the parts inside it.

    Credentials are left out: a rotated key gives the same results.
    """
    inner = [each for value in part.__dict__.values() for each in components(value)]
    return {
        "name": part.name,
        "options": without(part.model_dump(mode="json")),
        "revision": type(part).revision,
        "version": version_of(type(part)),
        "code": code_digest(type(part)),
        "parts": [record(each) for each in inner],
    }


def recorded(value: Any) -> Any:
    """Plain data, with the record of each part in it."""
    if isinstance(value, Component):
        return record(value)
    if isinstance(value, Mapping):
        return {str(key): recorded(each) for key, each in value.items()}
    return [recorded(each) for each in value] if isinstance(value, list | tuple) else value


def components(value: Any) -> Iterator[Component]:
    """The parts in a value, its mappings and its lists; not those inside a part."""
    if isinstance(value, Component):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from components(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from components(each)


@lru_cache
def _versions() -> Mapping[str, str]:
    """`distribution==version` of each plugin's package; an editable install lists its packages nowhere else."""
    found = metadata.entry_points(group="thalweg")
    return {each.value.split(".")[0]: f"{each.dist.name}=={each.dist.version}" for each in found if each.dist}


def version_of(part: type[Component]) -> str:
    """`distribution==version` of the package that defines a part; the package's name if it is not installed."""
    package = part.__module__.split(".", 1)[0]
    return _versions().get(package, package)


@lru_cache
def code_digest(part: type[Component]) -> str:
    """A digest of the source of a part, its bases, and what they use of their own packages and of core."""
    bases = [each for each in part.__mro__ if issubclass(each, Component)]
    return digest(digest_of(_place(each) for each in bases))


def _place(part: type[Component]) -> Place:
    """Of core, the class; of a plugin, its whole module."""
    core = part.__module__.partition(".")[0] == CORE
    return part.__module__, part.__qualname__.partition(".")[0] if core else "*"


@lru_cache
def stage_code(stage: str) -> str:
    """A digest of the code of core that runs a stage, whatever its parts."""
    return digest(digest_of(STAGE_CODE[stage]))
