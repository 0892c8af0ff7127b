"""SEVIR and SEVIR-LR: which events count, and how files become arrays."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from thalweg import Registry
from thalweg.errors import OptionError, SourceError
from thalweg.samples import SPLITS, Samples
from thalweg.stores.arrays import lay_out, put, read
from thalweg.stores.blocks import chunks_of
from thalweg_earth.datasets._sevir_catalog import choose_events, read_catalog
from thalweg_earth.datasets._sevir_lightning import count_flashes
from thalweg_earth.datasets.sevir import PUBLISHED_SPLIT, PUBLISHED_WINDOWS, SEVIR
from thalweg_earth.datasets.sevir_lr import SEVIRLR, reduce_event
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
SUBSET = SHARED / "data" / "radar" / "sevir_catalog_subset.csv"

VIL = "vil/2018/SEVIR_VIL_STORMEVENTS_2018_0101_0630.h5"
LATER = "vil/2019/SEVIR_VIL_RANDOMEVENTS_2019_0501_0831.h5"
IR = "ir107/2018/SEVIR_IR107_STORMEVENTS_2018_0101_0630.h5"
LGHT = "lght/2018/SEVIR_LGHT_ALLEVENTS_2018_0101_0630.h5"
OFFSETS = ":".join(str(each) for each in range(-121, 121, 5))


def row(name, kind, file, index, *, time="2018-05-12 18:30:00", missing=0.0):
    return {
        "id": name, "file_name": file, "file_index": index, "img_type": kind, "time_utc": time,
        "minute_offsets": OFFSETS, "event_type": "Hail" if name[0] == "S" else "", "llcrnrlat": 30.0,
        "llcrnrlon": -100.0, "urcrnrlat": 33.5, "urcrnrlon": -96.0, "proj": "#NAME?", "pct_missing": missing,
    }  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """A small archive in the published layout: (event, height, width, frame) in HDF5, images of 12 x 12 cells."""
    random = np.random.default_rng(0)
    images = {}
    for file, key, count, side, dtype in (
        (VIL, "vil", 4, 12, "u1"),
        (LATER, "vil", 2, 12, "u1"),
        (IR, "ir107", 3, 6, "i2"),
    ):
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True)
        images[file] = random.integers(0, 250, (count, side, side, 49)).astype(dtype)
        with h5py.File(path, "w") as target:
            target[key] = images[file]
            target["id"] = np.array([b"unread"] * count)
    path = tmp_path / "data" / LGHT
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as target:
        target["S3"] = np.array([[-7200.0, 31.0, -99.0, 3.5, 40.2], [299.0, 31.0, -99.0, 3.1, 40.9]])
        target["S1"] = np.zeros((0, 5))
    catalog = pd.DataFrame(
        [
            row("S3", "vil", VIL, 2),
            row("S1", "vil", VIL, 0),
            row("R2", "vil", LATER, 1, time="2019-06-10 01:00:00"),
            row("S4", "vil", VIL, 1, missing=0.02),
            row("S5", "vil", VIL, 3),
            row("S5", "vil", VIL, 3),
            row("S3", "ir107", IR, 0),
            row("S1", "ir107", IR, 2),
            row("R2", "ir107", IR, 1, missing=1.0),
            row("S1", "lght", LGHT, 0),
            row("S3", "lght", LGHT, 0),
        ]
    )
    catalog.to_csv(tmp_path / "CATALOG.csv", index=False)
    return tmp_path, images


def test_events_are_whole_unique_and_sorted(tree):
    root, images = tree
    data = SEVIR(path=str(root)).open()
    assert data.id.values.tolist() == ["R2", "S1", "S3"]
    assert data.vil.dims == ("event", "frame", "y", "x") and data.vil.dtype == np.uint8
    assert data.vil.chunks == ((1, 1, 1), (7,) * 7, (12,), (12,))
    want = np.stack([images[LATER][1], images[VIL][0], images[VIL][2]])
    np.testing.assert_array_equal(data.vil.values, np.moveaxis(want, -1, 1))
    assert data.frame.values[[0, 24, 48]].tolist() == [-120, 0, 120] and (data.frame_delay == -1).all()
    assert data.event_type.values.tolist() == ["", "Hail", "Hail"]
    assert data.time_utc.values[0] == np.datetime64("2019-06-10T01:00")


def test_several_types_share_their_events(tree):
    root, images = tree
    data = SEVIR(path=str(root), image_types=("vil", "ir107", "lght")).open()
    assert data.id.values.tolist() == ["S1", "S3"]
    assert data.ir107.dims == ("event", "frame", "y_6", "x_6") and data.ir107.dtype == np.int16
    np.testing.assert_array_equal(data.ir107[1].values, np.moveaxis(images[IR][0], -1, 0))
    assert data.lght.dims == ("event", "frame", "y_48", "x_48")
    flashes = data.lght.compute()
    assert int(flashes[0].sum()) == 0 and int(flashes[1].sum()) == 2
    assert int(flashes[1, 0, 40, 3]) == 1 and int(flashes[1, 24, 40, 3]) == 1
    np.testing.assert_allclose(data.y_6, np.arange(32, 384, 64))
    first = SEVIR(path=str(root), image_types=("ir107",)).open()
    assert first.ir107.dims == ("event", "frame", "y", "x")


def test_flashes_fall_into_the_frame_that_has_begun():
    flashes = np.array(
        [[-9000.0, 0, 0, 1, 2], [-7200, 0, 0, 1, 2], [-1, 0, 0, 5, 6], [0, 0, 0, 5, 6], [7300, 0, 0, 0, 0]]
    )
    counts = count_flashes(np.vstack([flashes, [[0, 0, 0, 48.0, 3], [0, 0, 0, -0.5, 3]]]))
    assert counts.sum() == 5 and counts[2, 1, 0] == 2
    assert counts[6, 5, 23] == 1 and counts[6, 5, 24] == 1 and counts[0, 0, 48] == 1


def test_opening_reads_headers_and_computing_reads_each_event_once(tree, monkeypatch):
    read = []
    take = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: read.append(key) or take(self, key))
    data = SEVIR(path=str(tree[0])).open()
    assert read == []
    data.isel(event=slice(1, 3)).compute()
    assert sorted(read) == [0, 2]


def test_a_region_is_computed_alike_from_a_pickled_copy(tree):
    dataset = SEVIR(path=str(tree[0]))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.open().isel(event=[1]).compute().identical(dataset.open().compute().isel(event=[1]))
    assert copy.fingerprint() == dataset.fingerprint()
    with h5py.File(tree[0] / "data" / VIL, "r+") as file:
        file["more"] = np.zeros(5000)
    assert copy.fingerprint() != SEVIR(path=str(tree[0]), files="*RANDOM*").fingerprint() != dataset.fingerprint()


def test_it_is_stored_and_read_back_without_a_warning(tree, tmp_path):
    data = SEVIR(path=str(tree[0])).open()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.to_zarr(tmp_path / "store.zarr", zarr_format=3, consolidated=False)
        stored = xr.open_zarr(tmp_path / "store.zarr", consolidated=False)
    assert stored.vil.dtype == np.uint8 and stored.frame.dtype == np.int16
    assert stored.vil.chunks == data.vil.chunks
    xr.testing.assert_equal(stored.drop_vars(["id", "event_type"]), data.drop_vars(["id", "event_type"]))
    assert stored.id.values.tolist() == data.id.values.tolist()


def test_it_is_read_from_a_url_as_from_a_folder(tree):
    """Through fsspec's memory, as from s3."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for file in (each for each in tree[0].rglob("*") if each.is_file()):
        memory.pipe_file(f"/sevir/{file.relative_to(tree[0]).as_posix()}", file.read_bytes())
    try:
        remote = SEVIR(path="memory://sevir")
        local = SEVIR(path=str(tree[0])).open().compute()
        xr.testing.assert_equal(remote.open().compute(), local)
        assert remote.fingerprint()
    finally:
        memory.rm("/sevir", recursive=True)


