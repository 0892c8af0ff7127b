"""What a committed attempt holds: sizes of its zarr chunks, which carry a CRC-32C, and SHA-256 of the other files."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import CorruptError
from .files import filesystem

SMALL = 16 * 2**20
"""Bytes up to which a file is read and compared whenever its stage is looked up; a larger one when it is read."""
MARKS = ".marks"

Inventory = dict[str, dict[str, Any]]
"""`chunks`: size by name; `files`: `[size, sha256]` by name."""


def listing(folder: str) -> dict[str, int]:
    """Sizes of the files of a folder, by name; drafts and marks, whose names begin with a dot, are left out."""
    files, path = filesystem(folder)
    files.invalidate_cache()
    start = len(str(path).rstrip("/")) + 1
    found = {str(name)[start:]: int(info.get("size") or 0) for name, info in files.find(path, detail=True).items()}
    return {name: size for name, size in found.items() if not any(part.startswith(".") for part in name.split("/"))}


def taken(folder: str) -> Inventory:
    """The inventory of a finished attempt. Raises `CorruptError` if a chunk is not there: it would be read as gaps."""
    there = listing(folder)
    wanted = set()
    for name in there:
        if name.endswith("zarr.json"):
            prefix = name.removesuffix("zarr.json")
            wanted |= {prefix + chunk for chunk in _chunks(_content(folder, name))}
    lost = sorted(name for name in wanted if not there.get(name))
    if lost or not there:
        raise CorruptError(
            f"{folder}: {_few(lost) if lost else 'everything'} is missing at the end of the stage",
            advice="see whether something else removes files of the store, and run the same command again",
        )
    return {
        "chunks": {name: there[name] for name in sorted(wanted)},
        "files": {name: [size, checksum(folder, name)] for name, size in there.items() if name not in wanted},
    }


def differences(folder: str, objects: Mapping[str, Any]) -> list[str]:
    """What is not as it was committed, a line each. Chunks are compared by size: whoever reads one checks its CRC."""
    there = listing(folder)
    sizes = {**objects["chunks"], **{name: size for name, (size, _) in objects["files"].items()}}
    found = [
        f"{name} is missing; it had {size} B when committed"
        if name not in there
        else f"{name} has {there[name]} B, but {size} B when committed"
        for name, size in sizes.items()
        if there.get(name) != size
    ]
    found += [f"{name} was not there when committed" for name in there if name not in sizes and _is_metadata(name)]
    if found:
        return found
    for name, (size, said) in objects["files"].items():
        if size <= SMALL and checksum(folder, name) != said:
            kind = " (metadata)" if _is_metadata(name) else ""
            found.append(f"{name}{kind} is not what was written: its SHA-256 is another than when committed")
    return found


def checksum(folder: str, name: str) -> str:
    """The SHA-256 of a file."""
    files, path = filesystem(f"{folder}/{name}")
    with files.open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _content(folder: str, name: str) -> Any:
    files, path = filesystem(f"{folder}/{name}")
    return json.loads(files.cat_file(path))


def _chunks(node: Mapping[str, Any]) -> Iterator[str]:
    """Names of all chunks of an array, relative to it."""
    if node["node_type"] != "array":
        return
    chunks = node["chunk_grid"]["configuration"]["chunk_shape"]
    encoding = node["chunk_key_encoding"]
    default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
    head = ["c"] if default else []
    for at in itertools.product(*(range(-(-size // chunk)) for size, chunk in zip(node["shape"], chunks, strict=True))):
        yield separator.join([*head, *map(str, at)]) or "0"


def _is_metadata(name: str) -> bool:
    return name.rpartition("/")[2] == "zarr.json"


def _few(lines: list[str]) -> str:
    return ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
