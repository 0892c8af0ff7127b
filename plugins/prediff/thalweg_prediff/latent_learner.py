"""What the learners of latent diffusion share: the sizes of their networks, and the fields that they continue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PositiveInt
from thalweg import HandshakeError, Phase, Signature, Site
from thalweg.learning import Layout, Noise, TorchLearner

from .presets import Family, Preset

if TYPE_CHECKING:
    from .architecture import Shape
    from .sizes import Sizes

TINY: Mapping[str, Any] = {
    "autoencoder_units": [4, 4], "groups": 2, "latent": 2, "units": 8, "depth": [1], "heads": 2, "dropout": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """Shapes (time, height, width, channel) of a sample, as fields and as latents."""

    inputs: Shape
    targets: Shape
    context: Shape
    latents: Shape


class LatentLearner(TorchLearner):
    """Networks on the frames of some variables, or on their latents."""

    sites: ClassVar[frozenset[Site]] = frozenset()
    own_loss: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = TINY

    preset: Preset = Field(
        "taasrad19-small",
        description="name of a set of sizes. sevir-lr: as published; nbody: for 64 x 64 cells on a GPU; "
        "taasrad19-small: for 64 x 64 cells on a processor. The last two are not published ones",
    )
    family: Family = Field(
        "released",
        description="source of the channels of a latent frame: the released configuration (64), or the paper (4)",
    )
    autoencoder_units: tuple[PositiveInt, ...] | None = Field(
        None, description="channels of each level of the autoencoder, finest first; the preset's if null"
    )
    groups: PositiveInt | None = Field(
        None, description="groups of the autoencoder's normalisation; the preset's if null"
    )
    latent: PositiveInt | None = Field(None, description="channels of a latent frame; the preset's if null")
    units: PositiveInt | None = Field(
        None, description="channels of the finest level of the network on latents; the preset's if null"
    )
    depth: tuple[PositiveInt, ...] | None = Field(
        None, description="number of stacks of each of its levels, finest first; the preset's if null"
    )
    heads: PositiveInt | None = Field(None, description="number of its attention heads; the preset's if null")
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="share of its values that are dropped while it learns; the preset's if null"
    )
    turned: bool = Field(
        True, description="whether it learns from fields that are mirrored and turned by quarters, at random"
    )

    def sizes(self) -> Sizes:
        """Of the preset, under the options."""
        from .sizes import levels, sizes_of

        found = sizes_of(self.preset, self.family)
        coded = found.autoencoder
        autoencoder = replace(
            coded,
            units=self.autoencoder_units or coded.units,
            groups=self.groups or coded.groups,
            latent=self.latent or coded.latent,
        )
        made = {}
        for name in ("denoiser", "alignment"):
            each = getattr(found, name)
            made[name] = levels(
                self.units or each.units,
                self.depth or each.depth,
                heads=self.heads or each.layers.heads,
                dropout=each.layers.dropout.projection if self.dropout is None else self.dropout,
            )
        return replace(found, autoencoder=autoencoder, **made)

    def check(self, given: Signature) -> None:
        layout = Layout.of(given)
        if layout.dims[:1] != ("lead",) or len(layout.dims) != 3:
            raise HandshakeError(
                f"{self.name} is given {', '.join(layout.names)} along {layout.dims!r}",
                allowed="maps in time: (lead, y, x)",
                advice="cut the series with `windows`, and bring the fields onto a grid",
            )
        time, height, width = layout.sizes
        self.sizes().autoencoder.latent_shape((time, height, width, 1))

    def frames(self, given: Signature, wanted: Signature) -> Frames:
        """Raises `HandshakeError` for other fields than the given ones, `OptionError` for sizes that do not halve."""
        one, other = Layout.of(given), Layout.of(wanted)
        if one.names != other.names or len(other.dims) != 3 or one.sizes[1:] != other.sizes[1:]:
            raise HandshakeError(
                f"{self.name} continues the fields that it is given, but from {given} it is to make {wanted}",
                allowed="the same variables on the same grid as input and truth",
                advice="name the same variables in `observe` and `predict` of windows",
            )
        (times, height, width), count = one.sizes, len(one.names)
        inputs, targets = (times, height, width, count), (other.sizes[0], height, width, count)
        coded = replace(self.sizes().autoencoder, channels=count)
        return Frames(inputs, targets, coded.latent_shape(inputs), coded.latent_shape(targets))

    def own(self, kind: type[LatentLearner], **options: Any) -> LatentLearner:
        """A learner of one of the phases, with the options of this one that it has."""
        shared = {name: getattr(self, name) for name in LatentLearner.model_fields}
        return kind.model_validate({**shared, **options})


class OnLatents(LatentLearner):
    """A network on the latents of an autoencoder that is learned before it, told how noisy what it sees is."""

    autoencoder_train: dict[str, Any] | None = Field(
        None,
        description="what `train:` says where the autoencoder is learned, in place of the recipe's own options; these "
        "if null",
    )
    adversarial: float = Field(0.0, ge=0, description="weight of a critic in the loss of the autoencoder; none if 0")
    adversarial_after: int = Field(
        25_000, ge=0, description="step of the autoencoder's training in which its critic begins"
    )

    def coded(self, options: Mapping[str, Any]) -> Phase:
        """The phase of the autoencoder."""
        from .autoencoder_learner import AutoencoderLearner

        given = {"adversarial": self.adversarial, "adversarial_after": self.adversarial_after}
        # What only the network on latents is built of makes no other autoencoder.
        rest = {"units": None, "depth": None, "heads": None, "dropout": None}
        learner = self.own(AutoencoderLearner, **given, **rest)
        return Phase("autoencoder", learner, options if self.autoencoder_train is None else self.autoencoder_train)

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        """The autoencoder."""
        return (self.coded(options),)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        """The noise of a state, its level, that of the latents' posterior, and how fields are turned."""
        shape = self.frames(given, wanted).latents
        return {
            "noise": Noise(shape, only="learning"),
            "posterior": Noise(shape, only="learning"),
            "share": Noise(kind="uniform", only="learning"),
            "turn": Noise((3,), kind="uniform", only="learning"),
            "start": Noise(shape, only="solving"),
        }
