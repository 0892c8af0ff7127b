"""A run's journal, and how much of it a tracker has.

    FOLDER/spool.jsonl     an event a line, appended as it happens, never rewritten
    FOLDER/mlflow.json     which MLflow run it is, and how far that run has got

What lies behind `sent` waits. Sending is idempotent, so a process may die between sending and saying so.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .events import Event


@dataclass
class State:
    """What is known of the MLflow run at one tracking URI."""

    tracking_uri: str
    run_id: str = ""
    experiment_id: str = ""
    sent: int = 0
    """Bytes of the spool."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """The last value by key and step, so that a resumed run repeats nothing."""
    failing: bool = False
    not_before: float = 0.0
    """When it is worth trying again, seconds since the epoch."""

    def forget(self) -> None:
        """Begin again: the MLflow run is gone."""
        self.run_id, self.experiment_id, self.sent, self.metrics = "", "", 0, {}


class Journal:
    """The journal in a run's folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.spool = self.folder / "spool.jsonl"
        self._file = self.folder / "mlflow.json"

    def append(self, event: Event) -> None:
        """Write an event; a line that a killed process left unfinished is closed first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.spool.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(event).encode() + b"\n")

    def state(self, tracking_uri: str | None = None) -> State | None:
        """The state at a URI, by default the one last used; another URI starts from the beginning."""
        known = self._known()
        uri = tracking_uri or known.get("tracking_uri")
        if uri is None:
            return None
        found = known if known.get("tracking_uri") == uri else known.get("elsewhere", {}).get(uri, {})
        kinds = {each.name: type(each.default) if each.default is not MISSING else dict for each in fields(State)}
        whole: dict[str, Any] = {
            key: value for key, value in found.items() if key in kinds and isinstance(value, kinds[key])
        }
        return State(**{**whole, "tracking_uri": uri})

    def save(self, state: State) -> None:
        """Keep a state, beside those at other URIs."""
        known = self._known()
        elsewhere = dict(known.pop("elsewhere", {}))
        if known:
            elsewhere[known["tracking_uri"]] = known
        elsewhere.pop(state.tracking_uri, None)
        partial = self._file.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({**asdict(state), "elsewhere": elsewhere}, indent=1))
        partial.replace(self._file)

    def _known(self) -> dict[str, Any]:
        """What was kept; nothing, if the file was cut short: sending again is harmless."""
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        whole = isinstance(known, dict) and isinstance(known.get("tracking_uri"), str)
        elsewhere = known.get("elsewhere", {}) if whole else None
        good = isinstance(elsewhere, dict) and all(isinstance(each, dict) for each in elsewhere.values())
        return known if good else {}

    def waiting(self, state: State | None) -> Iterator[tuple[Event, int]]:
        """Events that were not sent, each with the place in the spool where it ends."""
        try:
            file = self.spool.open("rb")
        except FileNotFoundError:
            return
        with file:
            end = file.seek(state.sent if state else 0)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "event" in event:
                    yield event, end


@contextmanager
def locked(file: Path, *, seconds: float) -> Iterator[bool]:
    """Hold a lock file, or find after some seconds that another does."""
    until = time.monotonic() + seconds
    with file.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    yield False
                    return
                time.sleep(0.05)
            else:
                yield True
                return
