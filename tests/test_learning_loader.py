"""The loader: what it reads is what `Samples` reads, each chunk about once, in the memory of three batches."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thalweg import Samples
from thalweg.errors import CorruptError
from thalweg.learning.chunks import Chunks
from thalweg.learning.loader import Loader
from thalweg.learning.order import batches, pieces
from thalweg.learning.reader import Reader, SampleReader, ZarrReader, reader_of
from thalweg.stores.arrays import lay_out, put, read
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec


def group(folder: Path, arrays: dict[str, Any], chunks: dict[str, tuple[int, ...]], **attrs: Any) -> xr.Dataset:
    data = xr.Dataset(arrays, attrs=attrs)
    lay_out(str(folder), data, large=chunks)
    for name in chunks:
        put(str(folder), name, (slice(None),) * data[name].ndim, data[name].values)
    return read(str(folder))


def events(folder: Path, *, count: int = 6, size: int = 8, chunk: int = 7) -> xr.Dataset:
    """Events of 49 frames; three windows of 13 + 12 in each."""
    random = np.random.default_rng(0)
    values = random.integers(0, 255, (count, 49, size, size)).astype("uint8")
    begin, row = np.tile([0, 12, 24], count), np.repeat(np.arange(count), 3)
    spec = {"kind": "windows", "dim": "frame", "inputs": 13, "targets": 12, "every": 1, "series": "event"}
    return group(
        folder,
        {
            "vil": (("event", "frame", "y", "x"), values),
            "window_start": ("window", begin),
            "window_series": ("window", row),
        },
        {"vil": (1, chunk, size, size)},
        samples=spec,
    )


def equal(reader: Reader, at: Any) -> None:
    """Against what `Samples` reads."""
    at = np.asarray(at, dtype=np.int64)
    inputs, truth = reader.read(at, reader.buffers(len(at)))
    for found, expected in ((inputs, reader.samples.inputs(at.tolist())), (truth, reader.samples.truth(at.tolist()))):
        assert set(found) == {str(name) for name in expected.data_vars}
        for name, array in found.items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_array_equal(array, expected[name].values)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Two fields with their dims in any order, chunked anyhow; any windows; statics with and without series."""
    inputs, targets, every = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extent = (inputs + targets - 1) * every + 1
    steps, count = extent + draw(st.integers(0, 12)), draw(st.integers(1, 9))
    series = draw(st.booleans())
    dims = draw(st.permutations(["time", "y", "x", *(["model"] if series else [])]))
    sizes = {"time": steps, "y": 5, "x": 4, "model": 3}
    return {
        "sizes": sizes,
        "dims": dims,
        "chunks": tuple(draw(st.integers(1, sizes[dim])) for dim in dims),
        "begin": draw(st.lists(st.integers(0, steps - extent), min_size=count, max_size=count)),
        "row": draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)),
        "at": draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=8)),
        "batch": draw(st.integers(1, 6)),
        "spec": {
            "kind": "windows", "dim": "time", "inputs": inputs, "targets": targets, "every": every,
            "series": "model" if series else None, "observe": draw(st.sampled_from([[], ["a"], ["a", "b"]])),
            "predict": draw(st.sampled_from([[], ["a"], ["b"]])),
        },
    }  # fmt: skip


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts())
def test_it_reads_what_samples_read(tmp_path: Path, layout: dict[str, Any]) -> None:
    random, dims, sizes = np.random.default_rng(0), layout["dims"], layout["sizes"]
    shape = [sizes[dim] for dim in dims]
    series = layout["spec"]["series"]
    data = group(
        tmp_path / str(len(list(tmp_path.iterdir()))),
        {
            "a": (dims, random.standard_normal(shape).astype(np.float32)),
            "b": (dims, random.integers(0, 99, shape)),
            "height": (("y", "x"), random.standard_normal((5, 4))),
            **({"depth": (("y", "model"), random.standard_normal((5, 3)))} if series else {}),
            "window_start": ("window", np.array(layout["begin"])),
            **({"window_series": ("window", np.array(layout["row"]))} if series else {}),
        },
        {"a": layout["chunks"], "b": layout["chunks"][::1]},
        samples=layout["spec"],
    )
    for folder in (None, tmp_path):
        reader = reader_of(Samples.of(data), batch=layout["batch"], threads=2, folder=folder)
        assert isinstance(reader, ZarrReader)
        equal(reader, layout["at"])
        equal(reader, layout["at"][::-1])
        reader.close()


