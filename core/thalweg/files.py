"""Small files at any fsspec URL, written in one step."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CorruptError, StoreError

if TYPE_CHECKING:
    import fsspec


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Turn a refusal of the file system into a `StoreError` of one line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        reasons = {
            errno.ENOSPC: ("no space is left", "free some, or give another `store:`"),
            errno.EDQUOT: ("the disk quota is used up", "free some, or give another `store:`"),
            errno.EROFS: ("the file system is read-only", "give a `store:` that can be written"),
            errno.EACCES: ("writing is not permitted", "give a `store:` that you may write"),
            errno.EPERM: ("writing is not permitted", "give a `store:` that you may write"),
        }
        why, advice = reasons.get(error.errno or 0, (str(error), "see whether the store can be reached"))
        raise StoreError(f"{url}: {why}", advice=f"{advice}; what was committed is intact") from error


def read_json(url: str) -> Any:
    """A JSON file, or None if there is none."""
    files, path = filesystem(url)
    try:
        return json.loads(files.cat_file(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CorruptError(f"{url} is not JSON ({error})", advice="delete it and run again") from None


def write_json(url: str, value: Any) -> None:
    """Write a JSON file in one step: a reader sees the old one or the new one."""
    write_bytes(url, json.dumps(value, indent=1, sort_keys=True, default=str).encode())


def write_bytes(url: str, content: bytes, *, sync: bool = True) -> None:
    """Write a small file in one step; with `sync`, a local disk has it when this returns."""
    files, path = filesystem(url)
    with writing(url):
        if "file" in _protocols(files):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            with draft.open("wb") as handle:
                handle.write(content)
                if sync:
                    handle.flush()
                    os.fsync(handle.fileno())
            draft.replace(target)
        else:
            files.pipe_file(path, content)


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URL, and the path in it."""
    from fsspec.core import url_to_fs

    files, path = url_to_fs(url)
    return files, path


def _protocols(files: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
