"""Published sizes, in two families.

`paper` has the sizes from which the counts and the operations printed in the paper follow; `checkpoint` those of the
configurations that were published with the code, whose checkpoints are smaller. `small` was never published: it is
the latter's SEVIR-LR model with half the units, for a processor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from thalweg import OptionError

from .architecture import Architecture, Decoder, Encoder
from .self_attention import GlobalVectors
from .stack import Layers
from .stem import Stem

Family = Literal["paper", "checkpoint"]
Name = Literal["sevir", "sevir-lr", "enso", "nbody", "small"]

PAPER = GlobalVectors(8, among=True)
CHECKPOINT = GlobalVectors(8, among=True, separate=True)

_SEVIR = Architecture(
    (13, 384, 384, 1),
    (12, 384, 384, 1),
    units=128,
    stem=Stem("stack_conv", ((1, 3, 3), (1, 2, 2), (1, 2, 2)), (16, 64, 128), (2, 2, 2)),
)
_SEVIR_LR = Architecture(
    (7, 128, 128, 1),
    (6, 128, 128, 1),
    stem=Stem("stack_conv", ((1, 1, 1), (1, 2, 2), (1, 2, 2)), (4, 16, 64), (2, 2, 2)),
)
_ENSO = Architecture((12, 24, 48, 1), (14, 24, 48, 1), stem=Stem("conv", ((1, 1, 2),)))
_NBODY = Architecture((10, 64, 64, 1), (10, 64, 64, 1), stem=Stem("conv", ((1, 2, 2),)))
_SMALL = replace(_SEVIR_LR, units=32, stem=replace(_SEVIR_LR.stem, channels=(8, 16, 32)))

_SIZES: dict[tuple[str, str], tuple[Architecture, int, bool]] = {
    ("sevir", "paper"): (_SEVIR, 2, True),
    ("enso", "paper"): (_ENSO, 4, True),
    ("nbody", "paper"): (_NBODY, 4, True),
    ("sevir", "checkpoint"): (_SEVIR, 1, True),
    ("sevir-lr", "checkpoint"): (_SEVIR_LR, 1, False),
    ("enso", "checkpoint"): (_ENSO, 1, False),
    ("nbody", "checkpoint"): (replace(_NBODY, positions="t+hw"), 4, False),
    ("small", "checkpoint"): (_SMALL, 1, False),
}


def preset(
    name: Name | str, family: Family = "checkpoint", *, vectors: bool | None = None, compat: bool = False
) -> Architecture:
    """A published architecture; `vectors` says whether it has global vectors, if not as published.

    Raises `OptionError`.
    """
    if (name, family) not in _SIZES:
        raise OptionError(
            f"there is no preset {name!r} of the family {family!r}",
            allowed=", ".join(f"{each} ({kind})" for each, kind in _SIZES),
            advice="take `family: checkpoint`: the paper has no SEVIR-LR"
            if name == "sevir-lr"
            else "name one of these",
        )
    architecture, depth, published = _SIZES[name, family]
    kind = PAPER if family == "paper" else CHECKPOINT
    return replace(
        architecture,
        layers=Layers(vectors=kind if (published if vectors is None else vectors) else GlobalVectors()),
        encoder=Encoder((depth, depth)),
        decoder=Decoder((depth, depth)),
        compat=compat,
    )
