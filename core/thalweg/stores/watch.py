"""The observer's side of claims: who lives, judged by our own clock only.

A holder is dead if its lock is free (where locks tell), or if its beat did not change for as long as its lease while we
looked on. No clock of another process or machine is compared with ours, and no pid or host name says anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .claims import Claim, read_claim
from .files import filesystem
from .lease import DONE, FAILED, OPEN, is_free

ALIVE, DEAD = "alive", "dead"


class Watch:
    """Looks on at the claims of a stage. `look` again and again, more often than half a lease."""

    def __init__(self, place: str, *, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._place, self._lease, self._clock = place, lease, clock
        self._claims: dict[int, Claim] = {}
        self._seen: dict[int, tuple[str, float, float]] = {}
        """By token: the beat, since when it is this one, and when it was last looked at."""

    def claim(self, token: int) -> Claim:
        """A claim, read once."""
        if not self._claims.get(token, Claim(0, "", 0)).nonce:
            self._claims[token] = read_claim(self._place, token)
        return self._claims[token]

    def look(self, token: int) -> str:
        """What is known of the holder of a token: alive, dead, done, open, failed."""
        claim = self.claim(token)
        # The time first: if this process is paused after it, the beat that it then reads is a later one.
        now = self._clock()
        beat = self.beat(claim)
        if beat in (DONE, FAILED):
            return beat
        if is_free(self._place, claim):
            last = self.beat(claim)
            return last if last in (DONE, FAILED) else DEAD
        if beat == OPEN:
            return beat
        lease = max(self._lease, claim.lease)
        before, since, looked = self._seen.get(token, ("", now, now))
        # Who looked away for long knows nothing: perhaps both were paused, and this one woke first.
        if token not in self._seen or before != beat or now - looked > lease / 2:
            since = now
        self._seen[token] = beat, since, now
        return DEAD if now - since >= lease else ALIVE

    def beat(self, claim: Claim) -> str:
        """The last sign of life of a holder; empty before the first."""
        files, path = filesystem(f"{self._place}/{claim.beat}")
        try:
            return str(files.cat_file(path).decode(errors="replace"))
        except FileNotFoundError:
            return ""
