"""What is done with an event: it is written at once, and sent beside the run. A tracker never holds up a run."""

from __future__ import annotations

import logging
import shlex
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg import credentials, links, stores

from .courier import Courier, Watch
from .events import Event
from .journal import Journal, State, locked
from .place import database, link, tracking_uri

if TYPE_CHECKING:
    from thalweg import Run

log = logging.getLogger("thalweg")

PAUSES = (0.2, 0.5)
"""Seconds between tries."""
REST = 60.0
"""Seconds for which a tracker that failed is left alone while a run goes on."""
_PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")

# The couriers of the runs that this process has under way: hooks are functions, and have nowhere else to keep them.
_COURIERS: dict[str, Courier] = {}


def began(run: Run, event: Event) -> None:
    """Record the start, and begin to send it and what earlier runs left."""
    Journal(run.folder).append(event)
    _write_link(run.folder)
    _courier(run).tell()


def went_on(run: Run, event: Event) -> None:
    """Record an event, and let it be sent."""
    Journal(run.folder).append(event)
    _courier(run).tell()


def ended(run: Run, event: Event) -> None:
    """Record the end, wait a little for what is still to be sent, and tell what could not be."""
    journal = Journal(run.folder)
    journal.append(event)
    courier = _courier(run)
    del _COURIERS[run.folder]
    courier.end()
    left = len(list(journal.waiting(journal.state(credentials.bare(tracking_uri(run.folder))))))
    if left:
        log.warning(
            "%d events of %s are not in MLflow yet: they wait in %s; the next run sends them, or "
            "`python -m thalweg_tracking %s`",
            left,
            run.title,
            journal.spool,
            shlex.quote(str(Path(run.folder).parent.parent)),
        )
    _write_link(run.folder)


def drain(
    folder: str | Path, *, uri: str | None = None, watch: Watch | None = None, pauses: tuple[float, ...] | None = None
) -> int:
    """Send what waits in a run's folder; gives the number of events that still do. Raises nothing that MLflow does."""
    journal = Journal(folder)
    if not journal.spool.exists():
        return 0
    with locked(journal.folder / "spool.lock", seconds=0.0 if pauses == () else 1.0) as mine:
        watch = watch or Watch()
        state = journal.state(None if uri is None else credentials.bare(uri)) or State(
            credentials.bare(uri or tracking_uri(folder))
        )
        if not mine:
            return len(list(journal.waiting(state)))
        for pause in (*(PAUSES if pauses is None else pauses), None):
            try:
                _send(journal, state, watch)
            except Exception as error:
                if pause is not None:
                    time.sleep(pause)
                    continue
                if not state.failing:
                    why = credentials.masked(f"{type(error).__name__}: {error}".split("\n", 1)[0])
                    log.warning("MLflow at %s does not answer; the run goes on (%s)", state.tracking_uri, why[:300])
                state.failing, state.not_before = True, time.time() + REST
            else:
                state.failing, state.not_before = False, 0.0
            break
        journal.save(state)
        watch.failing = state.failing
        return len(list(journal.waiting(state)))


def drain_store(root: str | Path, *, only: str | None = None) -> dict[str, int]:
    """Send what waits in all runs of a store; gives the number of events that still do, by run.

    `only` names a tracker: runs that report to another are left alone.
    """
    left = {}
    for spool in sorted(Path(root).glob("runs/*/spool.jsonl")):
        journal = Journal(spool.parent)
        state = journal.state()
        if only is not None and (state is None or state.tracking_uri != only):
            continue
        if next(journal.waiting(state), None) is not None:
            left[spool.parent.name] = drain(spool.parent, pauses=())
    return left


def _courier(run: Run) -> Courier:
    if run.folder not in _COURIERS:
        folder, uri = run.folder, tracking_uri(run.folder)

        def own(watch: Watch) -> int:
            state = Journal(folder).state(credentials.bare(uri))
            if watch.failing and state is not None and time.time() < state.not_before:
                return 1
            left = drain(folder, uri=uri, watch=watch)
            _write_link(folder)
            return left

        def others() -> None:
            for name, count in drain_store(Path(folder).parent.parent, only=credentials.bare(uri)).items():
                if name != Path(folder).name:
                    log.info("MLflow now has what run %s had left%s", name, f", but {count} events" if count else "")

        _import()
        courier = Courier(folder, own=own, others=others, local=database(uri) is not None)
        courier.start()
        _COURIERS[run.folder] = courier
    return _COURIERS[run.folder]


def _import() -> None:
    """Import MLflow here: in a thread beside the run, its imports and the run's would wait for each other."""
    from .sender import prepare

    prepare()


def _send(journal: Journal, state: State, watch: Watch) -> None:
    if next(journal.waiting(state), None) is None:
        return
    from .sender import Sender

    # The state names the tracker without its password; the environment may give it.
    given = tracking_uri(journal.folder)
    sender = Sender(
        state, uri=given if credentials.bare(given) == state.tracking_uri else state.tracking_uri, watch=watch
    )
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


def _write_link(folder: str | Path) -> None:
    stores.write_json(str(Path(folder) / "links.json"), {**links(folder), "mlflow": link(folder)})