@pytest.mark.parametrize("compress", [True, False])
def test_it_is_compressed_or_as_it_is_in_memory(tree, tmp_path, compress):
    data = SEVIR(path=str(tree[0]), compress=compress).open()
    lay_out(str(tmp_path / "store"), data, large=chunks_of(data))
    put(str(tmp_path / "store"), "vil", (slice(None),) * 4, data.vil.values)
    codecs = [type(each).__name__ for each in zarr.open_group(tmp_path / "store")["vil"].metadata.codecs]
    assert codecs == ["BytesCodec", *(["ZstdCodec"] if compress else []), "Crc32cCodec"]
    np.testing.assert_array_equal(read(str(tmp_path / "store")).vil, data.vil)


@pytest.mark.parametrize("spelling", ["%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M"])
def test_both_spellings_of_a_date_and_the_byte_order_mark(tmp_path, spelling):
    time = pd.Timestamp("2019-05-12 18:30")
    table = pd.DataFrame([row("S1", "vil", VIL, 0, time=time.strftime(spelling))])
    table.to_csv(tmp_path / "CATALOG.csv", index=False, encoding="utf-8-sig")
    catalog = read_catalog(str(tmp_path / "CATALOG.csv"))
    assert catalog["time_utc"].tolist() == [time] and catalog["id"].tolist() == ["S1"]


def test_a_catalogue_that_is_none_is_refused(tmp_path):
    path = tmp_path / "CATALOG.csv"
    pd.DataFrame([row("S1", "vil", VIL, 0)]).drop(columns=["pct_missing", "id"]).to_csv(path, index=False)
    with pytest.raises(SourceError) as caught:
        SEVIR(path=str(tmp_path)).open()
    assert str(caught.value) == (
        f"{str(path)!r} has no column 'id', 'pct_missing'\n"
        "  allowed: a catalogue with id, file_name, file_index, img_type, time_utc, pct_missing\n"
        "  do: fetch CATALOG.csv as SEVIR publishes it"
    )
    pd.DataFrame([row("S1", "vil", VIL, 0, time="yesterday")]).to_csv(path, index=False)
    with pytest.raises(SourceError, match="'yesterday' in row 0 is not a date"):
        SEVIR(path=str(tmp_path)).open()


