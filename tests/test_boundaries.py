"""Servers that are busy, slow, broken or gone: tried again with a bound, then one line; never half a file."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from thalweg import Registry
from thalweg.boundaries import access as boundaries
from thalweg.boundaries.access import converted, filesystem, patiently
from thalweg.boundaries.reasons import is_absent, is_passing, reason
from thalweg.errors import OptionError, SourceError, StoreError
from thalweg.stores.files import read_json, write_json

Serve = Callable[[Callable[[Any], None]], Any]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))


def opened(url: str, **options: Any) -> xr.Dataset:
    given = {"array": {"path": url, "variables": ["temperature"], **options}}
    part = Registry.installed().make("datasets", given)
    assert part.fingerprint()  # type: ignore[attr-defined]
    return part.open()  # type: ignore[attr-defined,no-any-return]


FAULTS: dict[str, Callable[[Any, bytes], None]] = {
    "is busy twice (503)": lambda asked, body: asked.answer(b"later", 503) if asked.number < 3 else asked.answer(body),
    "wants fewer requests (429)": lambda asked, body: (
        asked.answer(b"", 429) if asked.number < 2 else asked.answer(body)
    ),
    "fails once (500)": lambda asked, body: asked.answer(b"", 500) if asked.number < 2 else asked.answer(body),
    "resets the connection": lambda asked, body: asked.reset() if asked.number < 2 else asked.answer(body),
    "breaks off the body": lambda asked, body: asked.answer(body, cut=0 if asked.number > 2 else len(body) // 2),
    "sends the last byte only at the second try": lambda asked, body: asked.answer(body, cut=int(asked.number < 2)),
    "sends the file by way of another address": lambda asked, body: (
        asked.answer(body) if asked.path == "/moved.nc" else asked.answer(b"", 302, Location="/moved.nc")
    ),
}


@pytest.mark.fault("servers", "a source's server {id}")
@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_by_itself_is_tried_again(serve: Serve, wave: Path, fault: str) -> None:
    body = wave.read_bytes()
    server = serve(lambda asked: FAULTS[fault](asked, body))
    data = opened(f"{server.url}/wave.nc")
    with xr.open_dataset(wave, engine="h5netcdf") as truth:
        assert bool((data["temperature"].compute() == truth["temperature"]).all())


LASTING: dict[str, tuple[Callable[[Any, bytes], None], str]] = {
    "never answers but 503": (lambda asked, _: asked.answer(b"", 503), "the server is busy or down (503)"),
    "always breaks off": (lambda asked, body: asked.answer(body, cut=100), "the answer broke off before its end"),
    "refuses access (403)": (lambda asked, _: asked.answer(b"", 403), "the server refuses access (403)"),
    "asks for a password (401)": (lambda asked, _: asked.answer(b"", 401), "the server refuses access (401)"),
    "never says anything": (lambda asked, _: asked.hang(), "the server does not answer within 0.5 s"),
    "sends in circles": (lambda asked, _: asked.answer(b"", 302, Location=asked.path), "cannot be read"),
    "answers with a page instead of the file": (lambda asked, _: asked.answer(b"<html>"), "is not NetCDF"),
}


@pytest.mark.fault("servers", "a source's server {id}")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", LASTING)
def test_what_does_not_pass_is_said_in_one_line(
    serve: Serve, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    respond, said = LASTING[fault]
    monkeypatch.setenv("THALWEG_TIMEOUT", "0.5")
    body = wave.read_bytes()
    server = serve(lambda asked: respond(asked, body))
    with pytest.raises(SourceError) as caught:
        opened(f"{server.url}/wave.nc")
    assert said in caught.value.given
    assert "\n" not in caught.value.given
    # Each try asks twice (HEAD, then GET), and a download asks anew; more would be a loop without a bound.
    assert len(server.asked) <= 4 * boundaries.TRIES + 12
    # Half a file is never kept for the whole.
    assert [each.read_bytes() for each in (tmp_path / "cache").glob("*")] in ([], [b"<html>"])


@pytest.mark.fault("servers", "a chunk of a zarr store on a server is broken off, then busy, then there")
def test_a_chunk_that_broke_off_is_read_again(serve: Serve, wave: Path, tmp_path: Path) -> None:
    from thalweg.stores.blocks import Copy, Source, blocks, lay_out

    with xr.open_dataset(wave, engine="h5netcdf") as truth:
        truth.load().chunk(time=60).to_zarr(tmp_path / "wave.zarr", zarr_format=3)

    def respond(asked: Any) -> None:
        file = tmp_path / asked.path.lstrip("/").partition("?")[0]
        if file.is_dir():
            asked.answer(b"a listing")
        elif not file.is_file():
            asked.answer(b"", 404)
        elif "/temperature/c/" not in asked.path or asked.number > 2:
            asked.answer(file.read_bytes())
        elif asked.number == 1:
            asked.answer(file.read_bytes(), cut=5)
        else:
            asked.answer(b"", 503)

    server = serve(respond)
    part = Registry.installed().make(
        "datasets", {"array": {"path": f"{server.url}/wave.zarr", "variables": ["temperature"]}}
    )
    source = Source(dataset=part, token=server.url)  # type: ignore[arg-type]
    data = source.open()
    lay_out(str(tmp_path / "copy" / "data"), data, large={"temperature": (60, 5, 8)})
    for block in blocks(data):
        Copy(source, str(tmp_path / "copy"))(block)
    copied = xr.open_zarr(tmp_path / "copy" / "data", consolidated=False)
    assert bool((copied["temperature"] == truth["temperature"]).all())


@pytest.mark.fault("servers", "no server listens at the address of a source or a store")
@pytest.mark.timeout(60)
def test_a_dead_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TIMEOUT", "0.5")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(SourceError, match="no server answers"):
        opened(f"{url}/wave.nc")
    with pytest.raises(StoreError, match="no server answers"):
        read_json(f"{url}/manifest.json")
    pytest.importorskip("s3fs")
    with pytest.raises(SourceError, match="no server answers"):
        opened(
            "s3://bucket/wave.nc", storage_options={"key": "a", "secret": "b", "client_kwargs": {"endpoint_url": url}}
        )


@pytest.mark.bad_input("servers", "a URL of a scheme that no driver knows, and one whose driver is not installed")
def test_a_scheme_without_driver_is_refused() -> None:
    with pytest.raises(OptionError, match="no driver knows the scheme 'sst'"):
        filesystem("sst://bucket/x")
    with pytest.raises(OptionError, match="it needs a driver that is not installed"):
        filesystem("gdrive://bucket/x")


@pytest.mark.bad_input("servers", "a store on a server that can only be read")
def test_a_store_over_http_cannot_be_written(serve: Serve) -> None:
    server = serve(lambda asked: asked.answer(b"", 405 if asked.command in ("PUT", "POST") else 404))
    assert read_json(f"{server.url}/manifest.json") is None
    with pytest.raises(StoreError) as caught:
        write_json(f"{server.url}/manifest.json", {})
    assert "\n" not in caught.value.given


@pytest.mark.bad_input("sources", "as a source, {id}")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", ["a folder", "a FIFO", "a device"])
def test_a_source_is_a_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "wave.nc"
    if case == "a FIFO":
        os.mkfifo(path)
    elif case == "a folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    with pytest.raises(SourceError, match=case):
        opened(str(path))


@pytest.mark.bad_input("servers", "a source whose URL has a query")
def test_a_query_is_part_of_the_address(serve: Serve, wave: Path) -> None:
    body = wave.read_bytes()
    server = serve(
        lambda asked: asked.answer(body) if asked.path == "/get?file=wave.nc&v=1" else asked.answer(b"", 404)
    )
    assert opened(f"{server.url}/get?file=wave.nc&v=1").sizes["time"] == 120


class Refused(Exception):  # noqa: N818
    """As botocore's `ClientError`."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("error", "passes", "said"),
    [
        (ConnectionResetError("x"), True, "the server closed the connection"),
        (TimeoutError(), True, "does not answer within"),
        (Refused("SlowDown", 503), True, "the server is busy or down (503 SlowDown)"),
        (Refused("InvalidAccessKeyId", 403), False, "the server refuses access (403 InvalidAccessKeyId)"),
        (Refused("NoSuchBucket", 404), False, "the server has nothing there"),
        (PermissionError(errno.EACCES, "x"), False, "access is not permitted"),
        (OSError(errno.ENOSPC, "x"), False, "no space is left"),
        (OSError(errno.ENAMETOOLONG, "x"), False, "the name is too long"),
        (FileNotFoundError("x"), False, "there is nothing"),
        (NotADirectoryError(errno.ENOTDIR, "x"), False, "a part of the path is a file"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), False, "byte 0 is not UTF-8"),
        (EOFError("3 of 5 bytes"), True, "it ends too early"),
        (ValueError("ours"), False, "ValueError: ours"),
    ],
)
def test_reasons(error: Exception, passes: bool, said: str) -> None:
    assert is_passing(error) is passes
    assert said in reason(error)[0]
    assert isinstance(converted(error, "url"), StoreError)


def test_absence_is_told_from_a_refusal_that_fsspec_calls_so() -> None:
    absent, refused = FileNotFoundError("x"), FileNotFoundError("x")
    refused.__cause__ = Refused("SlowDown", 503)
    assert is_absent(absent)
    assert not is_absent(refused)
    assert is_passing(refused)


def test_the_number_of_tries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ConnectionResetError("x")

    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(ConnectionResetError):
        patiently(fail)
    assert len(calls) == boundaries.TRIES


@pytest.mark.bad_input("command line", "THALWEG_TIMEOUT={id}")
@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_limit_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THALWEG_TIMEOUT", value)
    with pytest.raises(OptionError, match="THALWEG_TIMEOUT"):
        filesystem("http://127.0.0.1/x")
