"""Frames that leave a window: what they knew stays, as a prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg
from thalweg import OptionError

from .information import reduced_system
from .prior import Prior
from .problem import Array, Bundle, named
from .robust import Loss


def marginalise(bundle: Bundle, camera: int, *, loss: Loss | None = None) -> tuple[Bundle, Array, Array]:
    r"""The bundle without a camera and without the points that it sees, and the numbers of what was kept.

    All that their observations (also by other cameras) and the camera's priors say of the other cameras stays as one
    prior, $\Lambda = H_{kk} - H_{km} H_{mm}^{-1} H_{mk}$, linearised at the bundle's state; exact where the problem
    is linear. A later frame that sees one of those points again must take it for a new one. Raises `EstimateError`
    for points that are not determined.
    """
    if not 0 <= camera < len(bundle):
        raise OptionError(f"camera {camera!r}", allowed=f"0 to {len(bundle) - 1}")
    leaving = np.zeros(len(bundle.points), bool)
    leaving[bundle.observations[bundle.observations[:, 0] == camera, 1]] = True
    going = leaving[bundle.observations[:, 1]]
    touched = [each for each in bundle.priors if camera in each.cameras]
    rest = np.setdiff1d(np.arange(len(bundle)), [camera])
    kept_points = np.flatnonzero(~leaving)

    new_camera = np.full(len(bundle), -1, np.int32)
    new_camera[rest] = np.arange(len(rest))
    new_point = np.full(len(bundle.points), -1, np.int32)
    new_point[kept_points] = np.arange(len(kept_points))
    i, j = bundle.observations[~going].T
    priors = [replace(each, cameras=new_camera[each.cameras]) for each in bundle.priors if camera not in each.cameras]
    made = _prior(bundle, camera, leaving, touched, loss)
    if made is not None:
        priors.append(replace(made, cameras=new_camera[made.cameras]))
    smaller = replace(
        bundle,
        cameras=bundle.cameras[rest],
        points=bundle.points[kept_points],
        observations=np.stack([new_camera[i], new_point[j]], axis=1),
        measured=bundle.measured[~going],
        fixed=bundle.fixed[rest],
        priors=tuple(priors),
        attrs={**bundle.attrs, **named(bundle.attrs, rest, kept_points)},
    )
    return smaller, rest, kept_points


def _prior(bundle: Bundle, camera: int, leaving: Array, touched: list[Prior], loss: Loss | None) -> Prior | None:
    """What the points that leave, and these priors, say of the cameras that stay."""
    views = np.bincount(bundle.observations[:, 1], minlength=len(bundle.points))
    # A single line of sight says nothing of the camera.
    used = leaving & (views >= (1 if bundle.model == "stereo" else 2))
    going = used[bundle.observations[:, 1]]
    involved = np.unique(np.concatenate([[camera], bundle.observations[going, 0], *(each.cameras for each in touched)]))
    new_point = np.cumsum(used) - 1
    part = replace(
        bundle,
        points=bundle.points[used],
        observations=np.stack([bundle.observations[going, 0], new_point[bundle.observations[going, 1]]], axis=1),
        measured=bundle.measured[going],
        priors=tuple(touched),
    )
    part, _ = part.select(involved) if len(involved) < len(bundle) else (part, None)
    if len(involved) == 1:
        return None
    information, gradient, constant = reduced_system(part, loss=loss)
    d = bundle.camera.parameters
    mine = np.repeat(involved == camera, d)
    own, between = information[np.ix_(mine, mine)], information[np.ix_(~mine, mine)]
    if bundle.fixed[camera]:
        kept, slope = information[np.ix_(~mine, ~mine)], gradient[~mine]
    else:
        inverse = linalg.pinvh(own, rtol=1e-13)
        kept = information[np.ix_(~mine, ~mine)] - between @ inverse @ between.T
        slope = gradient[~mine] - between @ inverse @ gradient[mine]
        constant -= 0.5 * float(gradient[mine] @ inverse @ gradient[mine])
    others = involved[involved != camera].astype(np.int32)
    return Prior(others, bundle.cameras[others], 0.5 * (kept + kept.T), slope, constant)
