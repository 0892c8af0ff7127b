"""What an option of a model may be, in plain words, and the errors of options that do not fit.

The words are made from the JSON schema of the model: no name of a Python type or of a library's class is shown.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..credentials import hidden, shown
from ..errors import OptionError, ThalwegError

_LIMITS = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
_NOUNS = {"integer": "whole number", "number": "number", "string": "text"}
_COMPLAINTS = {
    "bool": "is neither true nor false",
    "decimal": "is no number",
    "dict": "is no mapping",
    "finite_number": "is not finite",
    "float": "is no number",
    "greater_than": "is too small",
    "int": "is no whole number",
    "less_than": "is too large",
    "list": "is no list",
    "literal_error": "is none of the allowed words",
    "model": "is no mapping",
    "string": "is no text",
    "too_long": "is too long",
    "too_short": "is too short",
    "tuple": "is no list",
}
"""What is wrong with a value, by the beginning of pydantic's name for it."""


def option_words(model: type[BaseModel]) -> dict[str, str]:
    """What each option of a model may be: `{"width": "whole number above 0", "error": "square or absolute"}`."""
    tree = model.model_json_schema()
    return {name: in_words(option, tree.get("$defs", {})) for name, option in tree.get("properties", {}).items()}


def option_default(field: FieldInfo) -> str:
    """The default of an option as a recipe would write it; `required` if it has none."""
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "default: set on the machine"
    return f"default {in_yaml(field.default)}"


