"""What learners share whose networks learn the errors of an advected forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from thalweg import HandshakeError, OptionError, Signature, Site
from thalweg.learning import Layout, Noise, TorchLearner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from .nowcast_network import Shape


class NowcastLearner(TorchLearner):
    """An ensemble of one field of maps: each member its own forecast along the motion, and what a network adds."""

    sites: ClassVar[frozenset[Site]] = frozenset({"loss"})
    example: ClassVar[Mapping[str, Any]] = {"members": 3, "units": [8], "blocks": 1, "fold": 1}

    members: int = Field(8, ge=2, description="draws of each sample; the first ones are the same of any number")
    spread: NonNegativeFloat = Field(
        0.3,
        description="standard deviation of each component of a member's own motion, in cells per step; choose it on a "
        "validation period",
    )
    frames: PositiveInt = Field(4, description="last inputs that the network sees; the motion is of up to five")
    dry: float | None = Field(
        None,
        description="value at or below which a cell is dry, in the units of the variable; an estimate is not below it. "
        "If null, nothing is dry",
    )
    gap: NonNegativeFloat = Field(
        0.0, description="how far below `dry` a dry cell lies while learning, in the units of the variable"
    )
    units: tuple[PositiveInt, ...] = Field(
        (32, 64, 96), min_length=1, description="channels of each level of the network, from fine to coarse"
    )
    blocks: PositiveInt = Field(2, description="blocks of two convolutions on each level, down and up")
    fold: PositiveInt = Field(2, description="side of the squares of cells that become channels, in cells")

    @model_validator(mode="after")
    def _gap_of_dry(self) -> Self:
        if self.gap and self.dry is None:
            raise OptionError(
                f"`gap: {self.gap!r}` lies below a `dry` that is not given",
                allowed="gap: 0, or a value of `dry`",
                advice="set `dry` to the value of a cell without rain",
            )
        return self

    def check(self, given: Signature) -> None:
        names = Layout.of(given)
        if len(names.names) != 1 or len(names.dims) != 3 or names.dims[0] != "lead" or names.sizes[0] < 2:
            raise HandshakeError(
                f"{self.name} continues one field of maps, and is given {given}",
                allowed="one field (sample, lead, y, x), at least two inputs",
                advice="name one variable in `observe` of windows, and lengthen `inputs` to two or more",
            )
        if names.sizes[0] < self.frames:
            raise HandshakeError(
                f"{self.name} shows its network the last {self.frames} inputs, of {names.sizes[0]}",
                allowed=f"frames: 1 to {names.sizes[0]}",
                advice="lengthen `inputs` in windows, or lower `frames`",
            )

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The truth's field, with members."""
        return truth.with_members(self.members)

    def shape(self, given: Signature, wanted: Signature) -> Shape:
        """Raises `HandshakeError` for another field than the given one, `OptionError` for sizes that do not halve."""
        from .nowcast_network import Shape

        one, other = Layout.of(given), Layout.of(wanted)
        if one.names != other.names or one.sizes[1:] != other.sizes[1:]:
            raise HandshakeError(
                f"{self.name} continues the field that it is given, but from {given} it is to make {wanted}",
                allowed="the same variable on the same grid as input and truth",
                advice="name one variable in `observe` and `predict` of windows",
            )
        by = self.fold * 2 ** (len(self.units) - 1)
        if other.sizes[1] % by or other.sizes[2] % by:
            raise OptionError(
                f"fields of {other.sizes[1]} x {other.sizes[2]} cells with `fold: {self.fold}` and {len(self.units)} "
                "levels of `units`",
                allowed=f"multiples of {by}",
                advice="take fewer levels, or pad or cut the fields in preprocess",
            )
        leads, height, width = other.sizes
        return Shape(self.frames, leads, height, width, self.spread)

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Mapping[str, Any]) -> None:
        """What residuals are like, and what is dry, scaled."""
        from .nowcast_network import NowcastNetwork

        assert isinstance(network, NowcastNetwork)
        ((offset, by),) = scales.values()
        if self.dry is not None:
            network.told((self.dry - offset) / by, self.gap / by)
        network.measure(examples)

    def motions(self) -> Mapping[str, Noise]:
        """What a member's own motion is drawn from, when solving."""
        return {"motions": Noise((2,), members=True, only="solving")}