def test_pairs_are_read_by_their_dim(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pairs = {"kind": "pairs", "dim": "case", "inputs": ["a", "grid"], "truth": ["u"]}
    data = group(
        tmp_path / "data",
        {
            "a": (("case", "x"), random.standard_normal((9, 4))),
            "u": (("t", "case", "x"), random.standard_normal((3, 9, 4))),
            "grid": ("x", random.standard_normal(4)),
        },
        {"a": (2, 4), "u": (3, 4, 3)},
        samples=pairs,
    )
    reader = reader_of(Samples.of(data), batch=4)
    assert isinstance(reader, ZarrReader)
    equal(reader, [5, 0, 8, 8, 3])


CODECS: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "crc": {"compressors": [Crc32cCodec()]},
    "zstd": {"compressors": [ZstdCodec(level=3)]},
    "blosc-crc": {"compressors": [BloscCodec(cname="lz4", shuffle="bitshuffle"), Crc32cCodec()]},
    "gzip": {"compressors": [GzipCodec()]},
    "big-endian": {"compressors": None, "serializer": BytesCodec(endian="big")},
    "shards": {"compressors": [ZstdCodec()], "shards": (20, 4)},
    "version-2": {"zarr_format": 2},
    "gaps": {"compressors": [ZstdCodec()], "config": {"write_empty_chunks": False}},
}


@pytest.mark.parametrize("codecs", CODECS)
def test_any_codec_gives_the_same(tmp_path: Path, codecs: str) -> None:
    values = np.random.default_rng(0).standard_normal((43, 4)).astype(np.float32)
    values[10:20] = 0
    root = zarr.open_group(tmp_path / "data", mode="w", zarr_format=CODECS[codecs].get("zarr_format", 3))
    how = {key: value for key, value in CODECS[codecs].items() if key != "zarr_format"}
    names = {} if "zarr_format" in CODECS[codecs] else {"dimension_names": ["time", "x"]}
    create: Any = root.create_array
    array = create("a", shape=values.shape, dtype="f4", chunks=(5, 4), fill_value=0, **names, **how)
    array[:] = values
    array.attrs["_ARRAY_DIMENSIONS"] = ["time", "x"]
    spec = {"kind": "windows", "dim": "time", "inputs": 3, "targets": 2}
    data = xr.open_zarr(tmp_path / "data", consolidated=False, chunks=None, mask_and_scale=False)
    data = data.assign(window_start=("window", np.arange(38))).assign_attrs(samples=spec)
    for folder in (None, tmp_path):
        reader = reader_of(Samples.of(data), batch=4, folder=folder)
        assert isinstance(reader, ZarrReader)
        equal(reader, np.arange(38))
        equal(reader, np.arange(38))
        own = reader._sources[0].chunks
        assert own.mappable == (folder is not None or codecs in ("plain", "crc"))
        assert (own._decoded is None) == (folder is None or codecs in ("plain", "crc"))


def test_what_is_not_a_whole_zarr_array_is_read_by_samples(tmp_path: Path) -> None:
    data = events(tmp_path / "data")
    for other in (data.isel(event=slice(0, 6), y=slice(1, 4)), data.load(), data.chunk(frame=10)):
        reader = reader_of(Samples.of(other), batch=4)
        assert isinstance(reader, SampleReader)
        equal(reader, [4, 1])


def test_a_corrupt_chunk_is_named(tmp_path: Path) -> None:
    data = events(tmp_path / "data")
    file = tmp_path / "data" / "vil" / "c" / "2" / "3" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    reader = reader_of(Samples.of(data), batch=4)
    with pytest.raises(CorruptError, match=r"data: chunk vil/c/2/3/0/0 is corrupt"):
        reader.read(np.arange(18), reader.buffers(18))


