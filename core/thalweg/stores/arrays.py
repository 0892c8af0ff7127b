"""Zarr v3 groups: created whole, filled region by region, read lazily, checked by checksum."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..boundaries.access import opening
from ..credentials import hidden
from ..errors import CorruptError
from .committed import repair
from .conditional import is_local
from .files import filesystem, write_bytes, writing

if TYPE_CHECKING:
    import xarray as xr

_ENCODING = frozenset({"_FillValue", "missing_value", "scale_factor", "add_offset"})


def lay_out(url: str, data: xr.Dataset, *, large: Mapping[str, tuple[int, ...]]) -> None:
    """Create a group with the coordinates and small variables of `data`, and empty arrays for the `large` ones.

    `large` gives the chunks of each; their values are written by `put`, region by region. A variable's encoding may
    name its `compressors`; none, and a learner maps its chunks.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
    from zarr.storage import MemoryStore

    small = data.drop_vars([name for name in large if name in data.variables]).load().drop_encoding()
    given = hidden(data.attrs)  # a source's URL may hold a password
    attributes = {key: value for key, value in given.items() if not _plain(value)}
    small.attrs = {key: value for key, value in given.items() if _plain(value)}
    # Texts of a fixed length have no specification in zarr v3, which warns of them; those of any length have.
    small = small.assign(
        {name: each.astype(object) for name, each in small.variables.items() if each.dtype.kind == "U"}
    )
    for name in small.variables:
        small[name].attrs = hidden(small[name].attrs)
    small.attrs |= {"attributes": json.dumps(attributes), "large": list(large)}
    # Every chunk carries its checksum, and one that holds only the fill value is written too: a missing one is lost.
    encoding = {name: {"compressors": (ZstdCodec(level=3), Crc32cCodec())} for name in small.variables}
    files_of_group: dict[str, Any] = {}
    small.to_zarr(
        MemoryStore(files_of_group),
        mode="w",
        consolidated=False,
        zarr_format=3,
        encoding=encoding,
        write_empty_chunks=True,
    )
    group = zarr.open_group(MemoryStore(files_of_group), mode="r+")
    for name, chunks in large.items():
        array = data[name]
        floats = array.dtype.kind == "f"
        # Measured (docs/scaling.md): bit-shuffled LZ4 reads floats fastest; Zstandard packs 8-bit radar best.
        packed = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle") if floats else ZstdCodec(level=3)
        group.create_array(
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=tuple(max(1, each) for each in chunks),
            compressors=[*array.encoding.get("compressors", (packed,)), Crc32cCodec()],
            dimension_names=[str(dim) for dim in array.dims],
            attributes={str(key): _json(value) for key, value in hidden(array.attrs).items() if key not in _ENCODING},
            fill_value=float("nan") if floats else 0,
            config={"write_empty_chunks": True},
        )
    _place(url, {name: each.to_bytes() for name, each in files_of_group.items()})


def _place(url: str, contents: Mapping[str, bytes]) -> None:
    """Write the files of a layout, each in one step and the group's own last, over what may be there.

    Nothing is deleted: a worker that was lost and comes back with its first batch finds the others' chunks in place.
    """
    files, path = filesystem(url)
    order = sorted(contents, key=lambda name: (name == "zarr.json", name))
    with writing(url):
        if is_local(files):
            for name in order:
                write_bytes(f"{url}/{name}", contents[name], sync=False)
        else:
            files.pipe({f"{path}/{name}": contents[name] for name in order[:-1]})
            files.pipe({f"{path}/{order[-1]}": contents[order[-1]]})


def put(url: str, name: str, region: tuple[slice, ...], values: Any) -> None:
    """Write a chunk-aligned region of an array. Raises `StoreError`."""
    import zarr

    with writing(url):
        array = zarr.open_array(zarr_store(url), path=name, mode="r+")
        # zarr ignores the `config` of `open_array` where the array is there already.
        array.with_config({"write_empty_chunks": True})[region] = values


def read(url: str, *, dask: bool = False) -> xr.Dataset:
    """A group, lazily, as zarr- or as dask-backed arrays; `isel(...).load()` it inside `reading`."""
    import xarray as xr

    chunks: dict[str, int] | None = {} if dask else None
    data: xr.Dataset = xr.open_zarr(zarr_store(url), consolidated=False, chunks=chunks, mask_and_scale=False)
    large = data.attrs.pop("large", [])
    if dask:
        # What was small enough to be written at once is small enough to be held.
        data = data.assign({name: each.load() for name, each in data.data_vars.items() if name not in large})
    data.attrs |= json.loads(data.attrs.pop("attributes", "{}"))
    for array in data.variables.values():
        # Values are stored as they are, so what zarr fills gaps with is no business of a reader's.
        array.attrs.pop("_FillValue", None)
    return data


@contextmanager
def reading(*urls: str) -> Iterator[None]:
    """Turn a checksum that does not match into a `CorruptError` that names the chunk."""
    try:
        yield
    except ValueError as error:
        # zarr's words; the checksum is looked at before anything is decoded.
        if "checksum" not in str(error):
            raise
        for url in urls:
            for chunk in corrupt_chunks(url):
                raise CorruptError(
                    f"{url}: chunk {chunk} is corrupt: its checksum (CRC-32C) is not that of its bytes",
                    advice=repair(url.rpartition("/")[0]),
                ) from error
        raise


def corrupt_chunks(url: str) -> Iterator[str]:
    """Names of the chunks of a group that cannot be decoded, found by reading all of it."""
    import zarr

    try:
        group = zarr.open_group(zarr_store(url), mode="r")
    except (FileNotFoundError, ValueError):
        return
    for name, array in group.arrays():
        counts = [range(-(-size // chunk)) for size, chunk in zip(array.shape, array.chunks, strict=True)]
        for at in itertools.product(*counts):
            try:
                array[tuple(slice(i * chunk, (i + 1) * chunk) for i, chunk in zip(at, array.chunks, strict=True))]
            except (ValueError, RuntimeError):
                yield f"{name}/c/{'/'.join(map(str, at))}"


def zarr_store(url: str) -> Any:
    """What zarr opens for this URL."""
    from zarr.storage import FsspecStore, LocalStore

    # zarr would take a local path with `::` in it for a URL.
    if "://" not in url or url.startswith("file://"):
        return LocalStore(url.removeprefix("file://"))
    plain, options = opening(url)
    return FsspecStore.from_url(plain, storage_options=options)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _json(value: Any) -> Any:
    """An attribute as JSON: numpy scalars and arrays become numbers and lists."""
    tolist = getattr(value, "tolist", None)
    return tolist() if tolist is not None else value if _plain(value) or isinstance(value, list) else str(value)
