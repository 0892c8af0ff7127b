"""One YAML file, complete in itself: YAML -> `Recipe`; overrides; the JSON schema that editors complete recipes with.

Recipes are data: nothing in one is executed, and no name in one leaves the store.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import OptionError, RecipeError, SourceError
from .plugins import KINDS, SINGULAR, Registry, described, named

_PARTS = {("ingest",), ("train", "method"), ("cluster",)}
"""Where a mapping names one part: an override by another name replaces it, options of the same name merge."""


class Constraint(BaseModel):
    """*Hold LAW by ENFORCER.*"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    hold: Any
    by: Any
    oracle: bool = False


class Recipe(BaseModel):
    """A parsed recipe; its parts are still names and options."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
    experiment: Annotated[str, Field(min_length=1, max_length=200)] = "default"
    ingest: Any
    preprocess: tuple[Any, ...] = ()
    train: dict[str, Any]
    constrain: tuple[Constraint, ...] = ()
    evaluate: tuple[Any, ...] = Field(min_length=1)
    cluster: Any = "threads"
    store: str = ""
    file: str = Field("", exclude=True)

    @classmethod
    def load(cls, path: str | Path, *, overrides: Iterable[str] = ()) -> Recipe:
        """Read a recipe. Raises `RecipeError` with the file and the place in it."""
        file = Path(path)
        if not file.is_file():
            near = difflib.get_close_matches(file.name, [each.name for each in file.parent.glob("*.y*ml")], n=1)
            raise SourceError(
                f"there is no recipe {str(path)!r}",
                allowed="the path of a YAML file",
                advice=f"did you mean {str(file.parent / near[0])!r}?" if near else "see recipes/ for examples",
            )
        tree = _read(file)
        if "extends" in tree:
            base = file.parent / str(tree.pop("extends"))
            below = _read(base)
            if "extends" in below:
                raise RecipeError(
                    f"{base.name} extends another recipe",
                    allowed="one level of `extends`",
                    where="extends",
                    file=file.name,
                )
            tree = merge(below, tree)
        for override in overrides:
            tree = assign(tree, override)
        return cls.parse(tree, file=file.name)

    @classmethod
    def parse(cls, tree: Mapping[str, Any], *, file: str = "") -> Recipe:
        """A recipe from plain data."""
        try:
            recipe = cls.model_validate({**tree, "file": file})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            keys = [key for key in cls.model_fields if key != "file"]
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(where, keys, n=1)
                raise OptionError(
                    f"there is no section {where!r}",
                    allowed=", ".join(keys),
                    advice=f"did you mean {near[0]!r}?" if near else "leave it out",
                    file=file,
                ) from None
            if first["type"] == "missing":
                raise OptionError(
                    f"the section {where!r} is missing", allowed=", ".join(keys), advice=f"add `{where}:`", file=file
                ) from None
            raise OptionError(f"{first['input']!r}: {first['msg']}", where=where, file=file) from None
        if "method" not in recipe.train:
            raise OptionError(
                "the section 'train' names no method",
                allowed="`method: NAME`, with a name of `thalweg methods`, or a list of them",
                where="train",
                file=file,
            )
        return recipe

    def each_method(self) -> Iterator[Recipe]:
        """This recipe once per method that `train.method` lists."""
        methods = self.train["method"]
        if not isinstance(methods, list):
            yield self
            return
        for i, method in enumerate(methods):
            name, _ = named(method, kind="methods", where=f"train.method[{i}]")
            train = {**self.train, "method": method}
            title = f"{self.name}-{name}"[:80]
            again = sum(named(each, kind="methods")[0] == name for each in methods[:i])
            yield self.model_copy(update={"name": f"{title}-{again + 1}" if again else title, "train": train})

    def resolved(self) -> dict[str, Any]:
        """Plain data."""
        return self.model_dump(mode="json")


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice: YAML itself silently keeps the last."""


def _mapping(loader: _Loader, node: Any) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _read(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise SourceError(f"there is no recipe {str(file)!r}", where="extends") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise RecipeError(f"not YAML: {problem}", advice="mend the line", where=place, file=file.name) from None
    if not isinstance(tree, dict):
        raise RecipeError(
            f"{type(tree).__name__} where sections should be", allowed="name:, ingest:, ...", file=file.name
        )
    return tree


def merge(below: Mapping[str, Any], above: Mapping[str, Any], place: tuple[str, ...] = ()) -> dict[str, Any]:
    """`above` over `below`: mappings merge, everything else is replaced."""
    if place in _PARTS and set(below) != set(above):
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value, (*place, key)) if both else value  # type: ignore[arg-type]
    return merged


def assign(tree: Mapping[str, Any], override: str) -> dict[str, Any]:
    """`tree` with `a.b=c`; the name of a part may be left out: `ingest.path=x` sets `ingest: {kaplan: {path: x}}`."""
    path, equals, text = override.partition("=")
    keys = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    if not equals or not all(keys):
        raise OptionError(f"--set {override!r}", allowed="--set a.b=c", advice="give a path, '=', and a value in YAML")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    made = copy.deepcopy(dict(tree))
    node: Any = made
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise OptionError(
                    f"--set {override!r}: {'.'.join(keys[:depth])!r} has no item {key!r}",
                    allowed=f"0 to {len(node) - 1}",
                )
            index: Any = int(key)
        else:
            index = key
        if last:
            node[index] = value
        else:
            child = node[index] if isinstance(node, list) else node.get(index)
            if isinstance(child, str):
                child = {child: {}}
            if child is None:
                child = {}
            node[index] = child
            node = _inside(child, keys[depth + 1])
    return made


def _inside(node: Any, key: str) -> Any:
    """Through the name of a part to its options, unless `key` is that name."""
    if isinstance(node, dict) and len(node) == 1 and key not in node:
        name, options = next(iter(node.items()))
        if options is None:
            node[name] = options = {}
        if isinstance(options, dict) and name not in ("method", "hold", "by"):
            return options
    return node


def schema(registry: Registry) -> dict[str, Any]:
    """The JSON schema of recipes that use the installed plugins."""
    choices: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for kind in KINDS:
        options: list[dict[str, Any]] = []
        for name, part in registry.parts(kind).items():
            inner = part.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
            definitions.update(inner.pop("$defs", {}))
            inner["description"] = described(part)
            options.append({"const": name, "description": described(part)})
            options.append(
                {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}
            )
        choices[kind] = {"anyOf": options} if options else {}
    definitions.update({SINGULAR[kind]: choice for kind, choice in choices.items()})
    here = {kind: {"$ref": f"#/$defs/{SINGULAR[kind]}"} for kind in KINDS}
    tree = Recipe.model_json_schema()
    tree["properties"] |= {
        "ingest": here["datasets"],
        "preprocess": {"type": "array", "items": here["transforms"]},
        "train": {
            "type": "object",
            "properties": {"method": {"anyOf": [here["methods"], {"type": "array", "items": here["methods"]}]}},
        },
        "evaluate": {"type": "array", "items": here["metrics"], "minItems": 1},
        "extends": {"type": "string", "description": "another recipe that this one changes"},
    }
    # What an overlay leaves out, the recipe that it extends gives.
    whole = {"required": tree.pop("required"), "properties": {"train": {"required": ["method"]}}}
    tree["anyOf"] = [{"required": ["extends"]}, whole]
    constraint = tree["$defs"]["Constraint"]["properties"]
    constraint["hold"], constraint["by"] = here["laws"], here["enforcers"]
    tree["$defs"] |= definitions
    tree["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    tree["title"] = "thalweg recipe"
    return tree
