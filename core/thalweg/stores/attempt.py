"""A stage that is being written, in a folder of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import StoreError, SupersededError
from .claims import claims_of
from .committed import Committed, made_since, manifest_name
from .conditional import create, remove
from .files import filesystem, writing
from .inventory import MARKS, taken
from .lease import DONE, FAILED, Lease
from .sealed import sealed
from .watch import DEAD, Watch

FORMAT = 3
"""Raised when stages are laid out otherwise; part of every digest."""

log = logging.getLogger("thalweg")


class Attempt:
    """What the holder of a claim writes. `committed` is there from the start if another made the stage meanwhile."""

    def __init__(self, lease: Lease, uses: tuple[Committed, ...], committed: Committed | None = None) -> None:
        self.place, self.name = lease.place, lease.claim.attempt
        self.committed = committed
        self._lease, self._uses = lease, uses

    @property
    def folder(self) -> str:
        return f"{self.place}/{self.name}"

    def url(self, name: str = "data") -> str:
        return f"{self.folder}/{name}"

    def marks(self) -> set[str]:
        """The regions that are finished."""
        files, path = filesystem(f"{self.folder}/{MARKS}")
        try:
            return {Path(each).name for each in files.ls(path, detail=False)}
        except FileNotFoundError:
            return set()

    def commit(self, record: Mapping[str, Any], *, numbers: Mapping[str, float]) -> Committed:
        """Make this attempt the stage, unless another run committed first: then what that one wrote is given.

        Raises `SupersededError` if another run took over because this one had been paused past its lease, and
        `CorruptError` if something that was written, or read, is no longer there.
        """
        with writing(self.place):
            found = self.committed or self._others() or self._write(record, numbers)
            self.committed = found
            self.leave(DONE)
            self._sweep(found)
        return found

    def leave(self, last: str) -> None:
        """Give the claim back."""
        self._lease.release(last)

    def drop(self) -> None:
        """Remove what this attempt wrote, where another's counts."""
        if self.committed is not None and self.committed.folder != self.folder:
            remove(self.folder)

    def superseded(self) -> SupersededError | None:
        """The error to raise if another run took over, or removed our claim."""
        claims = claims_of(self.place)
        by = next((each for each in claims if self.name in each.fences), None)
        if by is None and any(each.attempt == self.name for each in claims):
            return None
        lease = self._lease.claim.lease
        return SupersededError(
            f"{self.folder}: this run was paused for longer than its lease of {lease:g} s, and "
            f"{by.who if by else 'another run'} took over: what it wrote here does not count",
            advice="run the same command again: it uses what the other commits, or goes on if that one ends",
        )

    def _others(self) -> Committed | None:
        found = made_since(self.place, self._lease.claim.generation)
        if found is not None:
            log.warning("%s: another run committed this stage first, and its result is used", self.place)
        return found

    def _write(self, record: Mapping[str, Any], numbers: Mapping[str, float]) -> Committed:
        if (lost := self.superseded()) is not None:
            raise lost
        manifest = {
            "format": FORMAT,
            "attempt": self.name,
            "generation": self._lease.claim.generation,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "objects": taken(self.folder),
            "numbers": dict(numbers),
            **record,
        }
        for each in self._uses:
            if not each.stands:
                raise StoreError(
                    f"{each.folder} was removed or replaced while this run read it",
                    advice="run the same command again; do not prune a store by hand while runs use it",
                )
        # Last: what was looked at above took a while, and a paused holder wakes up anywhere.
        if (lost := self.superseded()) is not None:
            raise lost
        if not create(f"{self.place}/{manifest_name(self._lease.claim.generation)}", sealed(manifest)):
            if (other := self._others()) is not None:
                return other
            raise StoreError(f"{self.place}: a manifest was refused, and is not there", advice="run it again")
        return Committed(self.folder, manifest)

    def _sweep(self, committed: Committed) -> None:
        """Remove attempts that cannot be committed any more: of dead holders, and our own if another's counts."""
        if committed.folder == self.folder:
            remove(f"{self.folder}/{MARKS}")
        self.drop()
        watch = Watch(self.place, lease=self._lease.claim.lease)
        claims = claims_of(self.place)
        fenced = {name for claim in claims for name in claim.fences}
        generation = self._lease.claim.generation
        for claim in claims:
            if (
                not claim.nonce
                or claim.generation != generation
                or claim.attempt in (self.name, committed.manifest["attempt"])
            ):
                continue
            if claim.attempt in fenced or watch.look(claim.token) in (DEAD, FAILED):
                remove(f"{self.place}/{claim.attempt}")


def mark(folder: str, region: str) -> None:
    """Mark a region of an attempt as finished; called by the worker that wrote it."""
    files, path = filesystem(f"{folder}/{MARKS}")
    files.makedirs(path, exist_ok=True)
    files.touch(f"{path}/{region}")
