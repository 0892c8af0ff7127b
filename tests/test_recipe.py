"""Recipes: reading, extending, overriding; every refusal says what was given, what is allowed, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from thalweg.errors import OptionError, RecipeError
from thalweg.recipes.recipe import Recipe, assign, merge
from thalweg.recipes.registry import Registry
from thalweg.recipes.schema import schema

BASE = {
    "name": "base",
    "ingest": {"kaplan": {"path": "a.nc"}},
    "train": {"method": "persistence"},
    "evaluate": ["rmse"],
}


def written(folder: Path, tree: object, name: str = "recipe.yaml") -> Path:
    file = folder / name
    file.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return file


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("ingest.path=b.nc", ("ingest", "kaplan", "path"), "b.nc"),
        ("ingest.kaplan.path=b.nc", ("ingest", "kaplan", "path"), "b.nc"),
        ("train.epochs=3", ("train", "epochs"), 3),
        ("train.method.average=3", ("train", "method", "persistence", "average"), 3),
        ("evaluate[0].unit=255", ("evaluate", 0, "rmse", "unit"), 255),
        ("evaluate.0.unit=2.5", ("evaluate", 0, "rmse", "unit"), 2.5),
        ("cluster.local.workers=4", ("cluster", "local", "workers"), 4),
    ],
)
def test_an_override_reaches_its_place(override: str, path: tuple[str | int, ...], value: object) -> None:
    made = assign(BASE, override)
    for key in path:
        made = made[key]  # type: ignore[index,assignment]
    assert made == value
    assert BASE["ingest"] == {"kaplan": {"path": "a.nc"}}


def test_an_override_by_another_part_replaces_the_part_and_keeps_its_neighbours() -> None:
    below = {"train": {"method": {"lim": {"modes": 3}}, "epochs": 2}, "ingest": {"kaplan": {"path": "a"}}}
    above = {"train": {"method": {"persistence": {}}}, "ingest": {"ersst": {"path": "b"}}}
    assert merge(below, above) == {
        "train": {"method": {"persistence": {}}, "epochs": 2},
        "ingest": {"ersst": {"path": "b"}},
    }


def test_a_variant_without_a_law_is_refused() -> None:
    tree = {"name": "x", "ingest": "y", "train": {"method": "z"}, "constrain": {"a": []}}
    with pytest.raises(OptionError, match=r"\[\] holds no law") as caught:
        Recipe.parse(tree)
    assert caught.value.where == "constrain.a"
    assert caught.value.advice == "add a law, or leave the variant out: `free` is always scored"


@pytest.mark.parametrize("name", ["free", "a/b", "", "A b", "..", "a.b", 1, None, "x" * 41, "a\n"])
def test_a_variant_has_a_name_that_a_folder_may_have(name: Any) -> None:
    held = [{"hold": "x", "by": "y"}]
    tree = {"name": "x", "ingest": "y", "train": {"method": "z"}, "constrain": {"a-1": held, name: held}}
    with pytest.raises(OptionError, match="is no name of a variant"):
        Recipe.parse(tree)


def test_a_variant_of_the_base_is_left_out_by_null(tmp_path: Path) -> None:
    hold = [{"hold": {"integral": {"variable": "sst"}}, "by": "additive"}]
    written(tmp_path, {**BASE, "constrain": {"one": hold, "two": hold}}, "base.yaml")
    top = written(tmp_path, {"extends": "base.yaml", "constrain": {"one": None, "three": hold}}, "top.yaml")
    assert list(Recipe.load(top).variants) == ["two", "three"]


def test_extends_goes_one_level(tmp_path: Path) -> None:
    written(tmp_path, BASE, "base.yaml")
    middle = written(tmp_path, {"extends": "base.yaml", "name": "middle"}, "middle.yaml")
    top = written(tmp_path, {"extends": "middle.yaml", "name": "top"}, "top.yaml")
    assert Recipe.load(middle).name == "middle"
    with pytest.raises(RecipeError, match="one level of `extends`"):
        Recipe.load(top)


def test_each_method_is_a_recipe_of_its_own() -> None:
    recipe = Recipe.parse({**BASE, "train": {"method": ["a", {"b": {}}, {"a": {"x": 1}}]}})
    assert [each.name for each in recipe.each_method()] == ["base-a", "base-b", "base-a-2"]


def test_code_in_a_recipe_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "name: !!python/object/apply:os.system ['touch /tmp/never']\n")
    with pytest.raises(RecipeError, match="not YAML"):
        Recipe.load(file)


@pytest.mark.parametrize("name", ["../escape", "a/b", "A", "", ".."])
def test_a_name_cannot_leave_the_store(name: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.parse({**BASE, "name": name})


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'name' is given twice"):
        Recipe.load(written(tmp_path, "name: a\nname: b\n"))


def test_the_schema_accepts_the_shipped_recipes_and_refuses_a_misspelling() -> None:
    tree = schema(Registry.installed())
    jsonschema.Draft202012Validator.check_schema(tree)
    validator = jsonschema.Draft202012Validator(tree)
    for file in sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml")):
        validator.validate(yaml.safe_load(file.read_text()))
    assert not validator.is_valid({**BASE, "evalute": ["rmse"]})
    assert not validator.is_valid({key: value for key, value in BASE.items() if key != "ingest"})
    assert not validator.is_valid({**BASE, "train": {}})
    assert validator.is_valid({"extends": "base.yaml", "train": {"epochs": 3}})
    assert not validator.is_valid({**BASE, "ingest": {"kaplan": {"pth": "a.nc"}}})
