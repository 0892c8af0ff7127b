"""Noise as an input of a network: what a learner asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

When = Literal["learning", "solving"]


@dataclass(frozen=True)
class Noise:
    """An input that is drawn, float32: `(sample, *shape)`, or `(sample, member, *shape)` with `members`.

    `normal` has mean 0 and variance 1, `uniform` lies between 0 and 1. While learning it is another one in each epoch.
    """

    shape: tuple[int, ...] = ()
    kind: Literal["normal", "uniform"] = "normal"
    members: bool = False
    """Whether each member that the learner gives has its own."""
    only: When | None = None
    """Where it is needed, if not in both: the level of a denoiser while learning, what a sampler begins with after."""
