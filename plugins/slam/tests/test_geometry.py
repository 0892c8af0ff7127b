"""Rigid motions: round trips, and Jacobians against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from thalweg_slam import geometry

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = [3, 6]


def twists(size: int, count: int = 200) -> Array:
    found = np.random.default_rng(0).normal(size=(count, size))
    # Angles near zero, where the closed forms cancel, and below pi, where the logarithm has one branch.
    found[:50] *= 1e-3
    found[50:60] *= 1e-7
    turn = found[:, 2:] if size == 3 else found[:, 3:]
    turn *= np.minimum(1, 3 / np.linalg.norm(turn, axis=1, keepdims=True))
    return found


@pytest.mark.parametrize("size", SIZES)
def test_round_trips(size: int) -> None:
    x = twists(size)
    motion = geometry.exp(x)
    np.testing.assert_allclose(geometry.log(motion), x, atol=1e-12)
    turned = geometry.matrix(motion[0], 2 if size == 3 else 3)
    np.testing.assert_allclose(geometry.matrix(geometry.rotation(turned), turned.shape[-1]), turned, atol=1e-14)
    nothing = geometry.log(geometry.compose(motion, geometry.inverse(motion)))
    np.testing.assert_allclose(nothing, 0, atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_adjoint_carries_a_twist_across_a_motion(size: int) -> None:
    motion, x = geometry.exp(twists(size)), 0.3 * twists(size)[::-1]
    one = geometry.compose(motion, geometry.exp(x))
    other = geometry.compose(geometry.exp((geometry.adjoint(motion) @ x[..., None])[..., 0]), motion)
    np.testing.assert_allclose(geometry.log(geometry.compose(geometry.inverse(one), other)), 0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_right_jacobian_is_the_derivative(size: int) -> None:
    x, h = twists(size), 1e-6
    found = geometry.right_jacobian_inverse(x)
    for k, along in enumerate(np.eye(size)):
        ahead, behind = (
            geometry.log(geometry.compose(geometry.exp(x), geometry.exp(np.broadcast_to(s * h * along, x.shape))))
            for s in (1, -1)
        )
        np.testing.assert_allclose(found[..., k], (ahead - behind) / (2 * h), atol=1e-8)