def in_words(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a part of a JSON schema allows: `list of whole numbers above 0, or null`."""
    if "$ref" in option:
        return _mapping(definitions[option["$ref"].rpartition("/")[2]], definitions)
    if "part" in option:
        article = "an" if option["part"] == "enforcer" else "a"
        return f"NAME of {article} {option['part']}, or {{NAME: {{option: value}}}}"
    if "anyOf" in option:
        return _either([in_words(each, definitions) for each in option["anyOf"]])
    if "const" in option or "enum" in option:
        return _either([in_yaml(each) for each in option.get("enum", [option.get("const")])])
    kind = option.get("type")
    if kind == "array":
        return _list(option, definitions)
    if kind == "object":
        return _mapping(option, definitions)
    if kind in _NOUNS:
        return " ".join(filter(None, [_NOUNS[kind], _limits(option)]))
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "value")


def option_error(
    model: type[BaseModel], error: ValidationError, options: Mapping[str, Any], *, where: str
) -> ThalwegError:
    """The first finding of a validation, as an error of ours: what was given, what is allowed, what to do.

    `options` are those that were given, `where` the place of the model in a recipe: `train.method.unet`.
    """
    first, keys = _finding(error, options)
    path = _path(keys)
    place = ".".join(filter(None, (where, path)))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ThalwegError):
        return cause.at(place)
    if first["type"] == "extra_forbidden":
        name, known = str(keys[-1]), list(_beside(model, keys))
        near = difflib.get_close_matches(name, known, n=1)
        return OptionError(
            f"there is no option {name!r}",
            allowed=", ".join(known) or "no options",
            advice=f"did you mean {near[0]!r}?" if near else "leave it out",
            where=".".join(filter(None, (where, _path(keys[:-1])))),
        )
    allowed = _allowed(model, str(keys[0]) if keys else "")
    if first["type"] == "missing":
        return OptionError(f"the option {path!r} is missing", allowed=allowed, advice=f"give {path!r}", where=where)
    complaint = _complaint(first, several=len(first["loc"]) > len(keys))
    advice = f"change {path!r}" if path else ""
    return OptionError(f"{_given(first['input'], keys)} {complaint}", allowed=allowed, advice=advice, where=place)


def _path(keys: Sequence[int | str]) -> str:
    """A place as a recipe's paths are written: `constrain[0].by`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _finding(error: ValidationError, options: Mapping[str, Any]) -> tuple[Any, list[int | str]]:
    """The finding to tell, and its place: of the first option that does not fit, what lies deepest in it."""
    findings = error.errors()
    places = [
        (each, list(_keys(each["loc"], options, named=each["type"] in ("missing", "extra_forbidden"))))
        for each in findings
        if each["loc"][:1] == findings[0]["loc"][:1]
    ]
    return max(places, key=lambda each: len(each[1]))


def _allowed(model: type[BaseModel], option: str) -> str:
    if option not in model.model_fields:
        return ", ".join(model.model_fields)
    description = model.model_fields[option].description
    return f"{option_words(model)[option]}{f' ({description})' if description else ''}"


def _complaint(finding: Mapping[str, Any], *, several: bool) -> str:
    """What is wrong with a value; where values of several kinds are allowed, only that it is none of them."""
    kind = str(finding["type"])
    if kind in ("value_error", "assertion_error"):
        message = str(finding["msg"]).partition(", ")[2]
        return f"does not fit: {message[:1].lower()}{message[1:]}"
    if several:
        return "does not fit"
    return next((words for start, words in _COMPLAINTS.items() if kind.startswith(start)), "does not fit")


def _keys(location: Sequence[int | str], options: Mapping[str, Any], *, named: bool) -> Iterator[int | str]:
    """A finding's place among the options that were given.

    pydantic adds the names of types where several are allowed; those are in no author's file. With `named`, the last
    key is an option that is missing or does not exist.
    """
    node: Any = options
    for depth, key in enumerate(location):
        if isinstance(node, Mapping) and key in node:
            node = node[key]
            yield key
        elif isinstance(node, list | tuple) and isinstance(key, int) and key < len(node):
            node = node[int(key)]
            yield key
        elif depth == 0 or (named and depth == len(location) - 1):
            yield key


def _beside(model: type[BaseModel], keys: Sequence[int | str]) -> Iterator[str]:
    """The options beside one that does not exist: the model's, or those of the models inside one of its options."""
    if len(keys) == 1:
        yield from model.model_fields
        return
    tree = model.model_json_schema()
    option = json.dumps(tree["properties"].get(str(keys[0]), {}))
    for name, inner in tree.get("$defs", {}).items():
        if f'"#/$defs/{name}"' in option:
            yield from inner.get("properties", {})


def _given(value: Any, keys: Sequence[int | str]) -> str:
    """What was given, for an error: masked by all the names under which it stands."""
    tree = value
    for key in reversed(keys):
        tree = {str(key): tree}
    tree = hidden(tree)
    for key in keys:
        tree = tree[str(key)] if isinstance(tree, Mapping) else tree
    return shown(tree)


def _limits(option: Mapping[str, Any]) -> str:
    """`from 0 to 1`, `above 0 and below 1`."""
    found = [f"{word} {option[key]:g}" for key, word in _LIMITS.items() if key in option]
    between = " " if found and found[-1].startswith("to") and found[0].startswith("from") else " and "
    words = between.join(found) if found[1:] or not found[:1] or not found[0].startswith("to") else f"up {found[0]}"
    steps = f"in steps of {option['multipleOf']:g}" if "multipleOf" in option else ""
    example = f"such as {option['examples'][0]}" if "examples" in option else ""
    return " ".join(filter(None, (words, steps, example)))


def _list(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "prefixItems" in option:
        return f"[{', '.join(_one(each, definitions) for each in option['prefixItems'])}]"
    items = option.get("items", {})
    inner = _one(items, definitions)
    noun = _NOUNS.get(str(items.get("type")), "") if "enum" not in items else ""
    inner = inner.replace(noun, f"{noun}s", 1) if noun else inner
    least = option.get("minItems", 0)
    return f"list of {inner}{f', {least} or more' if least > 1 else ''}"


def _mapping(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "properties" in option:
        inner = ", ".join(f"{name}: {_one(each, definitions)}" for name, each in option["properties"].items())
        return f"{{{inner}}}"
    values = option.get("additionalProperties", True)
    return f"{{NAME: {_one(values, definitions) if isinstance(values, Mapping) else 'value'}, ...}}"


def _one(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The words for a value among others: in brackets where they are a choice."""
    words = in_words(option, definitions)
    return f"({words})" if "anyOf" in option or len(option.get("enum", ())) > 1 else words


def _either(words: Sequence[str]) -> str:
    some = [each for each in dict.fromkeys(words) if each != "whole number" or "number" not in words]
    if len(some) < 2:
        return "".join(some)
    plain = all(" " not in each for each in some)
    return f"{', '.join(some[:-1])}{'' if plain else ','} or {some[-1]}"


def in_yaml(value: Any) -> str:
    """A value as a recipe would write it, on one line."""
    plain = value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, BaseModel) else value
    if isinstance(plain, tuple | set | frozenset):
        plain = list(plain)
    text = yaml.safe_dump(
        json.loads(json.dumps(plain, default=str)), default_flow_style=True, width=10_000, sort_keys=False
    )
    return text.removesuffix("\n...\n").strip()
