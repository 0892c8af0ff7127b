"""What observers see: a run, and its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .records import Record

STAGES = ("ingest", "preprocess", "train", "constrain", "evaluate")


@dataclass(frozen=True)
class Stage:
    """A stage that is committed. `numbers` are plain: seconds, bytes; scores are records."""

    name: str
    store: str
    digest: str
    reused: bool
    numbers: Mapping[str, float] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    """Scores, in the order of the recipe; of `evaluate`."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Local files to be kept with the run, by their path in it (`figures/estimate.png`)."""


@dataclass(frozen=True)
class Run:
    """One execution of a plan; the same `digest` is the same run, also when it is resumed."""

    name: str
    experiment: str
    digest: str
    folder: str
    """A local folder of the run's own, for records and spools."""
    recipe: Mapping[str, Any]
    """The resolved recipe."""
    tags: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    """Local files to be kept with the run from its start (`recipe.yaml`, `plan.txt`)."""

    @property
    def title(self) -> str:
        """`recipe-name/digest`."""
        return f"{self.name}/{self.digest[:10]}"
