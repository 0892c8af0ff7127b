"""What a worker process on this machine loads before its first task (Dask's `preload`).

A signal that a terminal, `timeout` or a service manager sends to all processes is answered by the one that waits for
the others: it closes the workers. A worker that answered it as well would be taken for lost, and started again.
"""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType
from typing import Any


def dask_setup(worker: Any) -> None:  # noqa: ARG001
    """Leave SIGINT and SIGTERM to the process that started this one, and what became of a task too."""
    own = os.getpid()

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        # Not SIG_IGN, which the processes of a data loader would inherit: those are ended by SIGTERM.
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    # Its only warning: a task that the run gave up was cancelled.
    logging.getLogger("distributed.worker.state_machine").setLevel(logging.ERROR)
    logging.getLogger("distributed.worker").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """What a task raises is raised in the run, which says it once."""
    return not str(record.msg).startswith("Compute Failed")
