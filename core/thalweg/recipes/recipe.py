"""One YAML file, complete in itself: YAML -> `Recipe`; overrides.

Recipes are data: nothing in one is executed, and no name in one leaves the store.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..boundaries.documents import DEEPEST, parsed, read
from ..boundaries.options import option_error
from ..credentials import hidden, masked, remember, shown
from ..errors import OptionError, RecipeError, SourceError, ThalwegError
from .registry import named

_PARTS = {("ingest",), ("train", "method"), ("cluster",)}
"""Where a mapping names one part: an override by another name replaces it, options of the same name merge."""


class Constraint(BaseModel):
    """Hold a law by an enforcer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    hold: Any = Field(description="the law, by name")
    by: Any = Field(description="the enforcer that holds the estimate to the law, by name")
    oracle: bool = Field(False, description="whether the law may read the truth: a bound on what is possible")


_VARIANT = r"[a-z0-9]+(-[a-z0-9]+)*"
LONGEST = 40
"""Characters of the name of a variant."""
VariantName = Annotated[str, Field(pattern=rf"^{_VARIANT}$", max_length=LONGEST)]
"""Of a list of holds; `free` is the estimate without any."""

NAMED = "constrain (named)"
"""Where named lists are kept until they are parts; no section is called so."""


class Recipe(BaseModel):
    """A parsed recipe; its parts are still names and options."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)] = Field(
        description="name of the runs: lower-case words joined by '-'"
    )
    experiment: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        "default", description="the question that the runs answer: an experiment of MLflow"
    )
    ingest: Any = Field(description="the dataset, by name")
    preprocess: tuple[Any, ...] = Field((), description="transforms, by name, in order")
    train: dict[str, Any] = Field(description="`method`, one or a list, and the options of its training")
    constrain: tuple[Constraint, ...] = Field(
        (), description="laws, each with its enforcer, in order; or several such lists by name, each a variant"
    )
    variants: dict[VariantName, tuple[Constraint, ...]] = Field(
        {}, alias=NAMED, exclude=True, description="the lists of `constrain` that have a name"
    )
    evaluate: tuple[Any, ...] = Field((), description="metrics, by name")
    cluster: Any = Field("threads", description="where the stages run: a kind of cluster, by name")
    store: str = Field("", description="where stages are kept: a path or URL; thalweg-store if empty")
    file: str = Field("", exclude=True)

    @classmethod
    def load(cls, path: str | Path, *, overrides: Iterable[str] = ()) -> Recipe:
        """Read a recipe. Raises `RecipeError` with the file and the place in it."""
        file = Path(path)
        if not _exists(file):
            near = difflib.get_close_matches(file.name, [each.name for each in file.parent.glob("*.y*ml")], n=1)
            raise SourceError(
                f"there is no recipe {str(path)!r}",
                allowed="the path of a YAML file",
                advice=f"did you mean {str(file.parent / near[0])!r}?" if near else "see recipes/ for examples",
            )
        tree = read(file)
        if "extends" in tree:
            named = tree.pop("extends")
            if not isinstance(named, str) or not named:
                raise OptionError(
                    f"{shown(named)} names no recipe",
                    allowed="one path",
                    advice="give the path of the recipe that this one changes",
                    where="extends",
                    file=file.name,
                )
            base = file.parent / named
            below = read(base, where="extends")
            if "extends" in below:
                raise RecipeError(
                    f"{base.name} extends another recipe",
                    allowed="one level of `extends`",
                    advice=f"extend what {base.name} extends, and copy its changes",
                    where="extends",
                    file=file.name,
                )
            tree = merge(below, tree)
        for override in overrides:
            tree = assign(tree, override)
        remember(tree)
        return cls.parse(tree, file=file.name)

    @classmethod
    def parse(cls, tree: Mapping[str, Any], *, file: str = "") -> Recipe:
        """A recipe from plain data."""
        try:
            recipe = cls.model_validate({**_apart(tree, file), "file": file})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            keys = [key for key in cls.model_fields if key not in ("file", "variants")]
            if first["type"] == "extra_forbidden" and where in tree:
                near = difflib.get_close_matches(where, keys, n=1)
                raise OptionError(
                    f"there is no section {where!r}",
                    allowed=", ".join(keys),
                    advice=f"did you mean {near[0]!r}?" if near else "leave it out",
                    file=file,
                ) from None
            if first["type"] == "missing" and len(first["loc"]) == 1:
                raise OptionError(
                    f"the section {where!r} is missing", allowed=", ".join(keys), advice=f"add `{where}:`", file=file
                ) from None
            raise _renamed(option_error(cls, error, _apart(tree, file), where="")).at("", file=file) from None
        if recipe.train.get("method", []) == []:
            raise OptionError(
                "the section 'train' names no method",
                allowed="`method: NAME`, with a name of `thalweg methods`, or a list of them",
                advice="add `method: NAME`",
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
        """Plain data, without credentials."""
        return dict(hidden(self.model_dump(mode="json")))


def _exists(file: Path) -> bool:
    """Whether there is anything; what cannot be looked at is left to be refused when it is read."""
    try:
        return file.exists()
    except (OSError, ValueError):
        return True


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
    if not equals or not all(keys) or len(keys) > DEEPEST:
        raise OptionError(
            f"--set {masked(override[:200])!r}", allowed="--set a.b=c", advice="give a path, '=', and a value in YAML"
        )
    made = copy.deepcopy(dict(tree))
    node: Any = made
    for depth, key in enumerate(keys):
        index = _index(node, key, at=".".join(keys[:depth]), override=path)
        if depth == len(keys) - 1:
            node[index] = _value(text, path)
            break
        child = node[index] if isinstance(node, list) else node.get(index)
        if isinstance(child, str):
            child = {child: {}}
        node[index] = {} if child is None else child
        node = _inside(node[index], keys[depth + 1])
    return made


def _value(text: str, path: str) -> Any:
    """A value in YAML; what is no YAML is a text, unless it is YAML that is refused."""
    try:
        return parsed(text, what="--set")
    except RecipeError as error:
        if any(word in error.given for word in ("nested deeper", "stands for", "is no key", "given twice")):
            raise OptionError(
                error.given, allowed="--set a.b=c", advice="give one value in YAML", where=f"--set {path}"
            ) from None
        return text


def _index(node: Any, key: str, *, at: str, override: str) -> Any:
    """The place of `key` in a mapping or a list. Raises `OptionError`."""
    if isinstance(node, dict):
        return key
    if isinstance(node, list) and key.isascii() and key.isdigit() and int(key) < len(node):
        return int(key)
    raise OptionError(
        f"--set {override!r}: {at!r} has no item {key!r}",
        allowed=f"0 to {len(node) - 1}" if isinstance(node, list) else f"{at}: it is {shown(node, limit=60)}",
        advice="see `thalweg plan --resolved` for the paths of a recipe",
    )


def _inside(node: Any, key: str) -> Any:
    """Through the name of a part to its options, unless `key` is that name."""
    if isinstance(node, dict) and len(node) == 1 and key not in node:
        name, options = next(iter(node.items()))
        if options is None:
            node[name] = options = {}
        if isinstance(options, dict) and name not in ("method", "hold", "by"):
            return options
    return node


def _apart(tree: Mapping[str, Any], file: str, /) -> dict[str, Any]:
    """Named lists of holds apart from a plain one, so that errors name the place; null is none."""
    held = tree.get("constrain")
    if not isinstance(held, Mapping):
        return dict(tree)
    for name, holds in held.items():
        if not isinstance(name, str) or name == "free" or len(name) > LONGEST or not re.fullmatch(_VARIANT, name):
            raise OptionError(
                f"{shown(name)} is no name of a variant",
                allowed=f"lower-case words joined by '-', up to {LONGEST} characters, but `free`: it is under no law",
                advice="give the list such a name",
                where="constrain",
                file=file,
            )
        if holds is not None and (not isinstance(holds, list) or not holds):
            raise OptionError(
                f"{shown(holds)} holds no law" if holds == [] else f"{shown(holds)} is no list",
                allowed="[{hold: LAW, by: ENFORCER}, ...]: what one variant is held to",
                advice="add a law, or leave the variant out: `free` is always scored"
                if holds == []
                else "give the variant a list, or `constrain` a list without names",
                where=f"constrain.{name}",
                file=file,
            )
    variants = {name: holds for name, holds in held.items() if holds is not None}
    return {**{key: each for key, each in tree.items() if key != "constrain"}, NAMED: variants}


def _renamed(error: ThalwegError) -> ThalwegError:
    if error.where.startswith(NAMED) and "experiment" in error.allowed:
        # The names of all sections.
        error.allowed = "[{hold: LAW, by: ENFORCER}, ...]: what one variant is held to"
    for part in ("given", "allowed", "advice", "where"):
        setattr(
            error, part, getattr(error, part).replace(NAMED, "constrain").replace("constrain, variants", "constrain")
        )
    return error
