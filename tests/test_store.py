"""Stores are whole or absent; what is wrong with one is noticed and named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg.errors import CorruptError, StoreError
from thalweg.stores import files
from thalweg.stores.arrays import corrupt_chunks, lay_out, put, read, reading
from thalweg.stores.attempt import Attempt, mark
from thalweg.stores.blocks import block_shape, blocks
from thalweg.stores.committed import Committed
from thalweg.stores.store import Store

VALUES = np.arange(24, dtype="float32").reshape(6, 4)


def write(attempt: Attempt, *, values: np.ndarray = VALUES) -> None:
    data = xr.Dataset({"a": (("time", "x"), values, {"units": "K", "list": [1, 2]})}, {"time": np.arange(6)})
    lay_out(attempt.url(), data.assign_attrs(samples={"kind": "windows"}), large={"a": (2, 4)})
    for start in range(0, 6, 2):
        put(attempt.url(), "a", (slice(start, start + 2), slice(0, 4)), values[start : start + 2])


def commit(store: Store, digest: str = "d") -> Committed:
    with store.attempt("stage", digest) as attempt:
        write(attempt)
        return attempt.commit({"stage": "stage", "digest": digest}, numbers={"seconds": 1.0})


def test_an_array_without_cells_has_no_blocks() -> None:
    empty = xr.Dataset({"a": (("time", "x"), np.zeros((0, 4)))})
    assert block_shape((0, 4), (2, 4), 8) == (1, 4)
    assert list(blocks(empty.chunk())) == []


@pytest.mark.parametrize("root", ["local", "memory://thalweg-test"])
def test_what_is_committed_is_read_back(tmp_path: Path, root: str) -> None:
    store = Store(tmp_path / root if root == "local" else root)
    assert store.find("stage", "d") is None
    commit(store)
    found = store.find("stage", "d")
    assert found is not None
    data = read(found.url())
    np.testing.assert_array_equal(data["a"].values, VALUES)
    assert data["a"].attrs == {"units": "K", "list": [1, 2]}
    assert data.attrs["samples"] == {"kind": "windows"}
    assert found.numbers == {"seconds": 1.0}


def test_an_attempt_is_not_read_before_it_is_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.attempt("stage", "d") as attempt:
        write(attempt)
    assert store.find("stage", "d") is None


def test_an_attempt_of_a_dead_process_is_gone_on_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pid = os.fork()
    if pid == 0:
        with store.attempt("stage", "d") as attempt:
            mark(attempt.folder, "first")
        os._exit(0)
    os.waitpid(pid, 0)
    with store.attempt("stage", "d") as attempt:
        assert attempt.marks() == {"first"}
    # This process lives and may still commit: what it wrote is not taken from it.
    with store.attempt("stage", "d") as other:
        assert other.marks() == set()


@pytest.mark.parametrize("position", [0, 7, -1])
def test_a_flipped_byte_is_noticed_and_its_chunk_named(tmp_path: Path, position: int) -> None:
    found = commit(Store(tmp_path))
    chunk = Path(found.url()) / "a" / "c" / "1" / "0"
    content = bytearray(chunk.read_bytes())
    content[position] ^= 1
    chunk.write_bytes(content)
    assert list(corrupt_chunks(found.url())) == ["a/c/1/0"]
    with pytest.raises(CorruptError, match="chunk a/c/1/0 is corrupt"), reading(found.url()):
        read(found.url()).load()


@pytest.mark.parametrize("victim", ["a/c/2/0", "a/zarr.json"])
def test_a_lost_object_is_noticed(tmp_path: Path, victim: str) -> None:
    store = Store(tmp_path)
    (Path(commit(store).url()) / victim).unlink()
    with pytest.raises(CorruptError, match=victim if "zarr" not in victim else "when committed"):
        store.find("stage", "d")


def test_changed_metadata_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    metadata = Path(commit(store).url()) / "a" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"units": "K"', '"units": "C"'))
    with pytest.raises(CorruptError, match="metadata"):
        store.find("stage", "d")


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.ENOSPC, "no space is left"), (errno.EROFS, "read-only"), (errno.EACCES, "not permitted")],
)
def test_a_refused_write_is_one_line_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    store = Store(tmp_path)
    before = commit(store)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("zarr.open_array", refuse)
    with pytest.raises(StoreError, match=says) as caught, store.attempt("stage", "other") as attempt:
        write(attempt)
    assert "what was committed is intact" in str(caught.value)
    monkeypatch.undo()
    assert store.find("stage", "d") == before
    assert store.find("stage", "other") is None


def test_a_chunk_of_gaps_only_is_written_and_its_loss_noticed(tmp_path: Path) -> None:
    """Land, or padding: a chunk that is missing because it was empty could not be told from one that was lost."""
    store = Store(tmp_path)
    with store.attempt("stage", "d") as attempt:
        write(attempt, values=np.full((6, 4), np.nan, dtype="float32"))
        found = attempt.commit({"stage": "stage", "digest": "d"}, numbers={})
    chunk = Path(found.url()) / "a" / "c" / "1" / "0"
    assert store.find("stage", "d") == found
    chunk.unlink()
    with pytest.raises(CorruptError, match="a/c/1/0 is missing"):
        store.find("stage", "d")


def test_a_real_full_disk_is_one_line() -> None:
    """/dev/full refuses every write with ENOSPC."""
    with pytest.raises(StoreError, match="no space is left"), files.writing("x"), Path("/dev/full").open("wb") as sink:
        sink.write(b"0")


def test_a_json_file_is_the_old_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "a.json")
    files.write_json(url, {"v": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(StoreError):
        files.write_json(url, {"v": 2})
    assert files.read_json(url) == {"v": 1}


def test_missing_chunks_are_listed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = commit(store)
    for i in range(3):
        (Path(found.url()) / "a" / "c" / str(i) / "0").unlink()
    with pytest.raises(CorruptError) as caught:
        store.find("stage", "d")
    assert all(f"data/a/c/{i}/0 is missing" in str(caught.value) for i in range(3))


def test_texts_are_stored_as_zarr_specifies_them(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    import xarray as xr
    from thalweg.stores.arrays import lay_out, read

    data = xr.Dataset(coords={"cloud": ("cloud", ["a", "bcd"], {"long_name": "name"})})
    lay_out(str(tmp_path / "group"), data, large={})
    found = read(str(tmp_path / "group"))["cloud"]
    assert found.values.tolist() == ["a", "bcd"]
    assert found.attrs == {"long_name": "name"}
    assert not [each for each in recwarn if "FixedLength" in str(each.message)]
