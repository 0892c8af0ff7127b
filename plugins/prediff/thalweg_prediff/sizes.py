"""Sizes of PreDiff's three networks: published ones, and small ones that were never published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from thalweg_earthformer.stack import Dropout, Layers

from .architecture import Autoencoder, Levels
from .presets import Family, Preset


@dataclass(frozen=True)
class Sizes:
    """Of the autoencoder, the denoiser and the alignment network; those of the fields are not among them."""

    autoencoder: Autoencoder
    denoiser: Levels
    alignment: Levels


def levels(units: int, depth: tuple[int, ...], *, heads: int = 4, dropout: float = 0.1) -> Levels:
    """Axial attention on each level."""
    layers = Layers(heads=heads, dropout=Dropout(dropout, dropout, dropout))
    return Levels(units, depth, ("axial",) * len(depth), layers)


PRESETS: Mapping[Preset, Sizes] = {
    "sevir-lr": Sizes(Autoencoder(), levels(256, (4, 4)), levels(128, (1, 1))),
    "nbody": Sizes(
        Autoencoder(units=(64, 128, 128), latent=4, groups=32), levels(128, (2, 2)), levels(64, (1, 1)),
    ),
    "taasrad19-small": Sizes(
        Autoencoder(units=(16, 32, 32), latent=4, groups=8),
        levels(32, (1, 1), dropout=0.0),
        levels(32, (1, 1), dropout=0.0),
    ),
}  # fmt: skip
PAPER = 4
"""Channels of a latent frame in the paper; the released configuration has 64, as many numbers as the frame itself."""


def sizes_of(preset: Preset, family: Family) -> Sizes:
    """Those of a preset; the paper's and the released ones differ in the channels of a latent frame only."""
    found = PRESETS[preset]
    if family == "released":
        return found
    return replace(found, autoencoder=replace(found.autoencoder, latent=PAPER))
