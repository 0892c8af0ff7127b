"""Sources behind a URL, against a server on this machine: what is fetched, when, and what happens if it fails."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import SourceError
from thalweg_earth.datasets.array import Array
from thalweg_earth.datasets.ersst import ERSST
from thalweg_earth.datasets.oisst import OISST


class Server:
    """Serves a folder; remembers what was fetched; fails the next `failures` requests for a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.failures = folder, 0
        self.fetched: list[str] = []
        server = self

        class Handler(SimpleHTTPRequestHandler):
            def do_HEAD(self) -> None:
                if server.failures:
                    self.send_error(503)
                else:
                    super().do_HEAD()

            def do_GET(self) -> None:
                if self.path.endswith(".nc"):
                    if server.failures:
                        server.failures -= 1
                        self.send_error(503)
                        return
                    server.fetched.append(self.path.rpartition("/")[2])
                super().do_GET()

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    server = Server(tmp_path / "www")
    yield server
    server.server.shutdown()
    server.server.server_close()


def sst(date: str, value: float, *, level: str = "lev", units: str = "degree_C") -> xr.Dataset:
    values = np.full((1, 1, 3, 4), value, dtype=np.float32)
    values[..., 0] = np.nan
    return xr.Dataset(
        {"sst": (("time", level, "lat", "lon"), values, {"units": units})},
        {"time": [np.datetime64(date, "ns")], level: [0.0], "lat": [-2.0, 0, 2], "lon": np.arange(0.0, 8, 2)},
    )


def months(folder: Path, count: int = 6, *, warmer: float = 0.0) -> None:
    for i in range(count):
        date = str(np.datetime64("1999-10") + i)
        sst(f"{date}-01", i + warmer).to_netcdf(folder / f"ersst.v5.{date.replace('-', '')}.nc", engine="h5netcdf")


def test_ersst_over_http_is_ersst_from_a_folder(server: Server) -> None:
    months(server.folder)
    near = ERSST(path=str(server.folder), period=("1999-11", "2000-02")).open()
    far = ERSST(path=f"{server.url}/", period=("1999-11", "2000-02")).open()
    assert server.fetched == ["ersst.v5.199911.nc"]
    xr.testing.assert_identical(far.compute(), near.compute())
    assert sorted(server.fetched) == [f"ersst.v5.{month}.nc" for month in (199911, 199912, 200001, 200002)]
    np.testing.assert_array_equal(far["sea_surface_temperature"][:, 1, 1], [1, 2, 3, 4])


def test_what_was_fetched_is_kept_until_it_changes(server: Server) -> None:
    months(server.folder)
    part = ERSST(path=server.url)
    before = part.fingerprint()
    part.open().compute()
    part.open().compute()
    assert len(server.fetched) == 6
    (server.folder / "ersst.v5.200001.nc").unlink()
    sst("2000-01-01", 30).to_netcdf(server.folder / "ersst.v5.200001.nc", engine="scipy")
    assert part.fingerprint() != before
    assert float(part.open()["sea_surface_temperature"][3, 1, 1]) == 30
    assert len(server.fetched) == 7


def test_a_plan_can_be_read_on_a_machine_that_has_fetched_nothing(server: Server, monkeypatch: Any) -> None:
    months(server.folder, 2)
    xr.Dataset({"slp": (("time", "x"), np.arange(6.0).reshape(2, 3), {"units": "Pa"})}).to_netcdf(
        server.folder / "slp.nc", engine="h5netcdf"
    )
    for part, name in (
        (ERSST(path=server.url), "sea_surface_temperature"),
        (Array(path=f"{server.url}/slp.nc", variables=["slp"]), "slp"),
    ):
        sent = pickle.dumps(part.open())
        monkeypatch.setenv("THALWEG_CACHE", str(server.folder.parent / "elsewhere"))
        assert float(pickle.loads(sent)[name].max()) in (1, 5)


def test_a_server_that_falters_is_asked_again(server: Server) -> None:
    months(server.folder, 2)
    data = ERSST(path=server.url).open()
    server.failures = 2
    assert float(data["sea_surface_temperature"][1, 1, 1].compute()) == 1
    server.failures = 99
    (server.folder / "late.nc").write_bytes((server.folder / "ersst.v5.199910.nc").read_bytes())
    with pytest.raises(SourceError, match=r"late.nc' cannot be read: .*503"):
        Array(path=f"{server.url}/late.nc", variables=["sst"]).open()


def test_what_is_not_there_is_refused(server: Server) -> None:
    months(server.folder)
    (server.folder / "ersst.v5.200001.nc").unlink()
    with pytest.raises(SourceError, match="has no file between 1999-12 and 2000-02"):
        ERSST(path=server.url).open()
    with pytest.raises(SourceError, match=r"there is no 'http.*/sst.nc'\n  allowed: in 'http"):
        Array(path=f"{server.url}/sst.nc", variables=["sst"]).open()
    with pytest.raises(SourceError, match=r"holds no file for \[1850, 1860\]"):
        ERSST(path=server.url, period=(1850, 1860)).fingerprint()
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(SourceError, match=r"cannot be read: .*\n  allowed: a source that answers"):
        ERSST(path=server.url).open()


def test_oisst_over_http_looks_only_into_the_months_of_the_period(server: Server) -> None:
    for i in range(25, 62):
        date = str(np.datetime64("2021-01-01") + i)
        folder = server.folder / date[:7].replace("-", "")
        folder.mkdir(exist_ok=True)
        data = sst(f"{date}T12", i, level="zlev", units="Celsius")
        packing = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": np.int16(-999)}
        name = f"oisst-avhrr-v02r01.{date.replace('-', '')}.nc"
        data.to_netcdf(folder / name, engine="h5netcdf", encoding={"sst": packing})
    part = OISST(path=f"{server.url}/", period=("2021-01-30", "2021-02-03"))
    got = part.open()["sea_surface_temperature"]
    np.testing.assert_allclose(got[:, 1, 1], [29, 30, 31, 32, 33])
    assert len(server.fetched) == 5
    assert part.fingerprint() == part.fingerprint()


def test_a_zarr_store_over_http(server: Server) -> None:
    data = xr.Dataset({"slp": (("time", "x"), np.arange(12.0).reshape(4, 3), {"units": "Pa"})})
    data.to_zarr(server.folder / "slp.zarr", zarr_format=2, consolidated=True)
    part = Array(path=f"{server.url}/slp.zarr", variables={"slp": {"units": "Pa"}})
    np.testing.assert_array_equal(part.open()["slp"], data["slp"])
    before = part.fingerprint()
    data.assign_attrs(title="new").to_zarr(server.folder / "slp.zarr", mode="w", zarr_format=2, consolidated=True)
    assert part.fingerprint() != before
