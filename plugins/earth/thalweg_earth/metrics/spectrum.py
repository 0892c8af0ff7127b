"""Power by scale, over that of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, field_validator
from thalweg import HandshakeError, Metric, Signature, Totals, chosen

from ._fields import plane
from ._members import ensemble, whole
from ._sums import Array

Bands = tuple[tuple[float, float], ...]


class Spectrum(Metric):
    r"""Power of the estimate in bands of wavenumber over that of the truth: 1 of fields as rough as the truth, below 1
    of smooth ones.

        ratio = sum |F x|^2 / sum |F y|^2        over wavenumbers $k_1 \le k < k_2$, all frames, and all members

    $k = N \sqrt{f_y^2 + f_x^2}$ counts waves over the longer side of `N` cells; $F$ is the Fourier transform of a frame
    less its mean, under a Hann window with `taper`. Cells that are missing in either are the frame's mean in both.
    Dimensionless, along `band`, which is named by its first wavenumber. Raises `HandshakeError` for fields without a
    plane, and for bands that no wave lies in.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2001)129<2370:ETROMN>2.0.CO;2"

    bands: Bands = Field(
        ((1.0, 8.0), (8.0, 32.0)),
        min_length=1,
        description="bands of wavenumber, in waves over the longer side: from the first up to, not including, the last",
    )
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    dims: tuple[str, str] | None = Field(None, description="the two dims of a frame; the last two if null")
    taper: bool = Field(True, description="whether frames are tapered to their mean at the edge, under a Hann window")

    @field_validator("bands")
    @classmethod
    def _rising(cls, bands: Bands) -> Bands:
        if any(not 0 <= low < high for low, high in bands) or len({low for low, _ in bands}) < len(bands):
            raise ValueError("a band has a first wavenumber of its own, and a larger last")
        return bands

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = chosen(given, self.variable)
        sizes = [given.sizes.get(dim, 0) for dim in plane(field.dims, self.dims)]
        if all(sizes):
            self._waves((sizes[0], sizes[1]))

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = ensemble(estimate, truth, variable=self.variable, least=1, metric=self.name)
        dims = plane(right.dims, self.dims)
        left, right = whole(left, right, dims=dims)
        found = xr.apply_ufunc(
            partial(_power, self._waves((right.sizes[dims[0]], right.sizes[dims[1]])), self.taper),
            left,
            right,
            input_core_dims=[["member", *dims], list(dims)],
            output_core_dims=[["part", "band"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"part": 3, "band": len(self.bands)}},
        ).assign_coords(band=[low for low, _ in self.bands])
        count = found.isel(part=2, band=0, drop=True).astype("int64")
        return {name: Totals(found.isel(part=i), count) for i, name in enumerate(("estimate", "truth"))}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["estimate"] / mean["truth"]

    def _waves(self, shape: tuple[int, int]) -> Array:
        """Which waves lie in which band: (band, y, x), with weights of the half spectrum."""
        down, across = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
        wave = max(shape) * np.hypot(down, across)
        # Of the half that is kept each column but the first, and the last of an even size, stands for two.
        weight = np.full(across.shape, 2.0)
        weight[0, 0] = 1.0
        if shape[1] % 2 == 0:
            weight[0, -1] = 1.0
        found = np.stack([np.where((low <= wave) & (wave < high), weight, 0.0) for low, high in self.bands])
        empty = [band for band, each in zip(self.bands, found, strict=True) if not each.any()]
        if empty:
            raise HandshakeError(
                f"no wave of frames of {shape[0]} x {shape[1]} cells lies in the band {empty[0]!r}",
                allowed=f"wavenumbers up to {wave.max():.1f}",
                advice="choose bands that the frames resolve",
            )
        return found


def _power(waves: Array, taper: bool, members: Array, truth: Array) -> Array:
    """Power by band of the members' mean, and of the truth; whether there was any cell: (..., 3, bands)."""
    shape = truth.shape[-2:]
    window = np.hanning(shape[0] + 2)[1:-1, None] * np.hanning(shape[1] + 2)[1:-1] if taper else np.ones(shape)
    found = np.zeros((*truth.shape[:-2], 3, len(waves)))
    for at in np.ndindex(truth.shape[:-2]):
        frames, wanted = members[at].astype(np.float64), truth[at].astype(np.float64)
        there = ~(np.isnan(wanted) | np.isnan(frames).any(0))
        if not there.any():
            continue
        found[at][2] = 1.0
        found[at][1] = _by_band(wanted[None], there, window, waves)
        found[at][0] = np.inf if np.isinf(frames[:, there]).any() else _by_band(frames, there, window, waves)
    return found


def _by_band(frames: Array, there: Array, window: Array, waves: Array) -> Array:
    mean = frames[:, there].mean(-1)[:, None, None]
    away = np.where(there, frames - mean, 0.0)
    power = np.abs(np.fft.rfft2(away * window)) ** 2
    return np.asarray(np.tensordot(waves, power.mean(0), 2))
