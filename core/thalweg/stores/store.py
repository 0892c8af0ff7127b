"""Zarr v3 stores that are whole or absent, addressed by what they hold."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CorruptError, OptionError, StoreError
from .attempt import Attempt
from .claims import Claim, generations, tokens
from .committed import Committed, made_since, newest
from .conditional import check_shared, move, names
from .files import writing
from .lease import DONE, FAILED, OPEN, Lease, acquire, held_by_this_thread, locks_tell
from .watch import ALIVE, DEAD, Watch

LEASE = "THALWEG_LEASE"
"""Environment variable: seconds without a sign of life after which a run counts as dead."""

log = logging.getLogger("thalweg")


class Store:
    """All stages under one root, which is any fsspec URL."""

    def __init__(self, root: str | Path, *, lease: float | None = None) -> None:
        text = str(root)
        self.root = text.rstrip("/") if "://" in text else str(Path(text).expanduser().resolve())
        self.lease = seconds(LEASE, 30.0) if lease is None else lease

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
        committed = newest(self.place(stage, digest))
        if committed is not None:
            committed.check()
        return committed

    def alike(self, stage: str, options: str) -> list[Committed]:
        """All of a stage that were committed with the same `options`, under whatever digest; unchecked."""
        found = []
        for name in names(f"{self.root}/{stage}"):
            try:
                committed = newest(f"{self.root}/{stage}/{name}")
            except CorruptError:
                continue
            if committed is not None and committed.manifest.get("options") == options:
                found.append(committed)
        return found

    @contextmanager
    def attempt(
        self,
        stage: str,
        digest: str,
        *,
        generation: int = 1,
        patience: float | None = None,
        uses: tuple[Committed, ...] = (),
    ) -> Iterator[Attempt]:
        """A folder of one's own to write a stage in; what a dead or failed run finished of it is taken over.

        A stage that is committed is not made again, but for a higher `generation` (see `next_generation`). Where
        another run is at the same one, this one waits for it up to `patience` seconds, and then raises `StoreError`;
        without `patience` it works beside it. Who commits first has made the stage, and `Attempt.committed` or `commit`
        gives it to the others. `uses` are the stages that are read meanwhile: they must still be there at the commit,
        and are not pruned before.
        """
        place = self.place(stage, digest)
        with writing(place):
            check_shared(self.root)
            attempt = self._enter(place, generation, patience, uses)
        try:
            yield attempt
        except BaseException as error:
            lost = None
            with suppress(Exception):
                lost = attempt.superseded() if isinstance(error, Exception) else None
            attempt.leave(FAILED)
            if lost is not None:
                raise lost from error
            raise
        finally:
            # A holder that left without a commit may still make one, as long as no other did.
            attempt.leave(OPEN if attempt.committed is None else DONE)
            attempt.drop()

    def next_generation(self, stage: str, digest: str) -> int:
        """The number of the manifest that replaces what is committed, sound or not."""
        return max([0, *generations(names(self.place(stage, digest)))]) + 1

    def free_bytes(self) -> int | None:
        """Room that is left, where that can be known."""
        if self.local is None:
            return None
        nearest = next(each for each in (self.local, *self.local.parents) if each.exists())
        usage = shutil.disk_usage(nearest)
        # A file system without size (/proc) has no room to speak of, and refuses by itself.
        return usage.free if usage.total else None

    def _enter(self, place: str, generation: int, patience: float | None, uses: tuple[Committed, ...]) -> Attempt:
        """Take a claim: at once, or when those who hold one are dead, or have committed."""
        start, announced = time.monotonic(), False
        refused: set[int] = set()
        watch = Watch(place, lease=self.lease)
        reads = tuple(each.folder.removeprefix(f"{self.root}/") for each in uses)
        while True:
            # A network file system may list what is a minute old; a token that was refused is there.
            known = sorted({*tokens(names(place)), *refused})
            rivals = _rivals(watch, known, generation)
            states = {claim.attempt: watch.look(claim.token) for claim in rivals}
            # After the look: who committed gave up the claim later.
            committed = made_since(place, generation)
            alive = [claim for claim in rivals if states[claim.attempt] == ALIVE]
            if committed is None and alive and patience is not None and not held_by_this_thread(place):
                if time.monotonic() - start > patience:
                    raise _busy(place, alive[-1], patience)
                if not announced:
                    log.info("%s: %s is at it since %s; waiting for it", place, alive[-1].who, alive[-1].since)
                announced = True
                time.sleep(0.1 if locks_tell(place) else self.lease / 15)
                continue
            dead = tuple(name for name, state in states.items() if state == DEAD)
            token = (known or [0])[-1] + 1
            lease = acquire(place, token, generation=generation, fences=dead, uses=reads, lease=self.lease)
            if lease is not None:
                if committed is None:
                    _take_over(lease, [name for name, state in states.items() if state in (DEAD, FAILED)])
                return Attempt(lease, uses, committed)
            refused.add(token)


def _rivals(watch: Watch, taken: list[int], generation: int) -> list[Claim]:
    """Claims on the same manifest that are not fenced off."""
    claims = [watch.claim(token) for token in taken]
    fenced = {name for claim in claims for name in claim.fences}
    return [each for each in claims if each.generation in (0, generation) and each.attempt not in fenced]


def _take_over(lease: Lease, left: list[str]) -> None:
    """Give the folder of the latest attempt that was left our name: whoever wrote there finds it gone."""
    here = set(names(lease.place))
    for name in sorted(left, reverse=True):
        if name in here:
            move(f"{lease.place}/{name}", f"{lease.place}/{lease.claim.attempt}")
            return


def _busy(place: str, claim: Claim, patience: float) -> StoreError:
    return StoreError(
        f"{place}: {claim.who} is at this stage since {claim.since}, and was not done after {patience:g} s",
        allowed="one run at a time at the same stage; others wait for it",
        advice="wait for it, or stop it and run the same command again; THALWEG_WAIT is how long to wait, in seconds",
    )


def seconds(variable: str, default: float) -> float:
    """Seconds that an environment variable gives. Raises `OptionError`."""
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise OptionError(f"{variable}={text!r}", allowed="seconds, more than 0", advice=f"unset {variable}")
    return value
