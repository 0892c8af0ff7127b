"""Fields that carry the season with them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import HandshakeError, OptionError, Signature, SourceError, Transform

from .._dates import is_time


class Season(Transform):
    r"""Adds each field times the harmonics of the year, so that what is learned from it may turn with the season.

    `NAME_cosine` $= x \cos\theta$ and `NAME_sine` $= x \sin\theta$, in the units of $x$, where $\theta(t)$ is $2\pi$
    times the share of the year that is over; of further harmonics `NAME_cosine2` and so on. A network that is linear in
    these is a regression whose coefficients have an annual cycle. Raises `HandshakeError` for a field without dates.
    """

    variables: tuple[str, ...] = Field((), description="fields that are changed; if empty, all that vary in time")
    harmonics: PositiveInt = Field(
        1, description="waves in a year: 1 for the annual one, 2 for the half-yearly one too"
    )

    def check(self, given: Signature) -> None:
        moving = [each.name for each in given.fields if "time" in each.dims]
        still = [name for name in self.variables if name in given and name not in moving]
        if still or not moving:
            raise HandshakeError(
                f"{still[0]!r} does not change in time" if still else "nothing changes in time",
                allowed=", ".join(moving) or "fields along 'time'",
                advice="name fields along 'time', or leave `season` out",
            )

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        time = data["time"]
        if not is_time(time):
            raise OptionError(f"'time' holds {time.dtype}", allowed="dates", advice="decode the times of the source")
        angle = 2 * np.pi * (time.dt.decimal_year.values % 1)
        names = self.variables or [
            str(name) for name, each in data.data_vars.items() if "time" in each.dims and each.dtype.kind == "f"
        ]
        added = {}
        for name in names:
            array = data[name]
            for harmonic in range(1, self.harmonics + 1):
                number = "" if harmonic == 1 else str(harmonic)
                for word, wave in (("cosine", np.cos), ("sine", np.sin)):
                    factor = xr.Variable("time", wave(harmonic * angle).astype(array.dtype))
                    made = (array * factor).transpose(*array.dims)
                    made.attrs = {key: each for key, each in array.attrs.items() if key != "valid_range"}
                    made.attrs["long_name"] = f"{array.attrs.get('long_name', name)}, times {word}{number} of the year"
                    added[f"{name}_{word}{number}"] = made
        taken = [name for name in added if name in data]
        if taken:
            raise SourceError(
                f"season would replace {taken[0]!r}",
                allowed="fields of other names",
                advice="rename it, or leave `season` out",
            )
        return data.assign(added)

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: fields are added, and none is changed."""
        return estimate
