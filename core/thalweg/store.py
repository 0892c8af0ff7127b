"""Zarr v3 stores that are whole or absent, addressed by what they hold.

    ROOT/STAGE/DIGEST/attempt-ID/        what a process writes: zarr groups, files, and a mark per finished region
    ROOT/STAGE/DIGEST/manifest.json      written last, in one step; names the attempt that counts

Nothing is read but through a manifest, so nothing half-written ever is. An attempt whose process died on this machine
is gone on with: its marked regions stand. Every chunk carries a CRC-32C; the manifest holds the number of objects,
their bytes, and a digest of the metadata, so a lost chunk is noticed too (zarr alone would read it as zeros).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .arrays import missing_chunks
from .errors import CorruptError
from .files import filesystem, read_json, write_json, writing

FORMAT = 1
"""Raised when stages are laid out otherwise; part of every digest."""


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
        return int(self.manifest["objects"]["bytes"])


class Store:
    """All stages under one root, which is any fsspec URL."""

    def __init__(self, root: str | Path) -> None:
        text = str(root)
        self.root = text.rstrip("/") if "://" in text else str(Path(text).expanduser().resolve())

    @property
    def local(self) -> Path | None:
        """The root as a local path, if it is one."""
        return (
            Path(self.root.removeprefix("file://"))
            if "://" not in self.root or self.root.startswith("file://")
            else None
        )

    def place(self, stage: str, digest: str) -> str:
        """Where a stage of this digest belongs."""
        return f"{self.root}/{stage}/{digest}"

    def find(self, stage: str, digest: str) -> Committed | None:
        """A committed stage, or None. Raises `CorruptError` if it is not what was committed."""
        place = self.place(stage, digest)
        manifest = read_json(f"{place}/manifest.json")
        if manifest is None:
            return None
        committed = Committed(f"{place}/{manifest['attempt']}", manifest)
        found = _inventory(committed.folder)
        for key, said in manifest["objects"].items():
            if found[key] != said:
                raise CorruptError(
                    f"{committed.folder}: {key} {found[key]!r}, but {said!r} when committed"
                    f"{missing_chunks(committed.folder)}",
                    advice=f"delete {place} and run again, or run with `--from {stage}`",
                )
        return committed

    def others(self, stage: str, options: str) -> list[Mapping[str, Any]]:
        """Manifests of a stage with the same options, of whatever source: one of them may be of an older source."""
        files, path = filesystem(f"{self.root}/{stage}")
        try:
            places = files.ls(path, detail=False)
        except FileNotFoundError:
            return []
        found = (read_json(f"{self.root}/{stage}/{Path(each).name}/manifest.json") for each in places)
        return [each for each in found if each is not None and each.get("options") == options]

    @contextmanager
    def attempt(self, stage: str, digest: str) -> Iterator[Attempt]:
        """A place to write a stage; what an earlier, dead process left there is taken up."""
        place = self.place(stage, digest)
        with writing(place):
            name = _abandoned(place) or f"attempt-{uuid.uuid4().hex[:12]}"
            folder = f"{place}/{name}"
            write_json(f"{folder}.owner.json", _me())
        yield Attempt(place, name)

    def free_bytes(self) -> int | None:
        """Room that is left, where that can be known."""
        if self.local is None:
            return None
        nearest = next(each for each in (self.local, *self.local.parents) if each.exists())
        usage = shutil.disk_usage(nearest)
        # A file system without size (/proc) has no room to speak of, and refuses by itself.
        return usage.free if usage.total else None


@dataclass(frozen=True)
class Attempt:
    """A stage that is being written."""

    place: str
    name: str

    @property
    def folder(self) -> str:
        return f"{self.place}/{self.name}"

    def url(self, name: str = "data") -> str:
        return f"{self.folder}/{name}"

    def marks(self) -> set[str]:
        """The regions that are finished."""
        files, path = filesystem(f"{self.folder}/.marks")
        try:
            return {Path(each).name for each in files.ls(path, detail=False)}
        except FileNotFoundError:
            return set()

    def commit(self, record: Mapping[str, Any], *, numbers: Mapping[str, float]) -> Committed:
        """Make this attempt the stage: from here on it is read."""
        with writing(self.place):
            files, marks = filesystem(f"{self.folder}/.marks")
            if files.exists(marks):
                files.rm(marks, recursive=True)
            manifest = {
                "format": FORMAT,
                "attempt": self.name,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "objects": _inventory(self.folder),
                "numbers": dict(numbers),
                **record,
            }
            write_json(f"{self.place}/manifest.json", manifest)
            _sweep(self.place, keep=self.name)
        return Committed(self.folder, manifest)


def mark(folder: str, region: str) -> None:
    """Mark a region of an attempt as finished; called by the worker that wrote it."""
    files, path = filesystem(f"{folder}/.marks")
    files.makedirs(path, exist_ok=True)
    files.touch(f"{path}/{region}")


def _inventory(folder: str) -> dict[str, Any]:
    files, path = filesystem(folder)
    files.invalidate_cache()
    found = {name: info for name, info in files.find(path, detail=True).items() if "/.marks/" not in name}
    metadata = hashlib.sha256()
    for name in sorted(found):
        if name.endswith(("zarr.json", "options.json")):
            metadata.update(files.cat_file(name))
    return {
        "count": len(found),
        "bytes": sum(int(info.get("size") or 0) for info in found.values()),
        "metadata": metadata.hexdigest(),
    }


def _me() -> dict[str, Any]:
    import psutil

    return {"host": socket.gethostname(), "pid": os.getpid(), "since": psutil.Process().create_time()}


def _dead(owner: Mapping[str, Any]) -> bool:
    """Whether the process that wrote this is certainly gone: of this machine, and no longer running."""
    import psutil

    if owner.get("host") != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(owner["pid"]).create_time() != owner["since"])
    except psutil.NoSuchProcess:
        return True


def _abandoned(place: str) -> str | None:
    committed = read_json(f"{place}/manifest.json") or {}
    for name, owner in _owners(place):
        if name != committed.get("attempt") and _dead(owner):
            return name
    return None


def _sweep(place: str, *, keep: str) -> None:
    """Remove the attempts of dead processes, and what this one replaced."""
    files, path = filesystem(place)
    for name, owner in _owners(place):
        if name != keep and (_dead(owner) or owner == _me()) and files.exists(f"{path}/{name}"):
            files.rm(f"{path}/{name}", recursive=True)
            files.rm(f"{path}/{name}.owner.json")


def _owners(place: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    files, path = filesystem(place)
    try:
        names = sorted(Path(each).name for each in files.ls(path, detail=False))
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(".owner.json") and not name.startswith("."):
            owner = read_json(f"{place}/{name}")
            if owner is not None:
                yield name.removesuffix(".owner.json"), owner
