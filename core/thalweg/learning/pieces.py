"""Whether a step may be cut into micro-batches, one after the other or over ranks: it may if it is a mean over samples.

Three things make it another step: a loss that compares samples (contrast), statistics of the batch (BatchNorm), a
weight from norms of gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..errors import OptionError

if TYPE_CHECKING:
    from .options import TrainOptions
    from .turn import Turn

Value = Callable[[Tensor, Tensor], Tensor | None]


def refuse_statistics(network: nn.Module, options: TrainOptions) -> None:
    """Raise `OptionError` where a network with statistics of the batch would have them of a part of it."""
    if options.accumulate * options.ranks == 1:
        return
    found = statistics_of(network)
    if found:
        option = "accumulate" if options.accumulate > 1 else "ranks"
        raise OptionError(
            f"`{option}: {getattr(options, option)}` cuts the batch of which {found[0]!r} takes its statistics "
            f"({len(found)} such layers): another network would be learned",
            allowed="accumulate: 1 and ranks: 1 for a network with BatchNorm, or InstanceNorm with running statistics",
            advice="use a norm of single samples (GroupNorm; `norm: group` where a method has this option)",
            where=f"train.{option}",
        )


def statistics_of(network: nn.Module) -> list[str]:
    """Names of the layers of a network that take statistics of the batch, or keep those of each that they saw."""
    return [
        name
        for name, each in network.named_modules()
        if isinstance(each, _BatchNorm) or (isinstance(each, _InstanceNorm) and each.track_running_stats)
    ]


def is_mean_over_samples(value: Value, shape: Sequence[int], *, truth: Sequence[int]) -> bool:
    """Whether a loss of four estimates `(sample, *shape)` and truths `(sample, *truth)` is the weighted mean of those
    of one and of three of them."""
    draw = torch.Generator().manual_seed(0)
    # Samples of unlike size, so that a mean of roots is not the root of a mean.
    size = torch.tensor([1.0, 2.0, 4.0, 0.5])
    estimate, known = (
        size.view(4, *[1] * len(each)) * torch.rand((4, *each), generator=draw) for each in (shape, truth)
    )
    with torch.no_grad():
        whole, one, three = (value(estimate[at], known[at]) for at in (slice(None), slice(1), slice(1, None)))
    if whole is None or one is None or three is None:
        return True
    return bool(torch.isclose((one.mean() + 3 * three.mean()) / 4, whole.mean(), rtol=1e-3))


def refuse_pieces(turns: Sequence[Turn], *, accumulate: int) -> None:
    """Raise `OptionError` for an objective over the batch that would be of a micro-batch."""
    over = [turn.name for turn in turns if turn.objective.over == "batch"]
    if over and accumulate > 1:
        raise OptionError(
            f"`accumulate: {accumulate}` cuts a batch whose samples the objective of {', '.join(map(repr, over))} "
            "compares: another loss would be learned from",
            allowed="accumulate: 1",
            advice="use more `ranks`, over which such a loss is gathered, or a smaller `batch`",
            where="train.accumulate",
        )
