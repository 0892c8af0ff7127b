"""Fingerprints of sources: texts that change when a file, a folder or what a URL serves does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from thalweg import SourceError, boundaries, credentials

from ._reach import Options, filesystem, info, is_remote, local_path, require, unreachable

MEBI = 1 << 20
ZARR_METADATA = ("zarr.json", ".zmetadata", ".zgroup", ".zarray", ".zattrs")


def fingerprint_of(url: str, storage_options: Options = None) -> str:
    """A text that changes when the source does; reads at most 2 MiB of a file, and a folder's listing and metadata."""
    require(url, storage_options)
    if is_remote(url):
        return digest(remote_marks(url, storage_options))
    path = local_path(url)
    return digest(_folder_marks(path) if path.is_dir() else _file_marks(path))


def fingerprint_of_all(urls: Iterable[str], storage_options: Options = None) -> str:
    """The fingerprint of many files, which are known to be there; by size and time of change only."""
    from concurrent.futures import ThreadPoolExecutor

    def marks(url: str) -> list[str]:
        if is_remote(url):
            return remote_marks(url, storage_options)
        status = local_path(url).stat()
        return [url, str(status.st_size), str(status.st_mtime_ns)]

    with ThreadPoolExecutor(8) as pool:
        return digest(mark for each in pool.map(marks, urls) for mark in each)


def fingerprint_of_each(urls: Iterable[str], storage_options: Options = None) -> str:
    """The fingerprint of a list of files or zarr stores: of their names, too, and of what each of them holds."""
    return digest(mark for url in urls for mark in (credentials.bare(url), fingerprint_of(url, storage_options)))


def digest(marks: Iterable[str]) -> str:
    """One short text for many."""
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()


def _file_marks(path: Path) -> list[str]:
    status = path.stat()
    with path.open("rb") as file:
        head = file.read(MEBI)
        file.seek(max(0, status.st_size - MEBI))
        ends = hashlib.sha256(head + file.read(MEBI)).hexdigest()
    return [str(status.st_size), str(status.st_mtime_ns), ends]


def _folder_marks(path: Path) -> list[str]:
    marks = []
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        status = file.stat()
        marks += [file.relative_to(path).as_posix(), str(status.st_size), str(status.st_mtime_ns)]
        if file.name in ZARR_METADATA:
            marks.append(hashlib.sha256(file.read_bytes()).hexdigest())
    return marks


def remote_marks(url: str, storage_options: Options) -> list[str]:
    """What a server says of a source that changes with it. Raises `SourceError`."""
    system, path = filesystem(url, storage_options)
    try:
        known = info(system, path)
        # http knows no folders; asking it for zarr's metadata is left out for what is clearly a file.
        clearly = Path(path.partition("?")[0]).suffix not in ("", ".zarr") or "?" in path
        folder = not clearly and is_zarr(url, storage_options)
        if known.get("type") == "directory" or folder:
            return [credentials.bare(url), *_remote_zarr_marks(system, path)]
    except SourceError:
        raise
    except Exception as error:
        raise unreachable(url, error) from error
    names = ("size", "ETag", "etag", "Last-Modified", "LastModified", "Content-MD5", "md5Hash", "created", "mtime")
    marks = [f"{name}={known[name]}" for name in names if known.get(name) is not None]
    if len(marks) < 2:  # a size alone does not change with the values
        try:
            head = boundaries.patiently(lambda: system.cat_file(path, start=0, end=MEBI))
        except Exception as error:
            raise unreachable(url, error) from error
        marks.append(hashlib.sha256(head).hexdigest())
    return [credentials.bare(url), *marks]


def _remote_zarr_marks(system: Any, path: str) -> list[str]:
    marks = []
    for name in ZARR_METADATA:
        try:
            marks += [name, hashlib.sha256(system.cat_file(f"{path.rstrip('/')}/{name}")).hexdigest()]
        except FileNotFoundError:
            continue
    try:
        found = system.find(path, detail=True)
    except (NotImplementedError, FileNotFoundError):
        found = {}  # http has no listing to rely on
    return marks + [
        f"{name} {each.get('size')} {each.get('ETag') or each.get('mtime')}" for name, each in found.items()
    ]


def is_zarr(url: str, storage_options: Options = None) -> bool:
    """Whether `url` is a zarr store, by what it holds."""
    if not is_remote(url):
        folder = local_path(url)
        return folder.is_dir() and any((folder / name).exists() for name in ZARR_METADATA)
    system, path = filesystem(url, storage_options)
    if "?" in path:
        return False
    return any(
        _is_metadata(url, system, f"{path.rstrip('/')}/{name}") for name in ("zarr.json", ".zmetadata", ".zgroup")
    )


def _is_metadata(url: str, system: Any, path: str) -> bool:
    """Whether zarr's metadata lies there: some servers answer every address with a page."""
    try:
        found = json.loads(boundaries.patiently(lambda: system.cat_file(path)))
    except ValueError:
        return False
    except Exception as error:
        if boundaries.is_absent(error):
            return False
        raise unreachable(url, error) from error
    return isinstance(found, dict) and not found.keys().isdisjoint({"zarr_format", "zarr_consolidated_format"})
