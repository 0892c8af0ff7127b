"""Sending beside the run: a thread for each run, so that a tracker costs the run only what is waited for at its end.

The tracker of a run may be down, slow, wrong or silent; none of that is the run's business. Events are on disk before
they are sent, so a courier that is left behind loses nothing: what it did not send, the next run sends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("thalweg")

BUDGET = 5.0
"""Seconds for which a run waits for its tracker, in all; for a local database, seconds without any progress."""
BETWEEN = 1.0
"""Seconds between two rounds, so that a learning curve is sent in batches."""


class Watch:
    """What the sender tells of its progress."""

    def __init__(self) -> None:
        self.calls = 0
        """Calls that the tracker answered."""
        self.opening = False
        """Whether the tables of a new local database are being made, which takes seconds and happens once."""
        self.failing = False
        """Whether the last try failed: there is nothing to wait for."""


class Courier(threading.Thread):
    """Sends what is in a run's journal whenever it is told of something new."""

    def __init__(
        self, folder: str | Path, *, own: Callable[[Watch], int], others: Callable[[], None], local: bool
    ) -> None:
        super().__init__(name=f"tracking {Path(folder).name}", daemon=True)
        self._own, self._others, self._local = own, others, local
        self._watch = Watch()
        self._news, self._ending, self._sent = threading.Event(), threading.Event(), threading.Event()

    def tell(self) -> None:
        """There is something new."""
        self._news.set()

    def run(self) -> None:
        """Send until told to end; nothing that goes wrong here ends anything else."""
        try:
            while True:
                self._news.wait()
                ending = self._ending.is_set()
                self._news.clear()
                left = self._own(self._watch)
                if ending:
                    self._sent.set()
                if not left:
                    self._others()
                if ending:
                    return
                self._ending.wait(BETWEEN)
        except Exception as error:
            log.warning("tracking failed: %s: %s", type(error).__name__, error)
        finally:
            self._sent.set()

    def end(self, *, clock: Callable[[], float] = time.monotonic, pause: float = 0.1) -> None:
        """Let it send the rest, for as long as the budget allows; a courier that hangs is left behind."""
        began = seen = clock()
        calls = self._watch.calls
        self._ending.set()
        self._news.set()
        while not self._watch.failing and not self._sent.wait(pause):
            if self._local and (self._watch.opening or self._watch.calls != calls):
                seen, calls = clock(), self._watch.calls
            if clock() - (seen if self._local else began) >= BUDGET:
                return
        while not self._watch.failing and self.is_alive() and clock() - began < BUDGET:
            self.join(pause)
