"""What a newcomer reads: every option is described, and help shows no internals of libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from thalweg.boundaries.options import option_words
from thalweg.cluster.switch import KINDS as CLUSTERS
from thalweg.components import Learner
from thalweg.errors import OptionError
from thalweg.recipes.recipe import Constraint, Recipe
from thalweg.recipes.registry import KINDS, Registry
from thalweg.recipes.schema import schema
from thalweg.testing.components import says_more
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
REGISTRY = Registry.installed()
SCHEMA = schema(REGISTRY)
INTERNALS = re.compile(
    r"pydantic|typing|Annotated|Union\[|Optional\[|Literal\[|NoneType|FieldInfo|<class|<function|\b(?:Ge|Gt|Le|Lt)\("
    r"|\b[gl][et]=|thalweg_\w+|thalweg\.\w+\.\w+|\bNone\b|list\[|dict\[|tuple\[|<(?:str|int|list)|x>="
)
FRAGMENTS = ("of", "from", "for", "by", "at", "to", "in", "on", "along", "and", "see", "which")
"""Words that a description does not begin with: it says what the option is, not only something about it."""


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Everything that has options: the sections of a recipe, parts, trainings, clusters, and the models inside them."""
    yield "recipe", Recipe
    yield "constrain", Constraint
    for kind in KINDS:
        for name, part in REGISTRY.parts(kind).items():
            yield f"{kind} {name}", part
            if issubclass(part, Learner) and part.train_options is not None:
                yield f"train of {name}", part.train_options
    for name, cluster in CLUSTERS.items():
        yield f"cluster {name}", cluster


def options() -> Iterator[tuple[str, str, str]]:
    """Owner, name and description of each option."""
    for owner, model in models():
        tree = model.model_json_schema()
        for inner in (tree, *tree.get("$defs", {}).values()):
            for name, option in inner.get("properties", {}).items():
                if (owner, name) != ("recipe", "file"):
                    yield f"{owner} {inner.get('title', '')}", name, option.get("description", "")


OPTIONS = list(options())


def test_every_option_has_a_description_that_is_more_than_its_name() -> None:
    assert len(OPTIONS) > 600
    bare = [f"{owner} {name}: {text!r}" for owner, name, text in OPTIONS if not says_more(name, text)]
    assert not bare
    assert not says_more("learning_rate", "the learning rate")


def test_a_description_begins_with_what_the_option_is() -> None:
    wrong = [
        f"{owner} {name}: {description!r}"
        for owner, name, description in OPTIONS
        if description.split(" ")[0].lower() in FRAGMENTS
    ]
    assert not wrong


def test_two_options_of_one_part_are_not_described_alike() -> None:
    seen: dict[tuple[str, str], str] = {}
    alike = [
        f"{owner}: {name} and {seen[owner, description]}"
        for owner, name, description in OPTIONS
        if seen.setdefault((owner, description), name) != name
    ]
    assert not alike


@pytest.mark.parametrize("kind", KINDS)
def test_help_of_parts_shows_no_internals(kind: str) -> None:
    from thalweg.commands.cli import app

    runner = CliRunner()
    for name in REGISTRY.parts(kind):
        text = runner.invoke(app, [kind, name]).output
        assert not INTERNALS.findall(text), f"{kind} {name}"


def test_help_of_commands_shows_no_internals() -> None:
    from thalweg.commands.cli import app

    runner = CliRunner()
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert len(names) > 15
    for arguments in ([], *([name] for name in names)):
        text = runner.invoke(app, [*arguments, "--help"]).output
        assert not INTERNALS.findall(text), text


def test_the_schema_shows_no_internals() -> None:
    assert not INTERNALS.findall(json.dumps(SCHEMA))


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_fit_the_schema(recipe: Path) -> None:
    """Editors complete and check recipes by it."""
    tree = yaml.safe_load(recipe.read_text())
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(tree, default=str)))


@pytest.mark.parametrize(
    ("part", "fits"),
    [
        ({"array": {"path": "a.nc", "variables": ["slp"]}}, True),
        ({"array": {"path": "a.nc", "variables": {"pressure": {"from": "slp", "units": "hPa"}}}}, True),
        ({"array": {"path": "a.nc", "variables": {"pressure": {"gain": 2}}}}, False),
        ({"radar": {"path": "a.h5", "declare": {"gain": 2}}}, True),
        ({"radar": {"path": "a.h5", "declare": {"from": "slp"}}}, False),
    ],
)
def test_models_of_one_name_are_not_mixed_up_in_the_schema(part: object, fits: bool) -> None:
    tree = {"name": "a", "ingest": part, "train": {"method": "persistence"}}
    assert Draft202012Validator(SCHEMA).is_valid(tree) is fits


