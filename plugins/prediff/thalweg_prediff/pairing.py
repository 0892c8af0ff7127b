"""Which samplers draw what an objective has learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Sampler = Literal["ddpm", "ddim", "dpm-solver++", "euler", "heun"]
FIT: Mapping[str, tuple[Sampler, ...]] = {
    "flow": ("euler", "heun"),
    **dict.fromkeys(("epsilon", "v", "x0"), ("ddim", "ddpm", "dpm-solver++")),
}
"""Samplers of an objective, the default first."""
