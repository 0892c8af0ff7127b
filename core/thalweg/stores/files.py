"""Small files at any fsspec URL, written in one step."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..boundaries.access import converted, filesystem, patiently
from ..boundaries.reasons import is_absent, is_foreign
from ..errors import CorruptError, ThalwegError

if TYPE_CHECKING:
    import fsspec


__all__ = ["filesystem", "read_json", "write_bytes", "write_json", "writing"]


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Turn a refusal of the file system or the server into a `StoreError` of one line."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ThalwegError) or not (is_foreign(error) or isinstance(error, NotImplementedError)):
            raise
        refused = converted(error, url)
        refused.advice = f"{refused.advice}; what was committed is intact"
        raise refused from error


def read_json(url: str) -> Any:
    """A JSON file, or None if there is none.

    Raises `CorruptError` for what is no JSON, `StoreError` if it cannot be read.
    """
    files, path = filesystem(url)
    try:
        text = patiently(lambda: files.cat_file(path))
    except Exception as error:
        if is_absent(error):
            return None
        raise converted(error, url) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{url} is not JSON ({error})", advice="delete it and run again") from None


def write_json(url: str, value: Any) -> None:
    """Write a JSON file in one step: a reader sees the old one or the new one."""
    write_bytes(url, json.dumps(value, indent=1, default=str).encode())


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


def _protocols(files: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
