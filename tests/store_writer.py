"""A process that makes one stage of a store: run by the tests of ownership, several at once."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from pathlib import Path

from thalweg.errors import StoreError
from thalweg.stores.attempt import mark
from thalweg.stores.files import write_bytes
from thalweg.stores.store import Store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--lease", type=float, default=30.0)
    parser.add_argument("--patience", type=float, default=120.0)
    parser.add_argument("--step", type=float, default=0.0, help="seconds by which the clock of this process is wrong")
    parser.add_argument("--folder", type=Path, help="where `ready` is written, and `go` waited for")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if given.step:
        real = time.time
        time.time = lambda: real() + given.step
    try:
        with Store(given.root, lease=given.lease).attempt("ingest", "d" * 32, patience=given.patience) as attempt:
            if attempt.committed is not None:
                print("reused")
                return
            write_bytes(attempt.url("data/value"), b"42")
            mark(attempt.folder, "value")
            if given.folder is not None:
                (given.folder / "ready").touch()
                while not (given.folder / "go").exists():
                    threading.Event().wait(0.02)  # sleep fails under libfaketime
            done = attempt.commit({"stage": "ingest", "digest": "d" * 32}, numbers={"value": 42.0})
            print("committed" if done.folder == attempt.folder else "reused")
    except StoreError as error:
        print(type(error).__name__)
        print(error, file=sys.stderr)


main()
