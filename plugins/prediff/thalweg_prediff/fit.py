"""Which samplers draw what a network learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from thalweg import OptionError

Objective = Literal["epsilon", "v", "x0", "flow"]
Sampler = Literal["ddpm", "ddim", "dpm-solver++", "euler", "heun"]
FIT: Mapping[str, tuple[Sampler, ...]] = {
    "flow": ("euler", "heun"),
    **dict.fromkeys(("epsilon", "v", "x0"), ("ddim", "ddpm", "dpm-solver++")),
}
"""Samplers of an objective, the default first."""


def sampler_of(learns: Objective, sampler: Sampler | None) -> Sampler:
    """The sampler that was chosen, or the objective's default. Raises `OptionError` for one that does not fit."""
    fit = FIT[learns]
    if sampler is not None and sampler not in fit:
        raise OptionError(
            f"`sampler: {sampler}` does not draw what `learns: {learns}` has",
            allowed=", ".join(fit),
            advice="choose one of these, or another `learns`",
        )
    return sampler or fit[0]
