"""Where the tracker is, and how to look at it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import unquote

from thalweg import credentials, tracker_uri

from .journal import Journal


def tracking_uri(folder: str | Path) -> str:
    """The tracker of a run: the environment's, or SQLite beside the store's `runs`."""
    given = os.environ.get("THALWEG_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or tracker_uri(Path(folder).resolve().parent.parent)


def database(uri: str) -> Path | None:
    """The file of an SQLite tracker."""
    scheme, _, path = uri.partition(":///")
    if path.startswith("file:"):
        path = unquote(path.removeprefix("file:").partition("?")[0])
    return Path(path).resolve() if scheme == "sqlite" and path and path != ":memory:" else None


def link(folder: str | Path) -> str:
    """How to open MLflow on a run's experiment, charts first."""
    state = Journal(folder).state()
    if state is None or not state.experiment_id:
        uri = state.tracking_uri if state else tracking_uri(folder)
        return f"not there yet: {credentials.masked(uri)} did not answer; the events wait in {Journal(folder).spool}"
    # Without the mode MLflow opens on a table of runs; the charts are what compares them.
    page = f"#/experiments/{state.experiment_id}/runs?compareRunsMode=CHART"
    if state.tracking_uri.startswith("http"):
        return f"{state.tracking_uri.rstrip('/')}/{page}"
    return f"mlflow ui --backend-store-uri {shlex.quote(state.tracking_uri)} --port 5000   then http://127.0.0.1:5000/{page}"
