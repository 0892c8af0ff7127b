"""The loader against numpy reading a memory map: MB/s of the same windows in the same order, in one run.

    python benchmarks/loader.py [--events 24] [--repeat 3]

numpy reads the windows of a batch from a map of the uncompressed bytes, which the page cache holds, and stacks them
(`stack`), or copies them into memory that is there already (`into`, the ceiling). The loader reads the same batches
from a zarr store: decoded, checked by CRC-32C where a codec says so, cut, in two sets of buffers. Two kinds of data,
synthetic: (event, 49, 384, 384) uint8, about 4/5 zeros, windows of 25 frames, 3 to an event, 8 to a batch; and (time,
180, 360) float32, smooth with noise, windows of 26 steps, 8 to a batch.

With `kept` the loader keeps what it decoded in a temporary file, as a training does, and an epoch after the first is
timed; `disk` says how much that takes, over the size of the store.

`/ stack` and `/ into` are ratios by the clock; `work` is that of `into` by the time of all processors, which others on
the machine do not spoil, and which counts the loader's two threads twice. `decoded` is how often a chunk was decoded or
mapped in an epoch, `stall` the share of an epoch spent waiting where each batch is used for 20 ms, `memory` the peak
beyond the batch in use, in batches.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from scipy.ndimage import gaussian_filter
from thalweg import Samples
from thalweg.learning.loader import Loader
from thalweg.learning.order import batches
from thalweg.learning.reader import Reader, reader_of
from thalweg.samples import Windows
from thalweg.stores.arrays import read
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

Array = np.ndarray[Any, Any]
BATCH = 8

CODECS: dict[str, list[Any]] = {
    "zstd-3 + crc": [ZstdCodec(level=3), Crc32cCodec()],
    "lz4 + crc": [BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle"), Crc32cCodec()],
    "lz4 bitshuffle + crc": [BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
    "crc": [Crc32cCodec()],
    "none": [],
}


def radar(events: int) -> Array:
    """Blobs that change slowly, in a field that is mostly zero."""
    random = np.random.default_rng(0)
    made = np.empty((events, 49, 384, 384), np.uint8)
    for event in made:
        coarse = gaussian_filter(random.standard_normal((49, 96, 96)), (2, 4, 4))
        coarse = np.clip((coarse - np.quantile(coarse, 0.79)) / coarse.max() * 400, 0, 250)
        fine = np.kron(coarse, np.ones((1, 4, 4)))
        event[:] = fine + (fine > 0) * random.integers(0, 4, fine.shape)
    return made


def temperature(steps: int) -> Array:
    random = np.random.default_rng(0)
    base = gaussian_filter(random.standard_normal((180, 360)), 5) * 100
    change = gaussian_filter(random.standard_normal((steps, 45, 90)), (3, 2, 2)) * 10
    return (base + np.kron(change, np.ones((1, 4, 4))) + 0.01 * random.standard_normal((steps, 180, 360))).astype("f4")


def stored(values: Array, folder: Path, chunks: tuple[int, ...], codecs: list[Any]) -> xr.Dataset:
    """The values as a store, with the index of their windows."""
    events = values.dtype == np.uint8
    dims = ["event", "frame", "y", "x"] if events else ["time", "latitude", "longitude"]
    shutil.rmtree(folder, ignore_errors=True)
    array = zarr.open_group(folder, mode="w").create_array(
        "field", shape=values.shape, dtype=values.dtype, chunks=chunks, compressors=codecs or None, dimension_names=dims
    )
    array[:] = values
    begin = np.tile([0, 12, 24], len(values)) if events else np.arange(len(values) - 25)
    index = Windows(
        dim=dims[-3],
        series="event" if events else None,
        begin=begin,
        row=np.repeat(np.arange(len(values)), 3) if events else np.zeros_like(begin),
        inputs=13 if events else 12,
        targets=12 if events else 14,
    )
    return index.on(read(str(folder)))


def windows(reader: Reader, order: list[Array]) -> list[list[tuple[Any, ...]]]:
    """The index of each window in the array."""
    index = reader.samples.index
    begin, length = index.begin, index.inputs + index.targets
    rows = index.row if index.series else None
    return [
        [(*(() if rows is None else (rows[i],)), slice(begin[i], begin[i] + length)) for i in batch] for batch in order
    ]


def timed(read_all: Callable[[], int]) -> tuple[float, float]:
    """MB/s, by the clock and by the time of all processors."""
    start, busy = time.perf_counter(), time.process_time()
    nbytes = read_all()
    return nbytes / (time.perf_counter() - start) / 1e6, nbytes / (time.process_time() - busy) / 1e6


def measured(
    values: Array,
    mapped: Array,
    data: xr.Dataset,
    shuffle: Literal["blocks", "windows"],
    repeat: int,
    *,
    folder: Path | None,
) -> dict[str, float]:
    reader: Any = reader_of(Samples.of(data), batch=BATCH, folder=folder)
    order = batches(reader, batch=BATCH, seed=0, epoch=0, shuffle=shuffle)
    index = windows(reader, order)
    memory = np.zeros((BATCH, *values[index[0][0]].shape), values.dtype)

    def stack() -> int:
        return sum(np.stack([mapped[each] for each in batch]).nbytes for batch in index)

    def into() -> int:
        for batch in index:
            for slot, each in zip(memory, batch, strict=False):
                slot[:] = mapped[each]
        return sum(len(batch) for batch in index) * int(memory[0].nbytes)

    loader = Loader(reader, largest=BATCH)

    def load() -> int:
        return sum(each.inputs["field"].nbytes + each.truth["field"].nbytes for each in loader(order))

    batch = next(iter(loader(order[:1])))
    got = np.concatenate([batch.inputs["field"], batch.truth["field"]], axis=1)
    assert all(np.array_equal(window, mapped[each]) for window, each in zip(got, index[0], strict=True))
    decoded = reader.decoded
    # One after the other in each round, so that a busy machine is as busy for all; the first round warms up.
    rounds = [[timed(each) for each in (stack, into, load)] for _ in range(repeat + 1)][1:]
    best = [[max(each[i][unit] for each in rounds) for unit in (0, 1)] for i in range(3)]
    count = np.prod([-(-n // c) for n, c in zip(values.shape, reader._sources[0].chunks.chunks, strict=True)])
    again = (reader.decoded - decoded) / (repeat + 1) / count
    loader.reset()
    for _ in loader(order):
        time.sleep(0.02)
    reader.close()
    return {
        "stall": loader.stall_share,
        "stack": best[0][0],
        "into": best[1][0],
        "loader": best[2][0],
        "to stack": best[2][0] / best[0][0],
        "to into": best[2][0] / best[1][0],
        "work": best[2][1] / best[1][1],
        "decoded": float(again),
    }


def extra_memory(data: xr.Dataset, folder: Path | None) -> float:
    """Peak of the loader beyond the batch in use, in batches."""
    reader = reader_of(Samples.of(data), batch=BATCH)
    order = batches(reader, batch=BATCH, seed=0, epoch=0, shuffle="blocks")
    reader.close()
    tracemalloc.start()
    reader = reader_of(Samples.of(data), batch=BATCH, folder=folder)
    for _ in Loader(reader, largest=BATCH)(order):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.close()
    return peak / reader.nbytes(BATCH) - 1


def rows(events: int, repeat: int, codecs: list[str], folder: Path) -> Iterator[str]:
    kinds: list[tuple[Array, list[tuple[int, ...]]]] = [
        (radar(events), [(1, 7, 384, 384), (1, 49, 384, 384)]),
        (temperature(600), [(12, 180, 360), (60, 180, 360)]),
    ]
    for values, chunks in kinds:
        values.tofile(folder / "bytes")
        mapped = np.memmap(folder / "bytes", values.dtype, "r", shape=values.shape)
        for chunk, codec in itertools.product(chunks, codecs):
            data = stored(values, folder / "store", chunk, CODECS[codec])
            size = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
            shuffles: tuple[Literal["blocks", "windows"], ...] = ("blocks", "windows")
            keeping = (None, folder) if CODECS[codec][:1] and codec != "crc" else (None,)
            for shuffle, kept in itertools.product(shuffles, keeping):
                found = measured(values, mapped, data, shuffle, repeat, folder=kept)
                shown = [f"{found[key]:.0f}" for key in ("stack", "into", "loader")]
                shown += [f"{found[key]:.2f}" for key in ("to stack", "to into", "work", "decoded", "stall")]
                ratio = values.nbytes / size
                what = [str(values.dtype), "x".join(map(str, chunk)), codec, f"{ratio:.2f}", shuffle]
                disk = f"{ratio:.2f}" if kept else ""
                yield f"| {' | '.join(what)} | {disk} | {' | '.join(shown)} | {extra_memory(data, kept):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--codecs", nargs="+", choices=list(CODECS), default=list(CODECS))
    given = parser.parse_args()
    out = sys.stdout
    out.write(
        "| data | chunk | codecs | ratio | order | kept: disk | stack | into | loader | / stack | / into | work "
        "| decoded | stall | memory |\n"
    )
    out.write(f"{'|---' * 15}|\n")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(given.events, given.repeat, given.codecs, Path(folder)):
            out.write(row + "\n")
            out.flush()


if __name__ == "__main__":
    main()
