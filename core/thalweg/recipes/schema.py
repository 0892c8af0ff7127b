"""The JSON schema of recipes that use the installed plugins, with which editors complete and check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..cluster.switch import KINDS as CLUSTERS
from ..components import Learner
from .recipe import NAMED, Recipe
from .registry import KINDS, SINGULAR, Registry, described


def schema(registry: Registry) -> dict[str, Any]:
    """The JSON schema of recipes that use the installed plugins."""
    definitions: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for kind in KINDS:
        options: list[dict[str, Any]] = []
        for name, part in registry.parts(kind).items():
            inner = _schema_of(part, name, definitions)
            inner["description"] = described(part)
            options.append({"const": name, "description": described(part)})
            options.append(_named_schema(name, inner))
            if issubclass(part, Learner) and part.train_options is not None:
                training |= _schema_of(part.train_options, "train", definitions)["properties"]
        definitions[SINGULAR[kind]] = {"anyOf": options} if options else {}
    clusters = [_named_schema(name, _schema_of(kind, name, definitions)) for name, kind in CLUSTERS.items()]
    definitions["cluster"] = {"anyOf": [{"enum": list(CLUSTERS)}, *clusters]}
    definitions["cluster"]["anyOf"].append(_named_schema("address", {"type": "string"}))
    here = {kind: {"$ref": f"#/$defs/{SINGULAR[kind]}"} for kind in KINDS}
    tree = Recipe.model_json_schema()
    sections = tree["properties"]
    sections |= {
        "ingest": sections["ingest"] | here["datasets"],
        "preprocess": sections["preprocess"] | {"items": here["transforms"]},
        "evaluate": sections["evaluate"] | {"items": here["metrics"]},
        "cluster": sections["cluster"] | {"$ref": "#/$defs/cluster"},
        "extends": {"type": "string", "description": "another recipe that this one changes"},
    }
    method = {"anyOf": [here["methods"], {"type": "array", "items": here["methods"]}]}
    sections["train"] = {
        "type": "object",
        "description": sections["train"]["description"],
        "properties": {"method": {**method, "description": "the method, by name, or a list of them"}, **training},
    }
    # What an overlay leaves out, the recipe that it extends gives.
    whole = {"required": tree.pop("required"), "properties": {"train": {"required": ["method"]}}}
    tree["anyOf"] = [{"required": ["extends"]}, whole]
    constraint = tree["$defs"]["Constraint"]["properties"]
    constraint["hold"] |= here["laws"]
    constraint["by"] |= here["enforcers"]
    named = sections.pop(NAMED)
    # An overlay leaves one out of the recipe that it extends.
    named["patternProperties"] = {
        name: {"anyOf": [each, {"type": "null"}]} for name, each in named["patternProperties"].items()
    }
    sections["constrain"] = {
        "description": sections["constrain"]["description"],
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Constraint"}}, named],
    }
    tree["$defs"] |= definitions
    heading = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "thalweg recipe"}
    return {**heading, **_without_titles(tree)}


def _schema_of(model: type[BaseModel], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a part's options. The models inside them go to `definitions`, under a name of the part's own."""
    inner = model.model_json_schema(mode="validation", ref_template=f"#/$defs/{name}.{{model}}")
    definitions |= {f"{name}.{key}": each for key, each in inner.pop("$defs", {}).items()}
    return inner


def _named_schema(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`{NAME: options}`."""
    return {"type": "object", "properties": {name: options}, "required": [name], "additionalProperties": False}


def _without_titles(tree: Any) -> Any:
    """A schema without the titles that are names of classes, and with the parts that its options name by reference."""
    if isinstance(tree, list):
        return [_without_titles(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if isinstance(tree.get("part"), str):
        rest = {key: each for key, each in tree.items() if key not in ("part", "anyOf")}
        tree = {**rest, "$ref": f"#/$defs/{tree['part']}"}
    return {key: _without_titles(each) for key, each in tree.items() if key != "title" or not isinstance(each, str)}
