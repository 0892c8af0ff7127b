"""What the three networks are built from."""

from __future__ import annotations

from dataclasses import dataclass, field

from thalweg import OptionError
from thalweg_earthformer.patterns import SelfPattern
from thalweg_earthformer.stack import Layers

Shape = tuple[int, int, int, int]
"""(time, height, width, channel)."""


@dataclass(frozen=True)
class Autoencoder:
    """The frame-wise autoencoder; frames are halved between its levels."""

    channels: int = 1
    units: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of each level, finest first."""
    layers: int = 2
    """Residual blocks of a level of the encoder; the decoder has one more."""
    latent: int = 64
    """Channels of a latent frame."""
    groups: int = 32

    def __post_init__(self) -> None:
        wrong = [units for units in self.units if units % self.groups]
        if wrong or not self.units:
            raise OptionError(
                f"an autoencoder of {self.units!r} units, normalised in {self.groups!r} groups",
                allowed="levels whose units the groups divide",
                advice="change units or groups",
            )

    @property
    def coarsening(self) -> int:
        """Cells of a frame along each side in one of the latent."""
        return int(2 ** (len(self.units) - 1))

    def latent_shape(self, shape: Shape) -> Shape:
        """The shape of the latent of fields of a shape. Raises `OptionError` where frames cannot be halved so often."""
        time, height, width, _ = shape
        by = self.coarsening
        if height % by or width % by:
            raise OptionError(
                f"frames of {height} x {width} cells, halved {len(self.units) - 1} times",
                allowed=f"multiples of {by}",
                advice="take fewer levels, or pad or cut the fields in preprocess",
            )
        return time, height // by, width // by, self.latent


@dataclass(frozen=True)
class Levels:
    """The levels of the denoiser, or of the alignment network: finest first."""

    units: int = 256
    """Channels of the finest level; they double from level to level."""
    depth: tuple[int, ...] = (4, 4)
    patterns: tuple[SelfPattern, ...] = ("axial", "axial")
    layers: Layers = field(default_factory=Layers)
    widening: int = 4
    """Channels of the embedding of the noise level over those of the finest level."""
    checkpoint: bool = False
    """Whether training keeps only what goes into each stack, and computes the rest twice."""

    def __post_init__(self) -> None:
        if len(self.depth) != len(self.patterns) or not self.depth or min(self.depth) < 1:
            raise OptionError(
                f"depths {self.depth!r} with patterns {self.patterns!r}",
                allowed="as many depths, of at least 1, as patterns",
                advice="give one of each per level, finest first",
            )
        if any(units % self.layers.heads for units in self.level_units):
            raise OptionError(
                f"{self.layers.heads} heads with {self.level_units!r} units",
                allowed="units of every level that the heads divide",
                advice="change heads or units",
            )

    @property
    def level_units(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.units * 2**level for level in range(len(self.depth)))

    def shapes(self, time: int, height: int, width: int) -> list[tuple[int, int, int]]:
        """The shape of each level. Raises `OptionError` for fields that cannot be halved so often."""
        by = 2 ** (len(self.depth) - 1)
        if height % by or width % by:
            raise OptionError(
                f"latents of {height} x {width} cells on {len(self.depth)} levels",
                allowed=f"multiples of {by}",
                advice="take fewer levels, or a finer latent",
            )
        return [(time, height // 2**level, width // 2**level) for level in range(len(self.depth))]
