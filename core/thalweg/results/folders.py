"""The records of runs: `ROOT/runs/NAME-DIGEST/`, beside the stages, where `compare`, `cite` and people find them.

What a run appends to (its spool) and what its tracker keeps must be local files: for a store that is not, they lie in a
folder of the user's cache, and what others read is copied beside the stages.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..boundaries.access import converted
from ..boundaries.reasons import is_absent
from ..credentials import bare, masked
from ..errors import CorruptError, SourceError, ThalwegError
from ..stores.files import filesystem, read_json, write_bytes
from ..stores.sealed import read_sealed
from ..stores.store import Store
from .records import Record

NO_RUN = {
    True: "name one of these runs, or give the store of another",
    False: "run a recipe with this store, or give the store that has the run",
}
"""What to do where a name is that of no run; by whether there are runs at all."""


def local_root(store: Store) -> Path:
    """Where the records of a store's runs and its tracker lie on this machine: the store, or a folder in the cache."""
    if store.local is not None:
        return store.local
    url = bare(store.root)
    name = re.sub(r"[^\w.-]+", "-", url)[-80:]
    # Two URLs that differ in what a file name cannot hold are two stores.
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "thalweg" / f"{name}-{mark}"


def tracker_uri(root: Path) -> str:
    """MLflow's SQLite file `mlflow.db` in a folder as SQLAlchemy's URI, whatever is in the folder's name."""
    file = str(root.resolve() / "mlflow.db")
    # After `?` SQLAlchemy reads options, and mends nothing that is quoted; SQLite's own URIs can say it.
    return f"sqlite:///file:{quote(file)}?uri=true" if "?" in file else f"sqlite:///{file}"


def publish(folder: str, store: Store, names: Sequence[str]) -> None:
    """Copy files of a run's folder beside the stages of a store that is not local: others read them there."""
    if store.local is None:
        for name in names:
            file = Path(folder) / name
            if file.is_file():
                write_bytes(f"{store.root}/runs/{Path(folder).name}/{name}", file.read_bytes())


def read_run(name: str, store: Store) -> dict[str, Any]:
    """The record of a finished run, by its name, the beginning of it, or its folder.

    Raises `SourceError` if there is none or more than one, `CorruptError` if it is not what a run wrote.
    """
    folder = f"{store.root}/runs"
    wanted = name.replace("/", "-")
    if _is_file(Path(name) / "run.json"):
        return _record(str(Path(name) / "run.json"))
    known = _names(folder)
    found = [each for each in known if each.startswith(wanted)] if wanted else []
    found = [each for each in found if each == wanted] or found
    records = {each: record for each in found if (record := read_json(f"{folder}/{each}/run.json")) is not None}
    if len(records) != 1:
        raise SourceError(
            f"{name[:200]!r} names {len(records) or 'no'} finished run{'s' if records else ''}",
            allowed=", ".join(list(records) or known[:20]) or f"none in {folder}",
            advice="give more of the run's name" if records else NO_RUN[bool(known)],
        )
    (only,) = records
    return _record(f"{folder}/{only}/run.json")


def _record(url: str) -> dict[str, Any]:
    advice = "run its recipe again: what is committed is reused"
    record = read_sealed(url, advice=advice) or {}
    kinds = {"name": str, "digest": str, "records": list, "cite": list}
    try:
        if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
            raise TypeError
        return {**record, "records": tuple(map(Record.of, record["records"]))}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptError(f"{url} is not what this version of a run writes", advice=advice) from None


def _names(folder: str) -> list[str]:
    files, path = filesystem(folder)
    try:
        files.invalidate_cache()
        return sorted(str(each).rstrip("/").rpartition("/")[2] for each in files.ls(path, detail=False))
    except Exception as error:
        if is_absent(error) or isinstance(error, NotADirectoryError):
            return []
        raise converted(error, folder) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def links(folder: str | Path) -> dict[str, str]:
    """What observers left to be shown (`links.json`); nothing, if the file was cut short."""
    try:
        found = read_json(str(Path(folder) / "links.json"))
    except ThalwegError:
        return {}
    return {str(name): masked(str(each)) for name, each in found.items()} if isinstance(found, dict) else {}
