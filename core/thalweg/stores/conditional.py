"""Files that are created only if they are absent, whole or not at all: the one primitive that ownership rests on.

On local disks and NFS this is link(2) of a file that is written and flushed already; on S3 it is a PUT with
`If-None-Match: *`. Who creates `claim-7` or `manifest-2` first has it; all others are refused.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .files import filesystem, writing

if TYPE_CHECKING:
    import fsspec

UNSHARED = "THALWEG_UNSHARED"
"""Environment variable: set to 1, it promises that no other run uses the store at the same time."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_MEMORY = threading.Lock()


def create(url: str, content: bytes, *, prepare: Callable[[int], None] | None = None) -> bool:
    """Create a file with this content; False if there is one with another content already. Raises `StoreError`.

    The content must hold a nonce: where a lost answer made a client try again, it tells our own file from another's.
    `prepare` is called with the open file before it gets its name (local file systems only).
    """
    files, path = filesystem(url)
    with writing(url):
        if is_local(files):
            return _link(Path(path), content, prepare)
        try:
            with _MEMORY:  # fsspec's memory file system looks, then writes
                files.pipe_file(path, content, **({} if _unshared(files, path) else {"mode": "create"}))
        except FileExistsError:
            files.invalidate_cache()
            return bool(files.cat_file(path) == content)
    return True


def _link(target: Path, content: bytes, prepare: Callable[[int], None] | None) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    with draft.open("wb") as handle:
        if prepare is not None:
            prepare(handle.fileno())
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    try:
        return _named(draft, target, content)
    finally:
        draft.unlink(missing_ok=True)


def _named(draft: Path, target: Path, content: bytes) -> bool:
    try:
        os.link(draft, target)
    except FileExistsError:
        # NFS: the answer may be lost and the call repeated; two names of the draft say that it had worked.
        return draft.stat().st_nlink == 2 or target.read_bytes() == content
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            # Without hard links the name is there a moment before its content.
            with target.open("xb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        except FileExistsError:
            return target.read_bytes() == content
    return True


def check_shared(root: str) -> None:
    """Raise `StoreError` unless the store refuses to create a file twice; looked at once in a process."""
    if os.environ.get(UNSHARED, "") not in ("1", "true"):
        _check_shared(root)


@lru_cache(maxsize=16)
def _check_shared(root: str) -> None:
    files, path = filesystem(root)
    if is_local(files) or "memory" in protocols(files):
        return
    probe = f"{path}/.probe-{uuid.uuid4().hex}"
    with writing(root):
        try:
            files.pipe_file(probe, b"1", mode="create")
            refused = False
            with suppress(FileExistsError):
                files.pipe_file(probe, b"2", mode="create")
                refused = True
            refused = not refused
        except (TypeError, NotImplementedError, ValueError):
            refused = False
        finally:
            with suppress(Exception):
                files.rm_file(probe)
    if not refused:
        raise StoreError(
            f"{root}: this store does not refuse to create a file twice (PUT with If-None-Match), so that two runs "
            "could both commit a stage",
            allowed="a local disk, NFS, or an object store with conditional writes, such as AWS S3",
            advice=f"use another `store:`, or set {UNSHARED}=1 if no other run uses this one at the same time",
        )


def _unshared(files: fsspec.AbstractFileSystem, path: str) -> bool:
    """Whether to write without a condition, after looking."""
    if os.environ.get(UNSHARED, "") not in ("1", "true") or "memory" in protocols(files):
        return False
    files.invalidate_cache()
    if files.exists(path):
        raise FileExistsError(path)
    return True


def is_local(files: fsspec.AbstractFileSystem) -> bool:
    """Whether these are files of the operating system."""
    return "file" in protocols(files)


def protocols(files: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def names(url: str) -> list[str]:
    """Names of what a folder holds, sorted; nothing if there is no folder."""
    files, path = filesystem(url)
    files.invalidate_cache()
    try:
        return sorted(str(each).rstrip("/").rpartition("/")[2] for each in files.ls(path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def move(old: str, new: str) -> None:
    """Give a folder another name, if it is there. On an object store it is copied, its marks last."""
    files, path = filesystem(old)
    _, target = filesystem(new)
    if is_local(files):
        with suppress(FileNotFoundError):
            Path(path).rename(target)
        return
    found = [str(each) for each in files.find(path)]
    for marks in (False, True):
        batch = [each for each in found if ("/.marks/" in each) is marks]
        if batch:
            files.copy(batch, [target + each[len(path) :] for each in batch])
    remove(old)


def remove(url: str, *, unless: Callable[[], bool] = lambda: False) -> bool:
    """Remove a folder, if it is there; whether it was. On a file system it loses its name first, and gets it back if
    `unless` says then that it must stay.
    """
    files, path = filesystem(url)
    if is_local(files):
        doomed = Path(path).with_name(f".removed-{uuid.uuid4().hex[:12]}")
        try:
            Path(path).rename(doomed)
        except FileNotFoundError:
            return False
        if unless():
            doomed.rename(path)
            return False
        shutil.rmtree(doomed, ignore_errors=True)
        return True
    files.invalidate_cache()
    if unless() or not files.exists(path):
        return False
    with suppress(FileNotFoundError):
        files.rm(path, recursive=True)
    files.invalidate_cache()
    return True


def nbytes(url: str) -> int:
    """Bytes of all files of a folder."""
    files, path = filesystem(url)
    files.invalidate_cache()
    return sum(int(info.get("size") or 0) for info in files.find(path, detail=True).values())
