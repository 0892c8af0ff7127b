"""A bundle: cameras, points, and where the points were seen, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from thalweg import SourceError

if TYPE_CHECKING:
    from .prior import Prior

Array = np.ndarray[Any, np.dtype[Any]]
Model = Literal["bal", "pinhole", "stereo", "brown"]


@dataclass(frozen=True)
class Camera:
    """What a kind of camera has: numbers to be adjusted per camera, numbers per observation, constants of all."""

    code: int
    parameters: int
    measured: int
    calibration: tuple[str, ...]
    points: int
    """Points that a camera must see, so that its own parameters are determined."""


CAMERAS: dict[str, Camera] = {
    "bal": Camera(0, 9, 2, (), 5),
    "pinhole": Camera(1, 6, 2, ("fx", "fy", "cx", "cy"), 3),
    "stereo": Camera(2, 6, 3, ("fx", "fy", "cx", "cy", "baseline"), 3),
    "brown": Camera(3, 6, 2, ("f", "cx", "cy", "k1", "k2", "k3", "p1", "p2"), 3),
}


@dataclass(frozen=True)
class Bundle:
    """Cameras, points and observations; all float64 but the numbers of cameras and points.

    A camera is (rotation vector, translation), world to camera: X_c = R X + t. `bal` looks down -z and has f, k1, k2
    of its own; the others look down +z and share one `calibration`. Measurements are (u, v), for `stereo`
    (u left, u right, v), px.
    """

    cameras: Array
    """(C, 6), rad and the unit of the points; `bal` (C, 9): and f in px, k1, k2."""
    points: Array
    """(Q, 3), in the world."""
    observations: Array
    """(O, 2) int32: camera, point."""
    measured: Array
    """(O, 2), `stereo` (O, 3): px."""
    model: Model = "bal"
    calibration: Array = field(default_factory=lambda: np.zeros(0))
    fixed: Array = field(default_factory=lambda: np.zeros(0, bool))
    """(C,) bool: cameras that stay where they are (the gauge); none, if empty."""
    sigma: float = 1.0
    """Standard deviation of a measurement, px."""
    priors: tuple[Prior, ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    """`images` and `tracks` are the file's names of cameras and points, `cameras` and `points` their numbers in the
    bundle that a window was cut from."""

    def __post_init__(self) -> None:
        if self.model not in CAMERAS:
            raise SourceError(f"the camera is {self.model!r}", allowed=", ".join(get_args(Model)))

        def put(name: str, value: Array) -> None:
            object.__setattr__(self, name, value)

        for name in ("cameras", "points", "measured", "calibration"):
            put(name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        put("observations", np.ascontiguousarray(self.observations, dtype=np.int32).reshape(-1, 2))
        put("fixed", np.asarray(self.fixed, bool) if len(self.fixed) else np.zeros(len(self.cameras), bool))
        kind = CAMERAS[self.model]
        wanted = {
            "cameras": (len(self.cameras), kind.parameters),
            "points": (len(self.points), 3),
            "measured": (len(self.observations), kind.measured),
            "calibration": (len(kind.calibration),),
            "fixed": (len(self.cameras),),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise SourceError(
                    f"{name} of shape {getattr(self, name).shape}", allowed=f"{shape}, for {self.model!r}"
                )
        limits = np.array([len(self.cameras), len(self.points)])
        wrong = np.flatnonzero(((self.observations < 0) | (self.observations >= limits)).any(axis=1))
        if len(wrong):
            raise SourceError(
                f"observation {wrong[0]} is of camera, point {self.observations[wrong[0]].tolist()!r}",
                allowed=f"cameras 0 to {limits[0] - 1}, points 0 to {limits[1] - 1}",
            )
        if not self.sigma > 0:
            raise SourceError(f"sigma = {self.sigma!r}", allowed="a standard deviation > 0, in px")

    @property
    def camera(self) -> Camera:
        return CAMERAS[self.model]

    def __len__(self) -> int:
        return len(self.cameras)

    def with_fixed(self, *cameras: int) -> Bundle:
        """This bundle with these cameras held, and no others."""
        fixed = np.zeros(len(self), bool)
        fixed[list(cameras)] = True
        return replace(self, fixed=fixed)

    def select(self, cameras: Array, *, views: int = 1) -> tuple[Bundle, Array]:
        """These cameras, the points that at least `views` of them see, and the numbers that those points had.

        Priors are kept if all of their cameras are.
        """
        cameras = np.asarray(cameras)
        new_camera = np.full(len(self), -1, np.int32)
        new_camera[cameras] = np.arange(len(cameras), dtype=np.int32)
        kept = new_camera[self.observations[:, 0]] >= 0
        seen = np.bincount(self.observations[kept, 1], minlength=len(self.points))
        points = np.flatnonzero(seen >= max(views, 1))
        new_point = np.full(len(self.points), -1, np.int32)
        new_point[points] = np.arange(len(points), dtype=np.int32)
        kept &= new_point[self.observations[:, 1]] >= 0
        camera, point = self.observations[kept].T
        priors = tuple(
            replace(each, cameras=new_camera[each.cameras])
            for each in self.priors
            if (new_camera[each.cameras] >= 0).all()
        )
        chosen = replace(
            self,
            cameras=self.cameras[cameras],
            points=self.points[points],
            observations=np.stack([new_camera[camera], new_point[point]], axis=1),
            measured=self.measured[kept],
            fixed=self.fixed[cameras],
            priors=priors,
            attrs={**self.attrs, **named(self.attrs, cameras, points)},
        )
        return chosen, points

    def without(self, observations: Array) -> tuple[Bundle, Array]:
        """Leaves out these observations, and points that are then seen too seldom; the numbers that the points had."""
        kept = np.ones(len(self.observations), bool)
        kept[observations] = False
        fewer = replace(self, observations=self.observations[kept], measured=self.measured[kept])
        return fewer.select(np.arange(len(self)), views=1 if self.model == "stereo" else 2)

    def in_camera(self) -> Array:
        """(O, 3): every observed point in the frame of the camera that sees it."""
        from scipy.spatial.transform import Rotation

        camera, point = self.observations.T
        turn = Rotation.from_rotvec(self.cameras[:, :3]).as_matrix()
        seen = np.einsum("oij,oj->oi", turn[camera], self.points[point])
        return np.asarray(seen + self.cameras[camera, 3:6])

    def depth(self) -> Array:
        """(O,): distance in front of the camera, negative behind it."""
        return np.asarray(self.in_camera()[:, 2] * (-1.0 if self.model == "bal" else 1.0))


def named(attrs: dict[str, Any], cameras: Array, points: Array) -> dict[str, Any]:
    """The names of cameras and points that are kept."""
    kept = {"images": cameras, "cameras": cameras, "tracks": points, "points": points}
    return {name: np.asarray(attrs[name])[at].tolist() for name, at in kept.items() if name in attrs}
