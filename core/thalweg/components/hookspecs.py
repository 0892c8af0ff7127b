"""What a plugin may implement: `register_*` hooks provide parts, the others watch a run.

    from thalweg import Metric, Register, hookimpl

    @hookimpl
    def register_metrics(register: Register[Metric]) -> None:
        from .csi import CSI
        register("csi", CSI)

Import classes inside the hook body: a plugin that is installed but not used must cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import pluggy

if TYPE_CHECKING:
    from ..results.run import Run, Stage
    from . import Dataset, Enforcer, Law, Loss, Method, Metric, Transform, WholeMetric

hookspec = pluggy.HookspecMarker("thalweg")
hookimpl = pluggy.HookimplMarker("thalweg")

Kind = TypeVar("Kind", contravariant=True)


class Register(Protocol[Kind]):
    """Handed to each `register_*` hook; it knows which plugin it serves, and raises on the author's line."""

    def __call__(self, name: str, part: type[Kind], /) -> None: ...


@hookspec
def register_datasets(register: Register[Dataset]) -> None:
    """Provide datasets."""


@hookspec
def register_transforms(register: Register[Transform]) -> None:
    """Provide transforms."""


@hookspec
def register_methods(register: Register[Method]) -> None:
    """Provide solvers and learners."""


@hookspec
def register_laws(register: Register[Law]) -> None:
    """Provide laws."""


@hookspec
def register_enforcers(register: Register[Enforcer]) -> None:
    """Provide enforcers."""


@hookspec
def register_losses(register: Register[Loss]) -> None:
    """Provide losses."""


@hookspec
def register_metrics(register: Register[Metric | WholeMetric]) -> None:
    """Provide metrics."""


@hookspec
def run_started(run: Run) -> None:
    """A run begins, or goes on."""


@hookspec
def progressed(run: Run, stage: str, numbers: Mapping[str, float], step: int) -> None:
    """A stage reports numbers on its way: a learning curve, by epoch."""


@hookspec
def stage_finished(run: Run, stage: Stage) -> None:
    """A stage is committed, or was found committed; `stage.store` is a URL.

    `stage.records` has the scores, `stage.numbers` what it cost.
    """


@hookspec
def run_finished(run: Run, error: BaseException | None) -> None:
    """A run ended, with the error that ended it if there was one."""
