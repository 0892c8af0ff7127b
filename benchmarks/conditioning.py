"""Holding a law on a million cells, against dense algebra, against a plain copy of stores, on one and two workers."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


SHAPE, CHUNKS = (8, 720 * 1440), (1, 720 * 360)
ROWS = np.random.default_rng(1).uniform(0.0, 1.0, (3, SHAPE[1])) / SHAPE[1]
TARGETS = np.ones((8, 3))


@contextmanager
def stores() -> Iterator[Path]:
    """A folder with a mean and a variance of 8 x 720 x 1440 cells in float32."""
    folder = Path(tempfile.mkdtemp())
    draw = np.random.default_rng(0)
    try:
        for name in ("mean", "variance"):
            values = draw.uniform(0.5, 1.5, SHAPE).astype("float32")
            zarr.create_array(folder / f"{name}.zarr", data=values, chunks=CHUNKS)
        yield folder
    finally:
        shutil.rmtree(folder)


def through(folder: Path, name: str, *, held: bool) -> None:
    """From the two stores to two others."""
    given = [da.from_zarr(str(folder / f"{each}.zarr")) for each in ("mean", "variance")]
    found = condition(*given, ROWS, TARGETS) if held else given
    out = [
        zarr.create_array(folder / f"{name}-{i}.zarr", shape=SHAPE, chunks=CHUNKS, dtype="float32", overwrite=True)
        for i in range(2)
    ]
    da.store(list(found), out, lock=False)


def store_to_store() -> None:
    print("\nstore to store: mean and variance of 8 x 1036800 cells, 3 rows, float32, one thread")
    with stores() as folder:
        with dask.config.set(scheduler="single-threaded"):
            ways = {
                "plain copy": lambda: through(folder, "copy", held=False),
                "condition": lambda: through(folder, "held", held=True),
            }
            report(in_turn(ways, repeats=5), against="plain copy")
        held = zarr.open_array(folder / "held-0.zarr")[:].astype("float64")
        print(f"residual after float32: {abs(held @ ROWS.T - TARGETS).max():.1e} of targets of 1")


def scaling() -> None:
    print("\nthe same on one and on two worker processes of one thread")
    from distributed import Client, LocalCluster

    # The rows travel with the graph, and are large on purpose.
    warnings.filterwarnings("ignore", "Sending large graph")

    quiet = {"dashboard_address": ":0", "silence_logs": 50, "threads_per_worker": 1}
    with (
        stores() as folder,
        LocalCluster(n_workers=1, **quiet) as first,
        LocalCluster(n_workers=2, **quiet) as second,
        Client(first, set_as_default=False) as one,
        Client(second, set_as_default=False) as two,
    ):

        def on(client: Client) -> None:
            with client.as_current(), dask.config.set(scheduler=client):
                through(folder, "held", held=True)

        report(
            in_turn({"one worker": lambda: on(one), "two workers": lambda: on(two)}, repeats=5), against="one worker"
        )


if __name__ == "__main__":
    start = time.perf_counter()
    million()
    against_dense()
    store_to_store()
    scaling()
    print(f"\n{time.perf_counter() - start:.0f} s in all")
