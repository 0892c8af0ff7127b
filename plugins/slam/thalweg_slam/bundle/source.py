"""Bundles from files, whole or cut into windows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from thalweg import Dataset
from thalweg.errors import OptionError, SourceError

from ..formats.kitti import read_kitti
from ..formats.tum import read_tum
from ..trajectory import Trajectory
from .formats.bal import read_bal
from .formats.gbp import read_gbp
from .formats.libmv import read_libmv
from .formats.lines import content
from .formats.stereo import read_stereo
from .layout import dataset
from .odometry import Window, windows
from .problem import Bundle


class BundleFile(Dataset):
    """Cameras, points and observations of one file, as one sample, or one of each window of consecutive cameras.

    The truth has a pose per camera, camera to world, in order (a longer one is cut); without it errors are NaN.
    Raises `SourceError`.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "problem-21-11315-pre.txt.gz", "format": "bal"}

    path: str
    format: Literal["bal", "gbp", "libmv", "stereo"] = Field(
        "bal", description="BAL; TUM keyframes; Blender; GTSAM's stereo"
    )
    poses: str = Field("", description="of `stereo`: a file of first poses")
    calibration: str = Field("", description="of `stereo`: a file of fx fy skew cx cy baseline")
    truth: str = ""
    truth_format: Literal["kitti", "tum"] = "kitti"
    sigma: PositiveFloat = Field(1.0, description="of a measurement, px")
    window: NonNegativeInt = Field(0, description="cameras of a window; 0: all of them, one sample")
    stride: PositiveInt = Field(1, description="from window to window")

    @model_validator(mode="after")
    def _files(self) -> Self:
        if (self.format == "stereo") != bool(self.poses and self.calibration):
            raise OptionError(
                f"format = {self.format!r}, poses = {self.poses!r}, calibration = {self.calibration!r}",
                allowed="both files with `stereo`, and with no other format",
            )
        return self

    def open(self) -> xr.Dataset:
        from dataclasses import replace

        bundle = replace(self._bundle(), sigma=self.sigma)
        if self.window:
            parts = windows(bundle, size=self.window, stride=self.stride)
        else:
            parts = [Window(np.arange(len(bundle)), np.arange(len(bundle.points)), bundle)]
        data = dataset(parts, self._truth(len(bundle)), attrs={"title": str(bundle.attrs["source"])})
        return data.chunk({dim: 1 if dim == "sample" else -1 for dim in data.dims})

    def fingerprint(self) -> str:
        found = hashlib.sha256()
        for path in filter(None, (self.path, self.poses, self.calibration, self.truth)):
            found.update(content(path))
        return found.hexdigest()

    def _bundle(self) -> Bundle:
        if self.format == "stereo":
            return read_stereo(self.path, poses=self.poses, calibration=self.calibration)
        return {"bal": read_bal, "gbp": read_gbp, "libmv": read_libmv}[self.format](self.path)

    def _truth(self, count: int) -> Trajectory | None:
        if not self.truth:
            return None
        found = read_kitti(self.truth) if self.truth_format == "kitti" else read_tum(self.truth)
        if len(found) < count:
            raise SourceError(f"{self.truth!r} has {len(found)} poses", allowed=f"{count}, one per camera")
        return found[:count]
