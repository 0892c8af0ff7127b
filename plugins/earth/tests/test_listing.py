"""What a `path` means: files, folders, globs and lists, in natural order."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
import xarray as xr
from thalweg import SourceError
from thalweg_earth.datasets._listing import is_many, listing


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"CDF\x01")


def names(found: list[str]) -> list[str]:
    return [each.rpartition("/")[2] for each in found]


def test_a_folder_a_glob_and_a_list_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "f10.nc", "f2.nc", "f1.nc", ".hidden.nc", "f1.nc.idx", "README.txt")
    wanted = ["f1.nc", "f2.nc", "f10.nc"]
    assert names(listing(str(tmp_path))) == wanted
    assert names(listing(f"{tmp_path}/f*.nc")) == wanted
    assert names(listing(f"{tmp_path}/f?.nc")) == wanted[:2]
    assert names(listing([f"{tmp_path}/f10.nc", f"{tmp_path}/f?.nc"])) == wanted
    assert listing(f"{tmp_path}/f2.nc") == [f"{tmp_path}/f2.nc"]
    assert is_many(str(tmp_path)) and is_many([f"{tmp_path}/f2.nc"]) and not is_many(f"{tmp_path}/f2.nc")


def test_a_zarr_store_is_one_source_and_a_folder_may_hold_several(tmp_path: Path) -> None:
    for number in (2, 10):
        xr.Dataset({"a": ("x", [number])}).to_zarr(tmp_path / f"s{number}.zarr", zarr_format=number // 10 + 2)
    (tmp_path / "figures").mkdir()
    assert listing(str(tmp_path / "s2.zarr")) == [str(tmp_path / "s2.zarr")]
    assert names(listing(str(tmp_path))) == ["s2.zarr", "s10.zarr"]


def test_a_bracket_in_a_name_is_a_name_where_the_file_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].nc", "a1.nc")
    assert names(listing(f"{tmp_path}/a[1].nc")) == ["a[1].nc"]
    (tmp_path / "a[1].nc").unlink()
    assert names(listing(f"{tmp_path}/a[1].nc")) == ["a1.nc"]


def test_remote_sources_keep_their_protocol() -> None:
    system = fsspec.filesystem("memory")
    for name in ("/radar/b10.nc", "/radar/b9.nc"):
        system.pipe_file(name, b"CDF\x01")
    wanted = ["memory:///radar/b9.nc", "memory:///radar/b10.nc"]
    assert listing("memory://radar/b*.nc") == wanted
    assert listing("memory://radar") == wanted


@pytest.mark.bad_input("sources", "`path` is {id}")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param([], "no path is given", id="an empty list"),
        pytest.param("{0}/empty", "holds no file", id="an empty folder"),
        pytest.param("{0}/*.grib", "matches no file", id="a glob without a match"),
        pytest.param("{0}/g.nc", r"there is no .*\n  allowed: in .*f.nc", id="a file that is not there"),
        pytest.param(["{0}/f.nc", "{0}/*.nc"], "f.nc' is named twice", id="a list with a file twice"),
    ],
)
def test_what_means_nothing_is_refused(given: str | list[str], message: str, tmp_path: Path) -> None:
    touch(tmp_path, "f.nc")
    (tmp_path / "empty").mkdir()
    path = given.format(tmp_path) if isinstance(given, str) else [each.format(tmp_path) for each in given]
    with pytest.raises(SourceError, match=message):
        listing(path)