def test_one_number_to_a_sample_is_read(tmp_path: Path) -> None:
    """A pair's numbers, as input and as truth, and the index of a series."""
    random = np.random.default_rng(0)
    pairs = {"kind": "pairs", "dim": "case", "inputs": ["a", "viscosity"], "truth": ["u", "mass"]}
    data = group(
        tmp_path / "pairs",
        {
            "a": (("case", "x"), random.standard_normal((9, 4))),
            "viscosity": ("case", random.standard_normal(9)),
            "u": (("case", "x"), random.standard_normal((9, 4))),
            "mass": ("case", random.standard_normal(9).astype(np.float32)),
        },
        {"a": (2, 4), "viscosity": (2,), "u": (3, 4), "mass": (4,)},
        samples=pairs,
    )
    reader = reader_of(Samples.of(data), batch=4)
    assert isinstance(reader, ZarrReader)
    equal(reader, [5, 0, 8, 8, 3, 1, 2, 4, 7])
    reader.close()

    index = {
        "index": (("time", "model"), random.standard_normal((20, 3))),
        "window_start": ("window", np.array([0, 3, 9, 15])),
        "window_series": ("window", np.array([2, 0, 1, 2])),
    }
    spec = {"kind": "windows", "dim": "time", "inputs": 1, "targets": 1, "series": "model", "every": 2}
    reader = reader_of(Samples.of(group(tmp_path / "index", index, {"index": (4, 2)}, samples=spec)), batch=2)
    assert isinstance(reader, ZarrReader)
    equal(reader, [3, 0, 2, 1])


# ---- order


@pytest.mark.parametrize("shuffle", ["blocks", "windows", "once", "none"])
def test_an_epoch_holds_every_sample_once(tmp_path: Path, shuffle: Any) -> None:
    reader = reader_of(Samples.of(events(tmp_path / "data")), batch=4)
    first, again, second = (
        batches(reader, batch=4, seed=3, epoch=epoch, shuffle=shuffle) for epoch in (0, 0, 1)
    )  # fmt: skip
    assert [len(each) for each in first] == [4, 4, 4, 4, 2]
    assert sorted(np.concatenate(first)) == list(range(18))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    moved = any(not np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert moved is (shuffle not in ("once", "none"))


def test_events_are_shuffled_once_and_stay_whole(tmp_path: Path) -> None:
    """The order is that of blocks, not sorted; a batch of one is sorted for the reader, as any is."""
    reader = reader_of(Samples.of(events(tmp_path / "data", count=12)), batch=1)
    for epoch in (0, 7):
        order = np.concatenate(batches(reader, batch=1, seed=1, epoch=epoch, shuffle="once")).reshape(12, 3)
        np.testing.assert_array_equal(order, order[:, :1] + [0, 1, 2])
        assert (order[:, 0] % 3 == 0).all()
        assert (np.diff(order[:, 0]) < 0).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 3))
def test_ranks_share_a_batch_and_their_weights_give_its_mean(size: int, ranks: int, accumulate: int) -> None:
    batch, loss = np.arange(size), np.random.default_rng(size).standard_normal(size)
    shares = [pieces(batch, rank=rank, ranks=ranks, accumulate=accumulate) for rank in range(ranks)]
    taken = [part for share in shares for part, weight in share if weight]
    np.testing.assert_array_equal(np.sort(np.concatenate(taken)), batch)
    mean = np.mean([sum(loss[part].mean() * weight for part, weight in share) for share in shares])
    assert mean == pytest.approx(loss.mean())


@pytest.mark.parametrize("shuffle", ["blocks", "windows"])
def test_in_order_of_blocks_each_chunk_is_decoded_once(tmp_path: Path, shuffle: Any) -> None:
    reader = reader_of(Samples.of(events(tmp_path / "data", count=24)), batch=8)
    assert isinstance(reader, ZarrReader)
    assert reader.together(8) == 4
    for at in batches(reader, batch=8, seed=0, epoch=0, shuffle=shuffle):
        reader.read(at, reader.buffers(8))
    chunks = 24 * 7
    assert (reader.decoded == chunks) if shuffle == "blocks" else (reader.decoded > 1.5 * chunks)


