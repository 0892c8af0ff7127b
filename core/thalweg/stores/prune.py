"""What no run needs: attempts whose owner is gone, stages that were replaced, stages of runs that were removed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CorruptError, SourceError
from .claims import Claim, generations, tokens
from .committed import manifest_name, read_manifest
from .conditional import names, nbytes, remove
from .files import filesystem
from .lease import DONE, acquire, is_locked
from .references import STAGES, referred
from .store import Store
from .watch import ALIVE, Watch

LEASES = 10
"""Leases without a beat after which an attempt is removed, where a lock does not tell."""

log = logging.getLogger("thalweg")


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be."""

    name: str
    """Its folder, relative to the store."""
    nbytes: int
    why: str


@dataclass
class _Place:
    """A stage of one digest, as it was found."""

    stage: str
    digest: str
    url: str
    claims: list[Claim]
    alive: list[Claim] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.stage}/{self.digest}"


def prune(root: str | Path, *, dry_run: bool = False) -> Iterator[Pruned]:
    """Remove what no run needs, one after the other; with `dry_run`, only say it.

    Kept are: what a live attempt writes or reads, and the stages that a run in ROOT/runs needs. Raises `SourceError` if
    there is no store, and `CorruptError` if a run does not say what it needs.
    """
    store = Store(root)
    places = _places(store)
    if not places and not names(f"{store.root}/runs"):
        raise SourceError(f"{store.root} is no store", allowed="a folder or URL with stages", advice="give --store")
    _find_living(places, store.lease)
    used = {name for place in places for claim in place.alive for name in claim.uses}
    runs, needed = names(f"{store.root}/runs"), referred(store.root)
    for place in places:
        # Runs may have begun since: what they refer to, or write already, is theirs.
        if (now := names(f"{store.root}/runs")) != runs:
            runs, needed = now, referred(store.root)
        if tokens(names(place.url)) != [claim.token for claim in place.claims]:
            continue
        if (place.stage, place.digest) in needed or place.alive or any(n.startswith(place.name + "/") for n in used):
            yield from _trim(place, used, dry_run=dry_run)
            continue
        size = nbytes(place.url)
        if not dry_run:
            # The manifests first: a reader that was not seen then knows that the stage is gone.
            for generation in generations(names(place.url)):
                _remove_file(f"{place.url}/{manifest_name(generation)}")
        if dry_run or remove(place.url):
            yield Pruned(place.name, size, "no run needs it")


def _places(store: Store) -> list[_Place]:
    found = []
    for stage in STAGES:
        for digest in names(f"{store.root}/{stage}"):
            if re.fullmatch(r"[0-9a-f]{32}", digest):
                url = store.place(stage, digest)
                watch = Watch(url, lease=store.lease)
                found.append(_Place(stage, digest, url, [watch.claim(token) for token in tokens(names(url))]))
    return found


def _find_living(places: list[_Place], lease: float) -> None:
    """Look on until every owner gave a sign of life, or gave none for long."""
    watches = {place.url: Watch(place.url, lease=LEASES * lease) for place in places}
    open_: dict[tuple[str, int], tuple[_Place, Claim, str]] = {}
    for place in places:
        fenced = {name for claim in place.claims for name in claim.fences}
        for claim in place.claims:
            if claim.attempt in fenced or watches[place.url].look(claim.token) != ALIVE:
                continue
            if is_locked(place.url, claim):
                place.alive.append(claim)
            else:
                open_[place.url, claim.token] = place, claim, watches[place.url].beat(claim)
    if open_:
        log.info("looking on at %d attempts, for up to %g s", len(open_), LEASES * lease)
    while open_:
        time.sleep(lease / 8)
        for key, (place, claim, beat) in list(open_.items()):
            watch = watches[place.url]
            state, now = watch.look(claim.token), watch.beat(claim)
            if state != ALIVE:
                del open_[key]
            elif now != beat:
                place.alive.append(claim)
                del open_[key]


def _trim(place: _Place, used: set[str], *, dry_run: bool) -> Iterator[Pruned]:
    """Remove what a stage that is kept does not need."""
    manifests = {each: _attempt_of(place, each) for each in generations(names(place.url))}
    if None in manifests.values():
        log.warning("%s: a manifest cannot be read, so that nothing is removed here", place.url)
        return
    replaced = {
        generation: attempt
        for generation, attempt in manifests.items()
        if generation != max(manifests) and f"{place.name}/{attempt}" not in used
    }
    for generation, attempt in replaced.items():
        size = nbytes(f"{place.url}/{attempt}")
        if not dry_run:
            _remove_file(f"{place.url}/{manifest_name(generation)}")
        if dry_run or remove(f"{place.url}/{attempt}"):
            yield Pruned(f"{place.name}/{attempt}", size, "it was replaced")
    kept = {*manifests.values(), *(claim.attempt for claim in place.alive)}
    left = [each for each in names(place.url) if each.startswith((".removed-", "attempt-")) and each not in kept]
    if not left or (not dry_run and not _fence(place, left, max([0, *manifests]) + 1)):
        return
    for each in left:
        size = nbytes(f"{place.url}/{each}")

        def committed(name: str = each) -> bool:
            return any(_attempt_of(place, generation) == name for generation in generations(names(place.url)))

        if dry_run or remove(f"{place.url}/{each}", unless=committed):
            yield Pruned(f"{place.name}/{each}", size, "its run ended without a commit")


def _fence(place: _Place, left: list[str], generation: int) -> bool:
    """Forbid these attempts to commit, should their owners come back; False if another took a claim just now."""
    token = max([0, *tokens(names(place.url))]) + 1
    fence = acquire(place.url, token, generation=generation, fences=tuple(left))
    if fence is not None:
        fence.release(DONE)
    return fence is not None


def _attempt_of(place: _Place, generation: int) -> str | None:
    """The attempt that a manifest names; None if it cannot be read."""
    try:
        found = read_manifest(place.url, generation)
    except CorruptError:
        return None
    return None if found is None else str(found.manifest["attempt"])


def _remove_file(url: str) -> None:
    files, path = filesystem(url)
    with suppress(FileNotFoundError):  # another prune was first
        files.rm_file(path)
