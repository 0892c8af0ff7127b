"""What the six learners share: frames of maps, and options that go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, PositiveInt, model_validator
from thalweg import HandshakeError, Signature
from thalweg.learning import Layout, TorchLearner


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a convolution keeps the size of a field if its side is odd")
    return size


Odd = Annotated[PositiveInt, AfterValidator(_odd)]


class FrameLearner(TorchLearner):
    """A network from frames of maps to the frames after them, with presets: what is given beside a preset wins."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: Any) -> Any:
        chosen = given.get("preset") if isinstance(given, dict) else None
        return {**cls.presets.get(chosen, {}), **given} if isinstance(chosen, str) else given


def maps(given: Signature, *, taker: str) -> tuple[int, int]:
    """Rows and columns of the frames. Raises `HandshakeError` where the inputs are not frames of maps."""
    layout = Layout.of(given)
    if len(layout.dims) != 3 or layout.dims[0] != "lead":
        raise HandshakeError(
            f"{taker} learns from frames of maps, and is given {given} on {layout.dims!r}",
            allowed="fields (sample, lead, y, x)",
            advice="cut the series into `windows`, and select one level in preprocess",
        )
    return layout.sizes[1], layout.sizes[2]


def same_variables(given: Signature, wanted: Signature, *, because: str) -> None:
    """Raises `HandshakeError` where the frames that are made are not those that are given."""
    names = [Layout.of(each).names for each in (given, wanted)]
    if names[0] != names[1]:
        raise HandshakeError(
            f"{because}, but from {', '.join(names[0])} it is to make {', '.join(names[1])}",
            allowed="the same variables as inputs and truth",
            advice="leave out the others in `windows`, or take a method that does not feed itself: unet, rainformer",
        )


def frames(given: Signature, wanted: Signature) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lengths, then channels, of inputs and targets."""
    one, other = Layout.of(given).shape, Layout.of(wanted).shape
    return (one[0], other[0]), (one[-1], other[-1])
