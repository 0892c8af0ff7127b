"""Committed stages: read through the highest manifest of their place, and compared with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CorruptError
from .claims import generations
from .conditional import names
from .files import filesystem
from .inventory import differences
from .sealed import read_sealed

STAGE_OF: Mapping[str, str] = {"index": "preprocess", "estimate": "constrain"}
"""The stage that writes into a folder of a store, where it is called otherwise."""


@dataclass(frozen=True)
class Committed:
    """A stage that was written whole."""

    folder: str
    """URL of the attempt that counts."""
    manifest: Mapping[str, Any]

    def url(self, name: str = "data") -> str:
        """The URL of one of its groups or files."""
        return f"{self.folder}/{name}"

    @property
    def numbers(self) -> dict[str, float]:
        return dict(self.manifest["numbers"])

    @property
    def nbytes(self) -> int:
        objects = self.manifest["objects"]
        return sum(map(int, objects["chunks"].values())) + sum(int(size) for size, _ in objects["files"].values())

    @property
    def stands(self) -> bool:
        """Whether its manifest is still there: it goes first when a stage is removed."""
        files, path = filesystem(f"{self.folder.rpartition('/')[0]}/{manifest_name(self.manifest['generation'])}")
        files.invalidate_cache()
        return bool(files.exists(path))

    def files(self, under: str = "data") -> list[str]:
        """Names of its files that are not zarr chunks, below a folder."""
        return [name for name in self.manifest["objects"]["files"] if name.startswith(f"{under}/")]

    def content(self, name: str) -> bytes:
        """A file, compared with its checksum. Raises `CorruptError`."""
        files, path = filesystem(f"{self.folder}/{name}")
        try:
            found: bytes = files.cat_file(path)
        except FileNotFoundError:
            found = b""
        if hashlib.sha256(found).hexdigest() != self.manifest["objects"]["files"].get(name, [0, ""])[1]:
            raise CorruptError(f"{self.folder}/{name} is not what was written", advice=repair(self.folder))
        return found

    def check(self) -> None:
        """Raise `CorruptError` if it is not what was committed."""
        wrong = differences(self.folder, self.manifest["objects"])
        if wrong:
            more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
            raise CorruptError(f"{self.folder}: {'; '.join(wrong[:3])}{more}", advice=repair(self.folder))


def manifest_name(generation: int) -> str:
    return f"manifest-{generation:06d}.json"


def read_manifest(place: str, generation: int) -> Committed | None:
    """What a manifest names, unchecked; None if there is none. Raises `CorruptError` for one that was changed."""
    manifest = read_sealed(f"{place}/{manifest_name(generation)}", advice=repair(f"{place}/attempt"))
    return None if manifest is None else Committed(f"{place}/{manifest['attempt']}", manifest)


def newest(place: str) -> Committed | None:
    """What the highest manifest of a place names, unchecked."""
    found = generations(names(place))
    return read_manifest(place, found[-1]) if found else None


def made_since(place: str, generation: int) -> Committed | None:
    """What the highest manifest names, unchecked, if its number is at least `generation`."""
    # The one that is asked for is opened whatever the listing says: that of a network file system may be old.
    return read_manifest(place, max([generation, *generations(names(place))]))


def committed_at(url: str) -> Committed | None:
    """The committed stage that a URL of one of its groups lies in; None for other folders."""
    folder, _, _ = url.rpartition("/")
    place, _, attempt = folder.rpartition("/")
    if not attempt.startswith("attempt-"):
        return None
    for generation in reversed(generations(names(place))):
        found = read_manifest(place, generation)
        if found is not None and found.folder == folder:
            return found
    return None


def repair(folder: str) -> str:
    """How to have the stage of an attempt made again."""
    parts = folder.rsplit("/", 3)
    stage = STAGE_OF.get(parts[-3], parts[-3]) if len(parts) > 2 else "STAGE"
    return f"run the same command with `--from {stage}`: this stage and the later ones are made again"
