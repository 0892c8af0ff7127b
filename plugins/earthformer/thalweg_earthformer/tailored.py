"""The architecture that a learner's options ask for, on given data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .architecture import Architecture, Shape
from .presets import CHECKPOINT, PAPER, preset
from .self_attention import GlobalVectors
from .stack import Dropout, Layers
from .stem import Stem

if TYPE_CHECKING:
    from .learner import Earthformer


def tailored(learner: Earthformer, *, inputs: tuple[int, ...], targets: tuple[int, ...]) -> Architecture:
    """The learner's preset under its other options, for samples of (time, height, width, channel).

    Raises `OptionError` for options that do not fit together.
    """
    base = preset(learner.preset, learner.family, compat=learner.compat)
    depth = learner.depth or base.encoder.depth
    levels, units = len(depth), learner.units or base.units
    self_pattern = learner.pattern or base.encoder.patterns[0]
    cross_pattern = learner.cross_pattern or base.decoder.cross_patterns[0]
    return replace(
        base,
        input_shape=_shape(inputs),
        target_shape=_shape(targets),
        units=units,
        stem=_stem(base, units, learner.merge),
        layers=_layers(base, learner),
        encoder=replace(base.encoder, depth=depth, patterns=(self_pattern,) * levels),
        decoder=replace(
            base.decoder,
            depth=depth,
            self_patterns=(self_pattern,) * levels,
            cross_patterns=(cross_pattern,) * levels,
            start=learner.start or base.decoder.start,
        ),
        positions=learner.positions or base.positions,
        checkpoint=learner.checkpoint,
    )


def _shape(given: tuple[int, ...]) -> Shape:
    time, height, width, channels = given
    return time, height, width, channels


def _stem(base: Architecture, units: int, merge: tuple[int, int] | None) -> Stem:
    if merge is not None:
        return Stem("conv", ((1, *merge),))
    return replace(base.stem, channels=tuple(each * units // base.units for each in base.stem.channels))


def _layers(base: Architecture, learner: Earthformer) -> Layers:
    found, rate = base.layers, learner.dropout
    kind = PAPER if learner.family == "paper" else CHECKPOINT
    count = found.vectors.count if learner.vectors is None else learner.vectors
    return replace(
        found,
        heads=learner.heads or found.heads,
        padding=learner.padding or found.padding,
        dropout=found.dropout if rate is None else Dropout(rate, rate, rate),
        vectors=replace(kind, count=count) if count else GlobalVectors(),
    )
