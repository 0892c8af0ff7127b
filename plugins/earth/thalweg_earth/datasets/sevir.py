"""SEVIR: storm events over the United States as radar, satellite and lightning images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import xarray as xr
from pydantic import Field, PositiveInt, field_validator
from thalweg import Dataset, OptionError

from ._sevir_events import SPLIT, fingerprint_events, open_events

__all__ = ["PUBLISHED_SPLIT", "PUBLISHED_WINDOWS", "SEVIR"]

ImageType = Literal["vil", "vis", "ir069", "ir107", "lght"]

PUBLISHED_SPLIT = SPLIT
PUBLISHED_WINDOWS = {"inputs": 13, "targets": 12, "stride": 12}
"""Three windows to an event: frames 0-24, 12-36 and 24-48."""


class SEVIR(Dataset):
    """Storm events of 4 h and 384 km, every 5 min, from SEVIR's catalogue and HDF5 files.

    `vil(event, frame=49, y=384, x=384)` uint8, and any of `vis`, `ir069`, `ir107` (int16, packed) and `lght` (flashes
    per cell and frame), raw as in the files, units 1. Along `event`, sorted: `id`, `time_utc`, `event_type`,
    `frame_delay` and the corners. As published, an event counts if every type has one row of it without missing pixels;
    `PUBLISHED_SPLIT` and `PUBLISHED_WINDOWS` are those of the 13 -> 12 nowcasting benchmark.
    Raises `SourceError` for a catalogue without the needed columns, a missing file, or files of another size.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2207.05833"
    example: ClassVar[Mapping[str, Any]] = {"path": "s3://sevir"}

    path: str = Field(description="folder or URL that holds CATALOG.csv and data/, as s3://sevir does")
    image_types: tuple[ImageType, ...] = Field(("vil",), description="images of an event that are read")
    files: str = Field("*", description="pattern of file names in the catalogue, for a part of the archive")
    frames_per_chunk: PositiveInt = Field(7, description="steps of a stored chunk")
    compress: bool = Field(
        True,
        description="whether stored chunks are compressed; without, they take five times the space and are read "
        "several times as fast",
    )
    storage_options: dict[str, Any] = Field(
        {}, description="options of fsspec, if `path` is a URL; s3://sevir is public: {anon: true}"
    )

    @field_validator("image_types")
    @classmethod
    def _once_each(cls, value: tuple[ImageType, ...]) -> tuple[ImageType, ...]:
        if not value or len(set(value)) < len(value):
            raise OptionError(
                f"image_types is {list(value)!r}",
                allowed="one or more of vil, vis, ir069, ir107, lght, each once",
                advice="name each type once; the first one lies on (y, x)",
            )
        return value

    def open(self) -> xr.Dataset:
        data = open_events(
            self.path,
            self.image_types,
            frames=49,
            chunk=self.frames_per_chunk,
            pattern=self.files,
            storage_options=self.storage_options,
        )
        if not self.compress:
            for image_type in self.image_types:
                data[image_type].encoding["compressors"] = ()
        return data

    def fingerprint(self) -> str:
        return fingerprint_events(self.path, self.image_types, pattern=self.files, storage_options=self.storage_options)
