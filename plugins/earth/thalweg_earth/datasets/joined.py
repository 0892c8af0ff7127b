"""Several sources one after another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Dataset, Named, SourceError

from ._together import end_to_end


class Joined(Dataset):
    """Several sources, each read by a dataset of its own, one after another along `over`, with the name of each.

    Train on one and test on another: `windows` keeps each window in one source, and `split` takes a period of each,
    `train: {simulation: [1850, 1979]}`. Names, units, grids and calendars must agree. A forecast begins at the end of
    the last one. Raises `SourceError`.
    """

    example: ClassVar[Mapping[str, Any]] = {"of": {"first": "ostia-sample", "second": "ostia-sample"}}

    of: dict[str, Named[Dataset]] = Field(
        min_length=2, description="datasets by the name of each: {simulation: {array: {path: run.nc}}, observed: ersst}"
    )
    over: str = Field("time", description="the dim along which one follows another")
    label: str = Field("source", description="the coordinate along `over` that says which source a step is of")

    def open(self) -> xr.Dataset:
        parts = [each.open() for each in self.of.values()]
        for name, part in zip(self.of, parts, strict=True):
            if self.label in part.variables:
                raise SourceError(
                    f"{name!r} has a {self.label!r} of its own",
                    allowed="a name that no source has",
                    advice="choose another in `label`",
                )
        data = end_to_end(parts, list(self.of), along=self.over)
        names = np.repeat(np.array(list(self.of), dtype=object), [each.sizes[self.over] for each in parts])
        # As CF says of an indexed ragged array: the series that each element belongs to.
        attrs = {"long_name": "the source of each step", "instance_dimension": self.label}
        return data.assign_coords({self.label: (self.over, names, attrs)})

    def fingerprint(self) -> str:
        known = [(name, each.fingerprint()) for name, each in self.of.items()]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()
