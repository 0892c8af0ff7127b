"""Runs that die: a recipe in a process of its own that kills itself (SIGKILL) at its n-th write.

`committed stages + the same command again = the same scores` is a promise of the pipeline to every plugin; with this a
plugin's author proves it for a recipe of theirs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PRELOAD = [
    "thalweg.commands.cli",
    "thalweg.pipeline",
    "xarray",
    "zarr",
    "dask.array",
    "pandas",
    "pyarrow.parquet",
    "scipy.sparse",
]


def run_and_die(recipe: Path, store: Path, *, at: int, block: int | None = None) -> bool:
    """Run a recipe until its `at`-th write, and die there; False if it finished before.

    A write is a block, a mark, a small file or a manifest: between any two of them lies an instant to die at. `block`
    makes the blocks of ingest and preprocess smaller, so that there are more of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    process = context.Process(target=_run, args=(str(recipe), str(store), at, block))
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the run ended with exit code {process.exitcode}")
    return process.exitcode != 0


def _run(recipe: str, store: str, at: int, block: int | None) -> None:
    from thalweg.results import report, solver
    from thalweg.samples import written
    from thalweg.stages import constrain, evaluate, train, work
    from thalweg.stores import arrays, attempt, blocks, claims, files, sealed

    writes = 0

    def deadly(function: Callable[..., Any], *, half: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == at:
                if half:
                    function(*arguments, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    modules = (
        arrays,
        attempt,
        blocks,
        claims,
        constrain,
        evaluate,
        files,
        report,
        sealed,
        solver,
        train,
        work,
        written,
    )
    # Every name under which a module holds one of the writing functions; odd writes die before, even ones after.
    for name in ("put", "mark", "write_json", "write_bytes", "lay_out", "create"):
        for module in modules:
            # The files of a layout count as one.
            if hasattr(module, name) and (name, module) != ("write_bytes", arrays):
                setattr(module, name, deadly(getattr(module, name), half=at % 2 == 0))
    if block is not None:
        blocks.BLOCK = block
    run_recipe(Path(recipe), Path(store))


def run_recipe(recipe: Path, store: Path) -> None:
    """Run a recipe in this process."""
    from thalweg.pipeline import execute
    from thalweg.recipes.planning import plans
    from thalweg.recipes.registry import Registry

    registry = Registry.installed()
    for plan in plans(recipe, registry=registry, store=str(store)):
        execute(plan, registry=registry)
