"""The files that a `path` means: one file, a folder, a glob, or a list of these; local, or behind an fsspec URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thalweg import SourceError, boundaries

from ._fingerprint import is_zarr
from ._reach import Options, filesystem, is_remote, require, unreachable

_PRELIMINARY = re.compile(r"[._-](preliminary|prelim|provisional|interim|nrt)(?=[._-]|$)", re.IGNORECASE)
_SIDECARS = (".idx", ".md5", ".sha256", ".txt", ".md", ".part")
"""What lies beside data and holds none."""


def listing(path: str | Sequence[str], *, storage_options: Options = None) -> list[str]:
    """The files that `path` means, each once, in natural order (`f2` before `f10`); a zarr store is one of them.

    A glob has `*`, `?` (on local disks and object stores; in http a question mark begins a query) or `[`. Of a folder,
    hidden files, subfolders and notes (`.txt`, `.md5`, `.idx` ...) are left out; of a final file and a preliminary one
    in a folder or glob, the preliminary. Raises `SourceError`: nothing there,
    nothing that matches, an empty folder, or a file that is named twice.
    """
    given = [path] if isinstance(path, str) else list(path)
    if not given:
        raise SourceError("no path is given", allowed="a path, or a list of paths", advice="name at least one file")
    found = [each for one in given for each in _one(one, storage_options)]
    twice = sorted({each for each in found if found.count(each) > 1}) if len(set(found)) < len(found) else []
    if twice:
        raise SourceError(
            f"{twice[0]!r} is named twice", allowed="each file once", advice="let the globs of `path` not overlap"
        )
    return sorted(found, key=natural)


def without_preliminary(names: Sequence[str]) -> list[str]:
    """Without the files whose final version is among them: `x_preliminary.nc` beside `x.nc`, in any folder of the list.

    Final and preliminary are told apart by a word in the file's name: preliminary, prelim, provisional, interim, nrt.
    """
    bare = [_PRELIMINARY.sub("", each.rpartition("/")[2]) for each in names]
    final = {each.rpartition("/")[2] for each in names}
    return [
        each for each, name in zip(names, bare, strict=True) if name == each.rpartition("/")[2] or name not in final
    ]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts runs of digits as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(each), each) if each.isdigit() else (1, 0, each) for each in parts)


def is_many(path: str | Sequence[str], *, storage_options: Options = None) -> bool:
    """Whether `path` may mean several files: a list, a glob, or a folder that is no zarr store."""
    if not isinstance(path, str):
        return True
    return _globbed(path, storage_options) or (_is_folder(path, storage_options) and not is_zarr(path, storage_options))


def _one(path: str, storage_options: Options) -> list[str]:
    globbed = _globbed(path, storage_options)
    if not globbed:
        require(path, storage_options)
        if is_zarr(path, storage_options) or not _is_folder(path, storage_options):
            return [path]
    system, inner = filesystem(path, storage_options)
    try:
        ask = system.glob if globbed else system.ls
        entries = boundaries.patiently(lambda: ask(inner, detail=True))
    except Exception as error:
        raise unreachable(path, error) from error
    details = list(entries.values()) if isinstance(entries, dict) else list(entries)
    found = [
        _address(system, path, str(each["name"])) for each in details if _holds_data(each, storage_options, system)
    ]
    if not found:
        raise SourceError(
            f"{path!r} {'matches no file' if globbed else 'holds no file'}",
            allowed="a file, a zarr store, or a folder or glob of them",
            advice="check the path",
        )
    return without_preliminary(found)


def _address(system: Any, path: str, name: str) -> str:
    if not is_remote(path):
        return name
    return name if "://" in name else str(system.unstrip_protocol(name))


def _holds_data(entry: dict[str, Any], storage_options: Options, system: Any) -> bool:
    path = str(entry["name"]).rstrip("/")
    name = path.rpartition("/")[2]
    if name.startswith(".") or name.lower().endswith(_SIDECARS):
        return False
    if entry.get("type") == "directory":
        address = path if "://" in path else str(system.unstrip_protocol(path))
        return is_zarr(address, storage_options)
    # A pipe or a device would be waited for without an end.
    return entry.get("type") != "other"


def _globbed(path: str, storage_options: Options) -> bool:
    marks = "*[" if path.startswith(("http://", "https://")) else "*[?"
    if not any(mark in path for mark in marks):
        return False
    if is_remote(path):
        return True
    # A file whose own name has a bracket is that file.
    system, inner = filesystem(path, storage_options)
    return not system.exists(inner)


def _is_folder(path: str, storage_options: Options) -> bool:
    if path.startswith(("http://", "https://")):
        address, query, _ = path.partition("?")
        # To ask http for a folder is to fetch all that lies there: left out for what is clearly a file.
        if query or Path(address).suffix not in ("", ".zarr"):
            return False
    system, inner = filesystem(path, storage_options)
    try:
        return bool(boundaries.patiently(lambda: system.isdir(inner)))
    except Exception as error:
        raise unreachable(path, error) from error
