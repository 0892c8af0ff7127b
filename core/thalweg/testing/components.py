"""What every part keeps, whatever its kind."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from typing import Any

from pydantic import ValidationError

from ..components import Component
from ..recipes.registry import Registry
from .report import Check, ensure

_DOI = re.compile(r"10\.\d{4,9}/\S+")


def has_a_docstring(part: Component, registry: Registry) -> None:  # noqa: ARG001
    """Its own, and its first line a sentence: `thalweg methods` shows it."""
    text = inspect.cleandoc(type(part).__doc__ or "")
    ensure(text, "it has no docstring: say in one sentence what it does")
    ensure(text.split("\n\n", 1)[0].rstrip().endswith((".", "$", ":")), f"{text.splitlines()[0]!r} is not a sentence")


def options_are_described(part: Component, registry: Registry) -> None:  # noqa: ARG001
    """`thalweg methods NAME` and the recipe's schema show what each is."""
    fields = type(part).model_fields.items()
    bare = [name for name, field in fields if not says_more(name, field.description or "")]
    ensure(
        not bare,
        f"{', '.join(bare)} without a description that is more than the name: say what it is, and its units, in "
        "Field(description=)",
    )


def says_more(name: str, description: str) -> bool:
    """Whether the description of an option has at least two words that are not in its name, articles left out."""
    words = set(re.findall(r"\w+", description.lower()))
    return len(words - set(name.lower().split("_")) - {"the", "a", "an", "of"}) >= 2


def citation_is_a_doi(part: Component, registry: Registry) -> None:  # noqa: ARG001
    wrong = [each for each in part.cite.split() if not _DOI.fullmatch(each)]
    ensure(not wrong, f"cite = {part.cite!r}; give DOIs such as '10.1175/...', separated by spaces")


def core_is_not_overridden(part: Component, registry: Registry) -> None:  # noqa: ARG001
    """What core marks final does something that the pipeline relies on."""
    mine = {name for base in type(part).__mro__ if not _core(base) for name in vars(base)}
    final = {name for base in type(part).__mro__ if _core(base) for name, each in vars(base).items() if _final(each)}
    ensure(not mine & final, f"it overrides {', '.join(sorted(mine & final))}, which is final")


def _core(base: type) -> bool:
    return base.__module__.startswith(("thalweg.", "pydantic"))


def _final(member: Any) -> bool:
    return bool(getattr(member, "__final__", False) or getattr(getattr(member, "fget", None), "__final__", False))


def is_frozen(part: Component, registry: Registry) -> None:  # noqa: ARG001
    for name in type(part).model_fields:
        try:
            setattr(part, name, getattr(part, name))
        except ValidationError:
            continue
        ensure(False, f"the option {name!r} can be set; keep frozen=True")


def misspelled_options_are_refused(part: Component, registry: Registry) -> None:  # noqa: ARG001
    ensure(type(part).model_config.get("extra") == "forbid", "keep extra='forbid'")


def options_go_through_json(part: Component, registry: Registry) -> None:
    """Options are the cache's digest and the run's parameters: they come back as they went."""
    options = part.model_dump(mode="json")
    again = registry.build(type(part), part.name, json.loads(json.dumps(options)), where=part.name)
    ensure(
        again.model_dump(mode="json") == options and type(again) is type(part),
        f"{options} come back as {again.model_dump(mode='json')}",
    )
    type(part).model_json_schema()


def pickles(part: Component, registry: Registry) -> None:  # noqa: ARG001
    """Parts travel to workers."""
    again = pickle.loads(pickle.dumps(part))
    ensure(again.model_dump() == part.model_dump() and again.name == part.name, "it comes back changed")


CHECKS: tuple[Check, ...] = (
    has_a_docstring,
    options_are_described,
    citation_is_a_doi,
    core_is_not_overridden,
    is_frozen,
    misspelled_options_are_refused,
    options_go_through_json,
    pickles,
)


def check_component(part: Component, *, registry: Registry | None = None) -> None:
    """All that every part keeps; `registry` knows the parts that may be nested in it."""
    known = registry or Registry.installed()
    for each in CHECKS:
        each(part, known)
