"""Bundles far from the origin, as in map coordinates: moved to it while they are adjusted.

A camera is (R, t) with X_c = R X + t. Where points are thousands of kilometres from the origin and metres from one
another, turning a camera about the origin and shifting it are the same to seven digits, and its equations are singular.
The same bundle with X - c and t + R c sees the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .problem import Array, Bundle
from .rotation import exponential

FAR = 10.0
"""Distance of the centre from the origin, over the spread of points and cameras, from which a bundle is moved."""


def centred(bundle: Bundle) -> tuple[Bundle, Callable[[Bundle], Bundle]]:
    """The bundle about the origin, and what brings its cameras and points back; as it is, if it is near.

    Cameras that are fixed come back to their very numbers. A bundle with priors stays, as these know its coordinates.
    """
    centre = _centre(bundle)
    if centre is None:
        return bundle, lambda found: found

    def back(found: Bundle) -> Bundle:
        made = _moved(found, -centre)
        cameras = np.where(bundle.fixed[:, None], bundle.cameras, made.cameras)
        return replace(made, cameras=cameras)

    return _moved(bundle, centre), back


def _centre(bundle: Bundle) -> Array | None:
    if bundle.priors or not len(bundle.points):
        return None
    turns = exponential(bundle.cameras[:, :3])
    places = -np.einsum("nji,nj->ni", turns, bundle.cameras[:, 3:6])
    every = np.concatenate([bundle.points, places])
    # Medians: a point at infinity tells nothing of where the others are.
    centre = np.median(every, axis=0)
    spread = float(np.median(np.linalg.norm(every - centre, axis=1)))
    far = np.isfinite(centre).all() and np.linalg.norm(centre) > FAR * spread > 0
    return np.asarray(centre) if far else None


def _moved(bundle: Bundle, centre: Array) -> Bundle:
    cameras = bundle.cameras.copy()
    cameras[:, 3:6] += exponential(cameras[:, :3]) @ centre
    return replace(bundle, cameras=cameras, points=bundle.points - centre)
