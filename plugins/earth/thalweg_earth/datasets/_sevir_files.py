"""SEVIR's HDF5 files as lazy arrays: one read per event, nothing held open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from thalweg import SourceError

from ._sevir_lightning import FRAMES, GRID, count_flashes
from ._source import Options, filesystem, fingerprint_of_all, is_remote, require, unreachable

if TYPE_CHECKING:
    import dask.array as da

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EventFiles:
    """The rows of one image type: for each event its file and its place there, `(height, width, frame)` each.

    Images are `KEY(event, height, width, frame)`; lightning is one table per event, counted on its grid.
    """

    key: str
    files: tuple[str, ...]
    """For each event, the URL of its file."""
    places: tuple[Any, ...]
    """For each event, its row in that file, or the name of its table."""
    storage_options: Options = field(default=None, hash=False)

    def layout(self) -> tuple[tuple[int, int, int], np.dtype[Any]]:
        """`(height, width, frames)` and dtype of an event; reads one file's header. Raises `SourceError`."""
        if self.key == "lght":
            return (*GRID, FRAMES), np.dtype("int32")
        with _opened(self.files[0], self.storage_options) as file:
            images = _member(file, self.key, self.files[0])
            if images.ndim != 4:
                raise SourceError(
                    f"{self.files[0]!r}: {self.key!r} has the shape {images.shape}",
                    allowed="(event, height, width, frame)",
                    advice="fetch the file as SEVIR publishes it",
                )
            return images.shape[1:], images.dtype

    def require(self) -> None:
        """Raise `SourceError` unless every file is there; lists each folder once."""
        wanted: dict[str, set[str]] = {}
        for url in dict.fromkeys(self.files):
            wanted.setdefault(url.rpartition("/")[0], set()).add(url)
        for folder, urls in wanted.items():
            system, path = filesystem(folder, self.storage_options)
            try:
                found = {each.rpartition("/")[2] for each in system.ls(path, detail=False)}
            except FileNotFoundError:
                found = set()
            except Exception as error:
                raise unreachable(folder, error) from error
            missing = sorted(url for url in urls if url.rpartition("/")[2] not in found)
            if missing:
                raise SourceError(
                    f"{len(missing)} files of the catalogue are missing, the first {missing[0]!r}",
                    allowed=f"in {folder!r}: {', '.join(sorted(found)) or 'nothing'}",
                    advice="fetch them, or name those you have: `files: '*STORMEVENTS_2019*'`",
                )

    def fingerprint(self) -> str:
        """Changes when one of the files does."""
        return fingerprint_of_all(sorted(set(self.files)), self.storage_options)

    def frames(
        self, chunk: int, *, finish: Callable[[Array], Array] | None, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> da.Array:
        """`(event, frame, height, width)` in chunks of one event and `chunk` frames.

        `finish` reduces an event after it was read; `shape` and `dtype` are what it gives. All chunks of an event hang
        on one task that reads it: its frames are interleaved in the file, so that some cost as much as all.
        """
        import dask.array as da

        array: Any = da
        count, (height, width, frames) = len(self.files), shape
        rows = np.empty(count, dtype=object)
        rows[:] = list(zip(self.files, self.places, strict=True))
        events = array.map_blocks(
            _read,
            array.from_array(rows, chunks=1),
            key=self.key,
            finish=finish,
            expected=(shape, dtype),
            storage_options=self.storage_options,
            new_axis=[1, 2, 3],
            chunks=((1,) * count, (height,), (width,), (frames,)),
            meta=np.empty((0, 0, 0, 0), dtype),
        )
        edges = np.arange(0, frames + chunk, chunk).clip(max=frames)
        spans = np.stack([edges[:-1], edges[1:]], axis=1)
        lazy: da.Array = array.blockwise(
            _cut,
            "efyx",
            events,
            "eyxt",
            array.from_array(spans, chunks=(1, 2)),
            "fs",
            adjust_chunks={"f": tuple(int(each) for each in spans[:, 1] - spans[:, 0])},
            concatenate=True,
            dtype=dtype,
            meta=np.empty((0, 0, 0, 0), dtype),
        )
        return lazy


def _read(
    rows: Array,
    *,
    key: str,
    finish: Callable[[Array], Array] | None,
    expected: tuple[tuple[int, int, int], np.dtype[Any]],
    storage_options: Options,
) -> Array:
    (url, place) = rows[0]
    with _opened(url, storage_options) as file:
        if key == "lght":
            event = count_flashes(_member(file, place, url)[:])
        else:
            images = _member(file, key, url)
            if not 0 <= place < len(images):
                raise SourceError(
                    f"{url!r} has no event {place}: it holds {len(images)}",
                    allowed=f"file_index from 0 to {len(images) - 1}",
                    advice="fetch the file and CATALOG.csv of one release",
                )
            event = images[place]
    event = finish(event) if finish else event
    if (event.shape, event.dtype) != expected:
        raise SourceError(
            f"{url!r} holds {event.dtype} events of the shape {event.shape}",
            allowed=f"{expected[1]} and {expected[0]}, as in the first file",
            advice="keep releases of different size in different folders",
        )
    return event[None]


def _cut(event: Array, span: Array) -> Array:
    (start, stop) = span[0]
    return np.ascontiguousarray(np.moveaxis(event[..., start:stop], -1, 1))


def _member(file: Any, name: str, url: str) -> Any:
    if name not in file:
        raise SourceError(
            f"{url!r} has no {name!r}",
            allowed=", ".join(sorted(file)[:8]) or "nothing: the file is empty",
            advice="fetch the file as SEVIR publishes it",
        )
    return file[name]


@contextmanager
def _opened(url: str, storage_options: Options) -> Iterator[Any]:
    import h5py

    system, path = filesystem(url, storage_options)
    require(url, storage_options)
    try:
        if is_remote(url):
            with system.open(path, "rb") as stream, h5py.File(stream, "r") as file:
                yield file
        else:
            with h5py.File(path, "r") as file:
                yield file
    except OSError as error:
        raise unreachable(url, error) from error
