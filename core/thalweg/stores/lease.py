"""The holder's side of a claim: a beat that changes as long as the process lives, and a lock on local disks.

The kernel frees the lock at once when the process dies, so a killed run is taken up without waiting. A lock alone
excludes nobody who matters: a paused process keeps it, and NFS may drop it unsaid. What counts is the fence at commit.
"""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from .claims import Claim, boot, new_claim, take
from .conditional import is_local
from .files import filesystem, write_bytes

LOCAL = frozenset(
    ["apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay", "tmpfs", "ufs", "xfs", "zfs"]
)
"""File systems of one machine, where a lock that is free means that its holder is gone."""

DONE, OPEN, FAILED = "done", "open", "failed"
"""Last beats: committed; left without a commit, which may still come; ended by an error, to be continued."""

# What fork copies into a child that is no holder: there, locks are closed (the parent's stay locked) and not known.
_held: weakref.WeakSet[Lease] = weakref.WeakSet()


class Lease:
    """A claim that this process holds, until `release`."""

    def __init__(self, place: str, claim: Claim, lock: int | None) -> None:
        self.place, self.claim = place, claim
        self.thread = threading.get_ident()
        self._lock, self._pid, self._over = lock, os.getpid(), threading.Event()
        self._last = ""
        self._beating = threading.Thread(target=self._beat, name=f"beat of {claim.attempt}", daemon=True)
        self._beating.start()
        _held.add(self)

    def release(self, last: str) -> None:
        """Stop the beat and leave its last word; does nothing in a forked child, or twice.

        What is left open keeps its lock: as long as this process lives, nobody takes it over.
        """
        if os.getpid() != self._pid or self._last == last or (self._last and last == OPEN):
            return
        self._last = last
        self._over.set()
        self._beating.join(timeout=self.claim.lease)
        # If it cannot be said, others wait for a beat that does not come.
        with suppress(Exception):
            self._say(last)
        if last != OPEN:
            self.forget()
            _held.discard(self)

    @property
    def over(self) -> bool:
        """Whether it was given back."""
        return bool(self._last)

    def forget(self) -> None:
        """Close the lock's file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _beat(self) -> None:
        while not self._over.wait(self.claim.lease / 4):
            with suppress(Exception):
                self._say(uuid.uuid4().hex)

    def _say(self, text: str) -> None:
        write_bytes(f"{self.place}/{self.claim.beat}", text.encode(), sync=False)


def acquire(place: str, token: int, **fields: Any) -> Lease | None:
    """Take a token of a stage; None if another has it."""
    locks = locks_tell(place)
    claim = new_claim(token, boot=boot() if locks else "", **fields)
    lock: list[int] = []

    def prepare(handle: int) -> None:
        import fcntl

        # Locked before it has its name: nobody ever sees this claim unlocked while we live.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.append(os.dup(handle))
        os.set_inheritable(lock[0], False)

    taken = False
    try:
        taken = take(place, claim, prepare if locks else None)
    finally:
        if not taken:
            for each in lock:
                os.close(each)
    return Lease(place, claim, lock[0] if lock else None) if taken else None


def held_by_this_thread(place: str) -> bool:
    """Whether this very thread holds a claim of a stage: it would wait for itself."""
    return any(each.place == place and each.thread == threading.get_ident() and not each.over for each in _held)


def is_free(place: str, claim: Claim) -> bool:
    """Whether the kernel says that the holder of a claim is gone; False where it cannot tell."""
    return _locked(place, claim) is False


def is_locked(place: str, claim: Claim) -> bool:
    """Whether the kernel says that the holder of a claim is there, though perhaps paused."""
    return _locked(place, claim) is True


def _locked(place: str, claim: Claim) -> bool | None:
    if not claim.boot or claim.boot != boot() or not locks_tell(place):
        return None
    import fcntl

    try:
        with Path(filesystem(f"{place}/{claim.file}")[1]).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def locks_tell(place: str) -> bool:
    """Whether locks of this folder are those of one machine: a local file system of a known kind."""
    files, path = filesystem(place)
    return bool(boot()) and is_local(files) and _kind(path) in LOCAL


@lru_cache(maxsize=64)
def _kind(path: str) -> str:
    """The type of the file system that holds a path."""
    import psutil

    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    resolved = Path(path).resolve()
    return next((mounts[each] for each in (resolved, *resolved.parents) if each in mounts), "")


def _forked() -> None:
    for each in list(_held):
        each.forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
