"""Holding a law on a million cells, against dense algebra, and from store to store against a plain copy."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import zarr
from _timing import in_turn, report
from thalweg_probconserv import condition
from thalweg_probconserv.engine import update

Array = np.ndarray


def case(cells: int, *, rows: int = 1) -> tuple[Array, Array, Array, Array]:
    draw = np.random.default_rng(0)
    mean, variance = draw.normal(size=cells), draw.uniform(0.1, 1.0, cells)
    return mean, variance, draw.uniform(0.5, 1.5, (rows, cells)) / cells, np.ones(rows)


def dense(mean: Array, variance: Array, rows: Array, targets: Array) -> tuple[Array, Array]:
    """The update as it is written, with a covariance of n x n, and a gain as in the published code."""
    prior = np.diag(variance)
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T)
    return mean - gain @ (rows @ mean - targets), prior @ (np.eye(len(mean)) - rows.T @ gain.T)


def million() -> None:
    print("one law on 1e6 cells, float64, diagonal")
    given = case(10**6)
    seconds = in_turn({"condition": lambda: condition(*given)}, repeats=9)["condition"]
    print(f"  {statistics.median(seconds):.3f} s (least {min(seconds):.3f}, most {max(seconds):.3f})")
    for rows, kind in ((1, "float64"), (1, "float32"), (16, "float64")):
        few = [each.astype(kind) for each in case(10**6, rows=rows)]
        tracemalloc.start()
        condition(*few)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  peak beside the arguments, {rows} rows, {kind}: {peak / 8e6:.1f} float64 arrays of n")
    once = statistics.median(in_turn({"16 rows": lambda: condition(*few)}, repeats=3)["16 rows"])
    print(f"  16 rows: {once:.3f} s")


def against_dense() -> None:
    print("\none law on 2001 cells, against dense algebra")
    given = case(2001)
    low = given[1] * 0 + 1e-3
    factor = np.sqrt(low)[:, None] * np.random.default_rng(1).normal(size=(2001, 16))
    np.testing.assert_allclose(condition(*given)[0], dense(*given)[0], rtol=1e-9)
    ways: dict[str, Callable[[], object]] = {
        "dense": lambda: dense(*given),
        "condition": lambda: many(lambda: condition(*given)),
        "with a factor of rank 16": lambda: many(
            lambda: update(given[0], given[1], rows=given[2], targets=given[3], factor=factor)
        ),
    }
    seconds = in_turn(ways, repeats=5)
    for name in list(ways)[1:]:
        ratios = [MANY * a / b for a, b in zip(seconds["dense"], seconds[name], strict=True)]
        print(
            f"  dense / {name}: {statistics.median(ratios):.0f} times ({min(ratios):.0f} to {max(ratios):.0f});"
            f" {statistics.median(seconds[name]) / MANY * 1e6:.0f} us against"
            f" {statistics.median(seconds['dense']) * 1e3:.0f} ms"
        )


MANY = 100


def many(way: Callable[[], object]) -> None:
    for _ in range(MANY):
        way()


def store_to_store() -> None:
    """Two variables of 8 x 720 x 1440 in float32, three rows per field; one thread."""
    print("\nstore to store: mean and variance of 8 x 1036800 cells, 3 rows, float32, one thread")
    folder = Path(tempfile.mkdtemp())
    try:
        draw = np.random.default_rng(0)
        shape, chunks = (8, 720 * 1440), (1, 720 * 360)
        for name in ("mean", "variance"):
            values = draw.uniform(0.5, 1.5, shape).astype("float32")
            zarr.create_array(folder / f"{name}.zarr", data=values, chunks=chunks)
        rows = draw.uniform(0.0, 1.0, (3, shape[1])) / shape[1]
        targets = np.ones((8, 3))

        def through(name: str, change: Callable[..., tuple[da.Array, ...]]) -> None:
            given = [da.from_zarr(str(folder / f"{each}.zarr")) for each in ("mean", "variance")]
            found = change(*given)
            out = [
                zarr.create_array(
                    folder / f"{name}-{i}.zarr", shape=shape, chunks=chunks, dtype="float32", overwrite=True
                )
                for i in range(2)
            ]
            with dask.config.set(scheduler="single-threaded"):
                da.store(list(found), out, lock=False)

        seconds = in_turn(
            {
                "plain copy": lambda: through("copy", lambda mean, variance: (mean, variance)),
                "condition": lambda: through("held", lambda mean, variance: condition(mean, variance, rows, targets)),
            },
            repeats=5,
        )
        report(seconds, against="plain copy")
        held = zarr.open_array(folder / "held-0.zarr")[:].astype("float64")
        print(f"residual after float32: {abs(held @ rows.T - targets).max():.1e} of targets of 1")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    start = time.perf_counter()
    million()
    against_dense()
    store_to_store()
    print(f"\n{time.perf_counter() - start:.0f} s in all")