def test_a_batch_is_drawn_from_several_blocks_of_a_series(tmp_path: Path) -> None:
    random, steps = np.random.default_rng(0), 1200
    spec = {"kind": "windows", "dim": "time", "inputs": 12, "targets": 14}
    data = group(
        tmp_path / "data",
        {
            "sst": (("time", "y", "x"), random.standard_normal((steps, 6, 6)).astype(np.float32)),
            "window_start": ("window", np.arange(steps - 25)),
        },
        {"sst": (12, 6, 6)},
        samples=spec,
    )
    reader = reader_of(Samples.of(data), batch=64)
    assert isinstance(reader, ZarrReader)
    homes = reader.homes
    for at in batches(reader, batch=64, seed=0, epoch=0, shuffle="blocks"):
        reader.read(at, reader.buffers(64))
        assert len(set(homes[at])) > 8 or len(at) < 64
    # A block of 60 steps and the windows that reach into the next one.
    assert reader.decoded < 1.6 * steps / 12


# ---- loader


def test_batches_come_in_order_and_are_measured(tmp_path: Path) -> None:
    reader = reader_of(Samples.of(events(tmp_path / "data")), batch=4)
    loader = Loader(reader, largest=4)
    parts = batches(reader, batch=4, seed=0, epoch=0, shuffle="blocks")
    for at, batch in zip(parts, loader(parts), strict=True):
        np.testing.assert_array_equal(batch.positions, at)
        np.testing.assert_array_equal(batch.truth["vil"], reader.samples.truth(at.tolist())["vil"].values)
    assert loader.bytes == 18 * 25 * 64
    assert loader.megabytes_per_second > 0
    assert 0 <= loader.stall_share <= 1


def test_an_error_while_reading_ahead_is_raised(tmp_path: Path) -> None:
    reader = reader_of(Samples.of(events(tmp_path / "data")), batch=4)
    with pytest.raises(IndexError):
        list(Loader(reader, largest=4)([np.array([0]), np.array([99])]))


@pytest.mark.slow
def test_memory_is_that_of_three_batches(tmp_path: Path) -> None:
    """The batch in use, and no more than two others (and some objects)."""
    data = events(tmp_path / "data", count=16, size=128)
    samples = Samples.of(data)
    tracemalloc.start()
    try:
        reader = reader_of(samples, batch=8, threads=2)
        loader = Loader(reader, largest=8)
        before = tracemalloc.get_traced_memory()[0] - reader.nbytes(8) * 2
        for _ in loader(batches(reader, batch=8, seed=0, epoch=0, shuffle="blocks")):
            pass
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert 2 * reader.nbytes(8) < peak <= 3.02 * reader.nbytes(8)


def test_chunks_that_are_kept_are_decoded_once_and_leave_no_file(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "kept").mkdir()
    data = events(tmp_path / "data", count=12)
    decoded: list[Any] = []
    read = Chunks.read
    monkeypatch.setattr(Chunks, "read", lambda self, key, out: (decoded.append(key), read(self, key, out))[1])
    reader = reader_of(Samples.of(data), batch=2, folder=tmp_path / "kept")
    for epoch in range(3):
        for batch in Loader(reader, largest=2)(batches(reader, batch=2, seed=0, epoch=epoch, shuffle="windows")):
            equal(reader, batch.positions.tolist())
    assert len(decoded) == len(set(decoded)) > 1
    assert not list((tmp_path / "kept").iterdir()), "the file has no name, so that nothing has to be removed"
    reader.close()


def test_a_disk_without_room_keeps_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    data = events(tmp_path / "data")
    reader = reader_of(Samples.of(data), batch=2, folder=tmp_path)
    assert isinstance(reader, ZarrReader)
    assert not reader._sources[0].chunks.mappable