@pytest.mark.parametrize(
    ("kind", "name", "option", "words"),
    [
        ("methods", "fno", "modes", "whole number above 0"),
        ("losses", "quantile", "level", "number above 0 and below 1"),
        ("methods", "unet", "widths", "list of whole numbers above 0"),
        ("methods", "deep-ensemble", "of", "NAME of a method, or {NAME: {option: value}}"),
        ("laws", "boundary-flux", "order", "whole number from 1 to 6"),
        ("datasets", "array", "missing", "allow, refuse or zero"),
        ("datasets", "radar", "box", "{NAME: [number, number], ...}"),
        ("transforms", "select", "time", "[(number, text or null), (number, text or null)], or null"),
    ],
)
def test_what_an_option_may_be_is_said_in_words(kind: str, name: str, option: str, words: str) -> None:
    assert option_words(REGISTRY.get(kind, name))[option] == words


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        (
            "methods",
            {"unet": {"scale": 3}},
            "unet.scale: 3 does not fit\n"
            "  allowed: auto, none, standard or unit, {by: number above 0, offset: number}, or {NAME: (auto, none, "
            "standard or unit, or {by: number above 0, offset: number}), ...} (scaling of all variables, or of each",
        ),
        ("methods", {"unet": {"scale": {"u": {"by": -1}}}}, "unet.scale.u.by: -1 does not fit\n"),
        (
            "datasets",
            {"array": {"path": "a.nc", "variables": {"p": {"form": "slp"}}}},
            "array.variables.p: there is no option 'form'\n  allowed: from, units\n  do: did you mean 'from'?",
        ),
        (
            "metrics",
            {"csi": {"thresholds": [1, "much"]}},
            "csi.thresholds[1]: 'much' is no number\n"
            "  allowed: list of numbers (an event is a value at or above it, in the field's units; increasing)\n"
            "  do: change 'thresholds[1]'",
        ),
        (
            "laws",
            {"boundary-flux": {"variable": "u", "dim": "x", "side": "up"}},
            "boundary-flux.side: 'up' is none of the allowed words\n"
            "  allowed: left, right or both (end of the dim: its first point, its last, or both; not read where ",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_refused_in_plain_words(kind: str, given: object, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        REGISTRY.make(kind, given)
    assert str(caught.value).startswith(text)
    assert not INTERNALS.findall(str(caught.value))


@pytest.mark.parametrize("name", CLUSTERS)
def test_each_cluster_is_shown_with_an_example_that_fits(name: str) -> None:
    from thalweg.commands.cli import app

    text = CliRunner().invoke(app, ["clusters", name]).output
    assert not INTERNALS.findall(text)
    CLUSTERS[name].model_validate(yaml.safe_load(text.rpartition("Example")[2])["cluster"][name])


CONSTRAIN = (
    "list of {hold: value, by: value, oracle: true or false} (laws, each with its enforcer, in "
    "order; or several such lists by name, each a variant)"
)


@pytest.mark.parametrize(
    ("constrain", "text"),
    [
        (
            [{"hold": "nonnegative"}],
            f"a.yaml: the option 'constrain[0].by' is missing\n  allowed: {CONSTRAIN}\n  do: give 'constrain[0].by'",
        ),
        (
            [{"hold": "nonnegative", "bye": "additive", "by": "additive"}],
            "a.yaml: constrain[0]: there is no option 'bye'\n  allowed: hold, by, oracle\n  do: did you mean 'by'?",
        ),
        (
            "additive",
            f"a.yaml: constrain: 'additive' is no list\n  allowed: {CONSTRAIN}\n  do: change 'constrain'",
        ),
    ],
)
def test_a_section_that_does_not_fit_is_refused_in_plain_words(constrain: object, text: str) -> None:
    tree = {"name": "a", "ingest": "kaplan", "train": {"method": "persistence"}, "constrain": constrain}
    with pytest.raises(OptionError) as caught:
        Recipe.parse(tree, file="a.yaml")
    assert str(caught.value) == text
