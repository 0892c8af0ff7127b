"""Says once that kernels are being compiled, so that a first run is not taken for one that hangs.

Importing this module is enough. Numba tells of a compilation, and not of kernels that it reads from disk.
"""

from __future__ import annotations

import logging

from numba.core import event

log = logging.getLogger("thalweg")


class Compiling(event.Listener):
    """Logs a line at the first compilation."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002
        if not self._told:
            self._told = True
            log.info("compiling kernels, once per machine: later runs read them from disk")

    def on_end(self, event: event.Event) -> None:
        """Nothing: the stage says when it is done."""


event.register("numba:compile", Compiling())  # type: ignore[no-untyped-call]
