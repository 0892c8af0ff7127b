"""What is known of cameras beforehand, or from frames that were marginalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .problem import Array


@dataclass(frozen=True)
class Prior:
    r"""A Gaussian of some cameras: $\frac12 d^T \Lambda d + \eta^T d + c$ with $d$ the step from `at` to the state.

    A step is (rotation vector in the frame of the camera, difference of translation, of f, k1, k2):
    $R = \exp(\omega) R_{at}$.
    """

    cameras: Array
    """(k,) int: numbers of cameras."""
    at: Array
    """(k, 6 or 9): the point of linearisation."""
    information: Array
    """(k d, k d)."""
    gradient: Array
    """(k d,): eta."""
    constant: float = 0.0

    @classmethod
    def of(cls, camera: int, at: Array, *, sigma: Array) -> Prior:
        """One camera, known with these standard deviations: (rad, unit of the points, px, 1, 1)."""
        at = np.asarray(at, float)
        weights = 1.0 / np.broadcast_to(np.asarray(sigma, float), at.shape) ** 2
        return cls(np.array([camera], np.int32), at[None], np.diag(weights), np.zeros(len(at)))
