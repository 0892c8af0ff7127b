"""What a training needs, before it is begun: weights, what a step keeps for its gradient, batches."""

from __future__ import annotations

from torch import nn

from ..components.signature import Signature
from .devices import device_of
from .network import parts_in
from .options import TrainOptions
from .outline import Outline


def peak(outline: Outline | None, given: Signature, wanted: Signature, options: TrainOptions) -> int:
    """Bytes of host memory of one rank: three raw batches; weights, moments and activations where no GPU holds them.

    A network without an outline is left out of the sum.
    """
    one = sum(each.nbytes(set(each.sizes) - {"sample"}) for each in (given, wanted))
    batches = 3 * one * options.batch // options.ranks
    if outline is None or device_of(options.device).type != "cpu":
        return batches
    piece = -(-options.batch // (options.ranks * options.accumulate))
    # Gradient and two moments of each weight; the running mean and the best weights; the buckets of other ranks.
    copies = 4 + (options.ema is not None) + (options.choose == "best") + (options.ranks > 1)
    weights = _nbytes(outline.network) + _nbytes(outline.helpers)
    # No gradient and no moments of the frozen networks of earlier phases.
    parts = sum(_nbytes(each) for each in parts_in(outline.network))
    half = 1 if options.precision == "fp32" else 2
    return int(batches + copies * weights + parts + piece * (outline.activations // half + 2 * outline.nbytes))


def _nbytes(module: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in module.parameters())
