"""Optical flow: one algorithm, for arrays of numpy with gaps and for batches of tensors.

What depends on the kind of array (filters, interpolation) is asked of `Planes`.
"""

from __future__ import annotations

from typing import Any, Protocol

SCALES = (4.0, 2.0, 1.0)
"""Widths (cells) of the filters from coarse to fine: the coarsest bounds the displacement that can be found."""
TINY = 1e-20
"""What stands for a weight of nothing."""


class Planes(Protocol):
    """Operations on fields `(..., row, column)` of one kind of array; `by` and motion are `(..., 2, row, column)`."""

    def smoothed(self, frames: Any, width: float) -> tuple[Any, Any | None]:
        """Frames `(..., frame, row, column)` under a Gaussian, and of each cell the share that was observed, if not
        all."""

    def blurred(self, fields: Any, width: float) -> Any:
        """Under a Gaussian, beyond the fields 0."""

    def carried(self, frames: Any, by: Any) -> Any:
        """Each frame at `cell - by`, bilinear; beyond the field what is at its edge."""

    def inside(self, by: Any) -> Any:
        """Whether `cell - by` lies in the field."""

    def gradient(self, fields: Any) -> tuple[Any, Any]:
        """Along rows and along columns."""

    def stack(self, parts: list[Any]) -> Any:
        """Fields as one, `(..., part, row, column)`."""

    def minimum(self, one: Any, other: Any) -> Any:
        """The smaller one of each cell."""


def optical_flow(frames: Any, motion: Any, planes: Planes, *, window: float, stiffness: float, iterations: int) -> Any:
    r"""Lucas-Kanade motion common to all pairs of successive frames, in cells per step, coarse to fine.

    At each cell the increment minimises $\sum w (g \cdot \delta + r)^2 + \lambda |v + \delta - \bar v|^2$: `r` is the
    difference of the two frames, both moved half way, `g` their gradient, `w` a Gaussian of width `window`, and
    $\bar v$ the motion that fits the whole field, which alone speaks where there is nothing to follow.

    `frames` `(..., frame, row, column)` have a standard deviation of 1; it begins with `motion`, zeros.
    """
    for scale in SCALES:
        smooth, share = planes.smoothed(frames, scale)
        for _ in range(iterations):
            tensor, vector = _normal_equations(smooth, share, motion, planes)
            weight = tensor[..., 0, :, :] + tensor[..., 2, :, :]
            total = _over_field(weight)[..., None, :, :].clip(min=TINY)
            common = _solved(_over_field(tensor), _over_field(vector), planes, ridge=1e-6 * total[..., 0, :, :])
            # The increment of the whole field is added to its present mean motion, weighted as the equations are.
            common = common + _over_field(motion * weight[..., None, :, :]) / total
            local, right = planes.blurred(tensor, window), planes.blurred(vector, window)
            pull = stiffness * weight.mean((-2, -1))[..., None, None] + TINY
            right = right + pull[..., None, :, :] * (common - motion)
            motion = motion + _solved(local, right, planes, ridge=pull)
    return motion


def _normal_equations(frames: Any, share: Any | None, motion: Any, planes: Planes) -> tuple[Any, Any]:
    """`g g^T` as (rr, rc, cc) and `-g r`, added up over the pairs; what comes from outside weighs nothing.

    With the `share` of the smoothing that was there, a cell weighs by it: nothing where it is a half, as on the edge of
    what was observed.
    """
    half = motion / 2
    inside = planes.inside(half) & planes.inside(-half)
    back = planes.carried(frames[..., :-1, :, :], half)
    forth = planes.carried(frames[..., 1:, :, :], -half)
    weight = None
    if share is not None:
        there = planes.carried(share[..., :-1, :, :], half), planes.carried(share[..., 1:, :, :], -half)
        weight = (2 * planes.minimum(*there) - 1).clip(0.0, 1.0)
    tensor, vector = 0.0, 0.0
    for pair in range(back.shape[-3]):
        first, second = back[..., pair, :, :], forth[..., pair, :, :]
        down, along = (each * inside for each in planes.gradient((first + second) / 2))
        counted = (down, along) if weight is None else (down * weight[..., pair, :, :], along * weight[..., pair, :, :])
        tensor = tensor + planes.stack([counted[0] * down, counted[0] * along, counted[1] * along])
        vector = vector - planes.stack(list(counted)) * (second - first)[..., None, :, :]
    return tensor, vector


def _over_field(fields: Any) -> Any:
    return fields.sum((-2, -1))[..., None, None]


def _solved(tensor: Any, vector: Any, planes: Planes, *, ridge: Any) -> Any:
    rr, rc, cc = (tensor[..., part, :, :] for part in range(3))
    rr, cc = rr + ridge, cc + ridge
    determinant = (rr * cc - rc * rc).clip(min=1e-30)
    one, other = vector[..., 0, :, :], vector[..., 1, :, :]
    return planes.stack([cc * one - rc * other, rr * other - rc * one]) / determinant[..., None, :, :]
