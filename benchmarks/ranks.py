"""Two ranks against one at the same total batch, on this machine: seconds of a step, efficiency, and a cost model.

    python benchmarks/ranks.py [--width 256] [--epochs 4]

Each rank has one thread, so that two ranks have twice the processors of one. With C the seconds of a step on one rank,
P the parameters, and l and w the latency and the bytes per second of an all-reduce, a step on N ranks takes

    t(N) = C / N + 2 (N - 1) / N * 4 P / w + l

if nothing overlaps; DistributedDataParallel overlaps the exchange with the backward pass, so this is the worst case.
l and w are measured, too: gloo between two processes of this machine, all-reducing 1 kB and the gradient of 8.7 M
parameters. docs/scaling.md reads the formula.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing import SimpleQueue
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import xarray as xr
from thalweg import Samples
from thalweg.cluster import Workers, cluster_from
from thalweg.stores.arrays import lay_out, put, read
from thalweg.testing import windowed
from thalweg.testing.toy_learner import ToyLearner, learn

STEPS, BATCH, INPUTS, TARGETS = 200, 8, 12, 12


def stored(folder: Path) -> xr.Dataset:
    values = np.random.default_rng(0).standard_normal((STEPS, 64, 64)).astype("f4")
    data = windowed(xr.Dataset({"field": (("time", "y", "x"), values)}), inputs=INPUTS, targets=TARGETS)
    lay_out(str(folder), data, large={"field": (20, 64, 64)})
    put(str(folder), "field", (slice(None),) * 3, values)
    return read(str(folder))


def seconds_per_step(data: xr.Dataset, workers: Workers, folder: Path, *, ranks: int, width: int, epochs: int) -> float:
    """From the fastest epoch but the first, validation included."""
    ends: list[float] = []

    def report(_: Mapping[str, float], step: int) -> None:
        assert step == len(ends)
        ends.append(time.perf_counter())

    learn(
        ToyLearner(width=width), data, folder, workers=workers, report=report, ranks=ranks, epochs=epochs, batch=BATCH
    )
    steps = len(Samples.of(data)) / BATCH
    return float(np.diff(ends).min()) / steps


def exchanged(rank: int, port: int, found: SimpleQueue[tuple[float, float]]) -> None:
    """Latency (s) and speed (bytes/s) of an all-reduce between two processes, the best of several."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    seconds = []
    for size, repeats in ((256, 200), (8_700_000, 5)):
        tensor = torch.ones(size)
        taken = []
        for _ in range(repeats):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(tensor)
            taken.append(time.perf_counter() - start)
        seconds.append(min(taken))
    dist.destroy_process_group()
    if rank == 0:
        # On two ranks, 2 (N - 1) / N is 1.
        found.put((seconds[0], 4 * 8_700_000 / (seconds[1] - seconds[0])))


def exchange() -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    found: SimpleQueue[tuple[float, float]] = context.SimpleQueue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=exchanged, args=(rank, port, found)) for rank in (0, 1)]
    for each in processes:
        each.start()
    result = found.get()
    for each in processes:
        each.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster_from({"local": {"workers": 2, "memory": "3GiB"}}).open() as workers,
    ):
        data = stored(Path(folder) / "data")
        one, two = (
            seconds_per_step(
                data, workers, Path(folder) / str(ranks), ranks=ranks, width=given.width, epochs=given.epochs
            )
            for ranks in (1, 2)
        )
    out = sys.stdout
    parameters = given.width * (INPUTS + 1) + TARGETS * (given.width + 1) + 3
    out.write(f"{parameters} parameters, batch {BATCH}: {one:.3f} s/step on 1 rank, {two:.3f} on 2, ")
    out.write(f"efficiency {one / (2 * two):.2f}\n")
    latency, bandwidth = exchange()
    out.write(f"all-reduce between two processes here: {1e3 * latency:.2f} ms and {bandwidth / 1e9:.2f} GB/s; ")
    modelled = one / 2 + 4 * parameters / bandwidth + latency
    out.write(f"the model says {modelled:.3f} s/step on 2, efficiency {one / (2 * modelled):.2f}\n")
    for network, size in (("this one", parameters), ("8.7 M (SEVIR)", 8.7e6), ("100 M", 1e8)):
        for link, speed in (("1 GB/s (TCP)", 1e9), ("20 GB/s (InfiniBand)", 20e9), ("200 GB/s (NVLink)", 200e9)):
            times = [2 * (n - 1) / n * 4 * size / speed for n in (2, 8, 64)]
            out.write(f"all-reduce of {network} at {link}: {', '.join(f'{1e3 * t:.2f}' for t in times)} ms ")
            out.write("on 2, 8, 64 ranks\n")


if __name__ == "__main__":
    main()
