"""SEVIR-LR: SEVIR's radar images at a third of the resolution and half the frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import Dataset, SourceError

from ._sevir_events import fingerprint_events, open_events

__all__ = ["PUBLISHED_SPLIT", "PUBLISHED_WINDOWS", "SEVIRLR"]

BLOCK, STEP = 3, 2

PUBLISHED_SPLIT: dict[str, tuple[str | None, str | None]] = {
    "train": (None, "2019-06-01"),
    "test": ("2019-06-01", None),
}
"""As in `sevir`, without its validation period: the published one is a random tenth of the training *windows*, which
shares events with the rest. Held-out events (`sevir`'s period) are the honest choice."""
PUBLISHED_WINDOWS = {"inputs": 7, "targets": 6, "stride": 6}
"""Three windows to an event: frames 0-12, 6-18 and 12-24."""


class SEVIRLR(Dataset):
    """Vertically integrated liquid of SEVIR's events, every 10 min on 128 x 128 cells of 3 km.

    `vil(event, frame=25, y=128, x=128)` uint8, units 1; coordinates and choice of events as in `sevir`. Read from the
    published files, or made from SEVIR's own with `reduce`: every second frame, and of every 3 x 3 block its maximum.
    Raises `SourceError` as `sevir` does.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    example: ClassVar[Mapping[str, Any]] = {"path": "sevir_lr"}

    path: str = Field(
        description="folder or URL that holds CATALOG.csv and data/ of SEVIR-LR, or of SEVIR with `reduce`"
    )
    reduce: bool = Field(
        False,
        description="whether `path` is SEVIR, which is reduced to the grid and steps of SEVIR-LR while it is read",
    )
    files: str = Field("*", description="pattern of file names in the catalogue, for a part of the archive")
    frames_per_chunk: PositiveInt = Field(25, description="steps of a stored chunk")
    storage_options: dict[str, Any] = Field(
        {}, description="options of fsspec, if `path` is a URL; s3://sevir is public: {anon: true}"
    )

    def open(self) -> xr.Dataset:
        return open_events(
            self.path,
            ("vil",),
            frames=49 if self.reduce else 25,
            chunk=self.frames_per_chunk,
            pattern=self.files,
            storage_options=self.storage_options,
            finish=reduce_event if self.reduce else None,
            finished=_reduced_shape if self.reduce else None,
        )

    def fingerprint(self) -> str:
        return fingerprint_events(self.path, ("vil",), pattern=self.files, storage_options=self.storage_options)


def reduce_event(event: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every second frame and the maximum of every 3 x 3 block of `(height, width, frame)`."""
    height, width, _ = _reduced_shape(event.shape)
    kept = event[..., ::STEP]
    reduced: np.ndarray[Any, Any] = kept.reshape(height, BLOCK, width, BLOCK, -1).max((1, 3))
    return reduced


def _reduced_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, frames = shape
    if height % BLOCK or width % BLOCK:
        raise SourceError(
            f"events of {height} x {width} cells do not divide into blocks of {BLOCK} x {BLOCK}",
            allowed="a multiple of 3, as 384",
            advice="leave `reduce` out if the files are SEVIR-LR already",
        )
    return height // BLOCK, width // BLOCK, (frames + STEP - 1) // STEP
