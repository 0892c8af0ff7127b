"""Which stages a run needs: `ROOT/runs/NAME-DIGEST/stages.json`, in the store, written before its first stage."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from ..errors import CorruptError
from .conditional import names
from .sealed import read_sealed, write_sealed

STAGES = ("ingest", "preprocess", "index", "train", "estimate", "evaluate")
"""Folders of a store that hold stages."""


def refer(root: str, run: str, stages: Mapping[str, Sequence[str]]) -> None:
    """Write down which stages a run needs. Raises `StoreError`."""
    write_sealed(f"{root}/runs/{run}/stages.json", {stage: list(digests) for stage, digests in stages.items()})


def referred(root: str) -> set[tuple[str, str]]:
    """Stage and digest of all that some run needs. Raises `CorruptError` if a run does not say what it needs."""
    found: set[tuple[str, str]] = set()
    for run in (each for each in names(f"{root}/runs") if not each.startswith(".")):
        folder = f"{root}/runs/{run}"
        advice = f"run its recipe again, or remove the run with `rm -r {shlex.quote(folder)}`"
        said = read_sealed(f"{folder}/stages.json", advice=advice)
        if said is None:
            raise CorruptError(f"{folder} does not say which stages it needs (stages.json)", advice=advice)
        found |= {(stage, digest) for stage, digests in said.items() for digest in digests}
    return found
