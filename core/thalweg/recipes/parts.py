"""The parts of a recipe, made from their names and options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ..components import Component, Enforcer, Hold, Law, Learner, Method, Metric, WholeMetric
from ..errors import OptionError
from .recipe import Constraint, Recipe
from .registry import Registry


def train_options(recipe: Recipe, registry: Registry, methods: Sequence[Method]) -> list[dict[str, Any]]:
    """The `train:` options of each method: those that it reads, with parts made. Raises `OptionError` for one that none
    reads.
    """
    given = {key: value for key, value in recipe.train.items() if key != "method"}
    known = set().union(*(method.trains_on for method in methods if isinstance(method, Learner)), set())
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise OptionError(
                f"there is no option {key!r}",
                allowed=", ".join(sorted(known)) or f"none: {methods[0].name} learns nothing that has options",
                advice=f"did you mean {near[0]!r}?" if near else "leave it out",
                where="train",
            )
    return [_read(given, registry, method) if isinstance(method, Learner) else {} for method in methods]


def _read(given: Mapping[str, Any], registry: Registry, learner: Learner) -> dict[str, Any]:
    return with_parts({key: value for key, value in given.items() if key in learner.trains_on}, registry, learner)


def with_parts(options: Mapping[str, Any], registry: Registry, learner: Learner) -> dict[str, Any]:
    """`train:` options in which what names a part is the part."""
    made = dict(options)
    for key, kind in learner.nested.items():
        named = made.get(key, getattr(learner, "defaults", {}).get(key))
        if isinstance(named, str | Mapping):
            made[key] = registry.make(kind, named, where=f"train.{key}")
    return made


def variants_of(recipe: Recipe, registry: Registry) -> dict[str, tuple[Hold, ...]]:
    """The holds of a recipe by variant; those of a plain list are called `held`."""
    if recipe.constrain:
        return {"held": holds_of(recipe.constrain, registry)}
    return {name: holds_of(each, registry, where=f"constrain.{name}") for name, each in recipe.variants.items() if each}


def holds_of(constraints: Sequence[Constraint], registry: Registry, *, where: str = "constrain") -> tuple[Hold, ...]:
    """Laws that share an enforcer are held together."""
    grouped: list[Hold] = []
    for i, constraint in enumerate(constraints):
        law = cast(Law, registry.make("laws", constraint.hold, where=f"{where}[{i}].hold"))
        enforcer = cast(Enforcer, registry.make("enforcers", constraint.by, where=f"{where}[{i}].by"))
        for j, hold in enumerate(grouped):
            if hold.enforcer == enforcer and hold.oracle == constraint.oracle:
                grouped[j] = replace(hold, laws=(*hold.laws, law), entries=(*hold.entries, i))
                break
        else:
            grouped.append(Hold((law,), enforcer, constraint.oracle, (i,)))
    return tuple(grouped)


def labelled_metrics(recipe: Recipe, registry: Registry) -> dict[str, Metric | WholeMetric]:
    """The metrics by label: the name, and where two would be alike the variable, or the words among their options."""
    made = [registry.make("metrics", each, where=f"evaluate[{i}]") for i, each in enumerate(recipe.evaluate)]
    names = [each.name for each in made]
    labels: dict[str, Metric | WholeMetric] = {}
    for part in made:
        label = part.name
        if names.count(label) > 1:
            label = "/".join(filter(None, [label, _distinction(part)]))
        while label in labels:
            label += "+"
        labels[label] = cast(Metric, part)
    return labels


def _distinction(part: Component) -> str:
    """What tells a metric from another of its name."""
    given = part.model_dump(mode="json", exclude_defaults=True)
    return given.get("variable") or "/".join(each for each in given.values() if isinstance(each, str))
