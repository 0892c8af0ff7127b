"""Bundles from files, whole or cut into windows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from thalweg import Dataset, OptionError, SourceError

from ..formats._tables import marks, read_bytes
from ..formats.kitti import read_kitti
from ..formats.tum import read_tum
from ..trajectory import Trajectory
from .diagnosis import not_finite, refusal, twice
from .formats.bal import read_bal
from .formats.gbp import read_gbp
from .formats.libmv import read_libmv
from .formats.lines import Invalid
from .formats.stereo import read_stereo
from .layout import dataset
from .problem import Bundle
from .store import read_bundles

log = logging.getLogger("thalweg")


class BundleFile(Dataset):
    """Cameras, points and observations of one file, as one sample, or one of each window of consecutive cameras.

    Or of a zarr store (`write_bundles`), one sample each. The truth has poses camera to world: in the row that the
    file's number of a camera counts (`stereo`, `libmv`; from 0, or from 1 where cameras are numbered so without a gap),
    or, of files that do not number cameras, as many as these, in order. Without it errors are NaN. Raises
    `SourceError`.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "problem-21-11315-pre.txt.gz", "format": "bal"}

    path: str = Field(description="file or URL of the bundle")
    format: Literal["bal", "gbp", "libmv", "stereo", "zarr"] = Field(
        "bal",
        description="format of the bundle: BAL, TUM keyframes (gbp), libmv (Blender), GTSAM's stereo, or a zarr store",
    )
    poses: str = Field("", description="format stereo: file of the initial poses")
    calibration: str = Field(
        "", description="format stereo: file of the calibration, fx fy skew cx cy baseline (px, m)"
    )
    truth: str = Field("", description="file or URL of the true poses; an empty text: there is none")
    truth_format: Literal["kitti", "tum"] = Field("kitti", description="format of the true poses")
    sigma: PositiveFloat | None = Field(
        None, description="standard deviation of a measurement, px; if null, that of a store, or 1"
    )
    window: NonNegativeInt = Field(0, description="cameras of a window; 0: all of them, as one sample")
    stride: PositiveInt = Field(1, description="cameras between the starts of two windows")
    loops: NonNegativeInt = Field(
        0, description="least number of points that two cameras share where a loop closes; 0: no loop is sought"
    )
    gap: PositiveInt = Field(30, description="least number of cameras between the two ends of a loop")
    repair: bool = Field(
        False,
        description="whether observations that are not finite or given twice, and points seen too seldom or behind a "
        "camera, are mended or left out, and said; otherwise the file is refused",
    )

    @model_validator(mode="after")
    def _files(self) -> Self:
        if (self.format == "stereo") != bool(self.poses and self.calibration):
            raise OptionError(
                f"format = {self.format!r}, poses = {self.poses!r}, calibration = {self.calibration!r}",
                allowed="both files with `stereo`, and with no other format",
            )
        if self.loops and (self.window or self.format != "stereo"):
            raise OptionError(
                f"loops = {self.loops!r}, window = {self.window!r}, format = {self.format!r}",
                allowed="loops of whole drives of a stereo camera, which measures lengths",
            )
        if self.format == "zarr" and (self.truth or self.window):
            raise OptionError(
                f"truth = {self.truth!r}, window = {self.window!r} with a store",
                allowed="neither",
                advice="leave these options out: a store holds windows, and their truth, as they were written",
            )
        return self

    def open(self) -> xr.Dataset:
        return self._stored() if self.format == "zarr" else self._file()

    def fingerprint(self) -> str:
        if self.format == "zarr":
            return hashlib.sha256(repr(marks(self.path)).encode()).hexdigest()
        found = hashlib.sha256()
        for path in filter(None, (self.path, self.poses, self.calibration, self.truth)):
            found.update(read_bytes(path))
        return found.hexdigest()

    def _stored(self) -> xr.Dataset:
        bundles, truths = read_bundles(self.path)
        return dataset(
            [replace(self._sound(each), sigma=self.sigma or each.sigma) for each in bundles],
            truths or [None] * len(bundles),
            first=[0] * len(bundles),
            attrs={"title": str(bundles[0].attrs["source"])},
        )

    def _file(self) -> xr.Dataset:
        # Not at the top: they load numba.
        from .loops import loop_graph
        from .odometry import Window, windows

        bundle = replace(self._sound(self._bundle()), sigma=self.sigma or 1.0)
        if self.window:
            parts = windows(bundle, size=self.window, stride=self.stride)
        else:
            parts = [Window(np.arange(len(bundle)), np.arange(len(bundle.points)), bundle)]
        truth = self._truth(bundle)
        return dataset(
            [each.bundle for each in parts],
            [None if truth is None else truth[each.cameras] for each in parts],
            first=[int(each.cameras[0]) for each in parts],
            attrs={"title": str(bundle.attrs["source"])},
            loops=[loop_graph(bundle, shared=self.loops, gap=self.gap)] if self.loops else [],
        )

    def _bundle(self) -> Bundle:
        invalid: Invalid = "keep" if self.repair else "refuse"
        if self.format == "stereo":
            return read_stereo(self.path, poses=self.poses, calibration=self.calibration, invalid=invalid)
        if self.format == "libmv":
            return read_libmv(self.path)
        return (read_bal if self.format == "bal" else read_gbp)(self.path, invalid=invalid)

    def _sound(self, bundle: Bundle) -> Bundle:
        """The bundle repaired, or refused for what no window of it leaves out."""
        if not self.repair:
            # Windows leave out points that are behind a camera, or seen too seldom in them.
            wrong = (*not_finite(bundle), *twice(bundle))
            if wrong:
                raise refusal(wrong)
            return bundle
        # Not at the top: it loads numba.
        from .mending import repair

        mended, report = repair(bundle)
        log.log(logging.WARNING if report.findings else logging.INFO, "%s", report)
        return mended

    def _truth(self, bundle: Bundle) -> Trajectory | None:
        if not self.truth:
            return None
        found = read_kitti(self.truth) if self.truth_format == "kitti" else read_tum(self.truth)
        names = bundle.attrs.get("images")
        if names is None:
            if len(found) != len(bundle):
                raise SourceError(
                    f"{self.truth!r} has {len(found)} poses",
                    allowed=f"{len(bundle)}, one per camera: {self.path!r} does not number its cameras",
                    advice="cut the truth to the cameras of the bundle",
                )
            return found
        rows = np.asarray(names)
        if rows.min() == 1 and rows.max() == len(rows):
            rows = rows - 1
        if rows.min() < 0 or rows.max() >= len(found):
            raise SourceError(
                f"{self.truth!r} has {len(found)} poses; cameras of {self.path!r} are {rows.min()} to {rows.max()}",
                allowed="a row for each number of a camera, counted from 0",
                advice="give the truth of all frames",
            )
        log.info("%s: %d cameras have a truth in %s, by their numbers", self.path, len(rows), self.truth)
        return found[rows]