def test_what_is_missing_is_named(tree):
    root, _ = tree
    with pytest.raises(SourceError, match="the catalogue has no image type 'vis'"):
        SEVIR(path=str(root), image_types=("vil", "vis")).open()
    (root / "data" / LATER).unlink()
    with pytest.raises(SourceError, match=r"1 files of the catalogue are missing, the first '.*RANDOMEVENTS"):
        SEVIR(path=str(root)).open()
    part = SEVIR(path=str(root), files="*STORMEVENTS*").open()
    assert part.id.values.tolist() == ["S1", "S3"]
    with pytest.raises(SourceError, match="no event has 'vil' without missing pixels"):
        SEVIR(path=str(root), files="nothing").open()
    with pytest.raises(OptionError, match="image_types is"):
        Registry().build(SEVIR, "sevir", {"path": "", "image_types": ["vil", "vil"]}, where="ingest")


def test_a_file_that_does_not_fit_is_named_when_it_is_read(tree):
    root, _ = tree
    with h5py.File(root / "data" / VIL, "r+") as file:
        del file["vil"]
        file["vil"] = np.zeros((1, 9, 9, 49), np.uint8)
    data = SEVIR(path=str(root)).open()
    with pytest.raises(SourceError, match=r"holds uint8 events of the shape \(9, 9, 49\)"):
        data.vil[1].compute()
    with pytest.raises(SourceError, match=r"has no event 2: it holds 1"):
        data.vil[2].compute()


def test_sevir_lr_is_every_second_frame_and_the_maximum_of_blocks(tree):
    root, images = tree
    data = SEVIRLR(path=str(root), reduce=True).open()
    assert data.vil.shape == (3, 25, 4, 4) and data.frame.values.tolist() == list(range(-120, 121, 10))
    event = images[VIL][0]
    assert int(data.vil[1, 5, 2, 1]) == event[6:9, 3:6, 10].max()
    want = np.moveaxis(reduce_event(event), -1, 0)
    np.testing.assert_array_equal(data.vil[1].values, want)
    with pytest.raises(SourceError, match="use the dataset `sevir` for SEVIR"):
        SEVIRLR(path=str(root)).open()

    small = root.parent / "lr"
    (small / "data" / VIL).parent.mkdir(parents=True)
    with h5py.File(small / "data" / VIL, "w") as file:
        file["vil"] = np.stack([reduce_event(each) for each in images[VIL]])
    rows = pd.DataFrame([row("S1", "vil", VIL, 0), row("S3", "vil", VIL, 2)])
    rows[["id", "file_name", "file_index", "img_type", "time_utc", "pct_missing"]].to_csv(
        small / "CATALOG.csv", index=False
    )
    published = SEVIRLR(path=str(small)).open()
    np.testing.assert_array_equal(published.vil.values, data.vil[1:].values)


def published(data):
    """The samples of the published windows and periods."""
    cut = Windows(over="frame", series="event", **PUBLISHED_WINDOWS).apply(data, xr.Dataset())
    periods = {name: period for name, period in PUBLISHED_SPLIT.items() if name != "train"}
    has_train = bool((data.time_utc <= np.datetime64("2019-01-01")).any())
    periods |= {"train": PUBLISHED_SPLIT["train"]} if has_train else {}
    cut = Split(by="time_utc", bounds="(]", **periods).apply(cut, xr.Dataset())
    return {name: Samples.of(cut, name) for name in SPLITS}


def test_the_published_windows_are_three_to_an_event():
    time = np.array(["2018-12-31T23:59", "2019-01-01", "2019-01-01T00:01", "2019-06-01", "2019-06-01T00:01"], "M8[ns]")
    values = np.arange(5 * 49, dtype=np.float32).reshape(5, 49, 1, 1)
    data = xr.Dataset({"vil": (("event", "frame", "y", "x"), values)}, {"time_utc": ("event", time)})
    samples = published(data)
    assert {name: len(each) for name, each in samples.items()} == {"train": 6, "validate": 6, "test": 3}
    last = samples["test"]
    assert last.inputs(slice(None)).vil[:, 0, 0, 0].values.tolist() == [196, 208, 220]
    assert last.truth(slice(None)).vil[:, -1, 0, 0].values.tolist() == [196 + 24, 196 + 36, 196 + 48]


@pytest.mark.skipif(not SUBSET.exists(), reason=f"needs {SUBSET.name}, which is not in this checkout")
def test_a_real_file_of_the_archive_splits_as_published():
    """STORM 2019_0101_0630: 1,272 windows to validate and 303 to test on, three to an event."""
    events = choose_events(read_catalog(str(SUBSET)), ("vil",))
    assert events.index.get_level_values("id").is_monotonic_increasing
    field = xr.DataArray(np.zeros((len(events), 49), np.uint8), dims=("event", "frame"))
    data = xr.Dataset({"vil": field}, {"time_utc": ("event", events["time_utc"].to_numpy("M8[ns]"))})
    assert {name: len(each) for name, each in published(data).items()} == {"train": 0, "validate": 1272, "test": 303}
