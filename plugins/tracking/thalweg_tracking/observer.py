"""When events are sent: at once if the tracker answers, later if not. A tracker that is down never holds up a run."""

from __future__ import annotations

import json
import logging
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .events import Event
from .journal import Journal, State, locked
from .place import link, tracking_uri

if TYPE_CHECKING:
    from thalweg.run import Run

log = logging.getLogger("thalweg")

PAUSES = (0.2, 0.5, 1.0)
"""Seconds between tries."""
PATIENCE = 6.0
"""Seconds after which no further try is begun."""
REST = 60.0
"""Seconds for which a tracker that failed is left alone while a run goes on."""
_PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


def began(run: Run, event: Event) -> None:
    """Record the start, and send what this and earlier runs left."""
    Journal(run.folder).append(event)
    if not drain(run.folder, uri=tracking_uri(run.folder)):
        _drain_beside(run)
    _write_link(run)


def went_on(run: Run, event: Event) -> None:
    """Record an event, and send it unless the tracker rests; learning curves at most once a second."""
    journal = Journal(run.folder)
    journal.append(event)
    state = journal.state()
    early = state is not None and time.time() < state.not_before
    if state is None or not early or not (state.failing or event["event"] == "progressed"):
        drain(run.folder)


def ended(run: Run, event: Event) -> None:
    """Record the end, send what can be sent, and tell what could not."""
    journal = Journal(run.folder)
    journal.append(event)
    state = journal.state()
    left = drain(run.folder, pauses=() if state and state.failing else None)
    if left:
        log.warning(
            "%d events of %s are not in MLflow yet: they wait in %s; the next run sends them, or "
            "`python -m thalweg_tracking %s`",
            left,
            run.title,
            journal.spool,
            Path(run.folder).parent.parent,
        )
    else:
        _drain_beside(run)
    _write_link(run)


def drain(folder: str | Path, *, uri: str | None = None, pauses: tuple[float, ...] | None = None) -> int:
    """Send what waits in a run's folder; gives the number of events that still do. Raises nothing that MLflow does."""
    journal = Journal(folder)
    if not journal.spool.exists():
        return 0
    with locked(journal.folder / "spool.lock", seconds=PATIENCE) as mine:
        state = journal.state(uri) or State(uri or tracking_uri(folder))
        if not mine:
            return len(list(journal.waiting(state)))
        until = time.monotonic() + PATIENCE
        for pause in (*(PAUSES if pauses is None else pauses), None):
            try:
                _send(journal, state)
            except Exception as error:
                if pause is not None and time.monotonic() < until:
                    time.sleep(pause)
                    continue
                if not state.failing:
                    why = f"{type(error).__name__}: {error}".split("\n", 1)[0]
                    log.warning("MLflow at %s does not answer; the run goes on (%s)", state.tracking_uri, why[:300])
                state.failing, state.not_before = True, time.time() + REST
            else:
                state.failing, state.not_before = False, time.time() + 1
            break
        journal.save(state)
        return len(list(journal.waiting(state)))


def drain_store(root: str | Path) -> dict[str, int]:
    """Send what waits in all runs of a store; gives the number of events that still do, by run."""
    left = {}
    for spool in sorted(Path(root).glob("runs/*/spool.jsonl")):
        journal = Journal(spool.parent)
        if next(journal.waiting(journal.state()), None) is not None:
            left[spool.parent.name] = drain(spool.parent, pauses=())
    return left


def _drain_beside(run: Run) -> None:
    own = Path(run.folder).name
    for name, count in drain_store(Path(run.folder).parent.parent).items():
        if name != own:
            log.info("MLflow now has what run %s had left%s", name, f", but {count} events" if count else "")


def _send(journal: Journal, state: State) -> None:
    if next(journal.waiting(state), None) is None:
        return
    from .sender import Sender

    sender = Sender(state)
    if sender.gone():
        state.forget()
    for _, group in groupby(journal.waiting(state), key=lambda each: each[0]["event"]):
        waiting = list(group)
        try:
            sender.send([event for event, _ in waiting])
        except Exception as error:
            if getattr(error, "error_code", "") not in _PERMANENT or not state.run_id:
                raise
            log.warning("MLflow refuses %r of %s: %s", waiting[0][0]["event"], journal.folder.name, error)
        state.sent = waiting[-1][1]
        journal.save(state)


def _write_link(run: Run) -> None:
    file = Path(run.folder) / "links.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**known, "mlflow": link(run.folder)}, indent=1))
