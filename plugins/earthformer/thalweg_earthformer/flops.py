"""Counting operations without doing them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def multiply_accumulates(module: nn.Module, shape: tuple[int, ...], *, norms: bool = False) -> int:
    """Multiplications of the matrix products and convolutions of one call, each with its addition counted once.

    This is what papers call FLOPs: torch's own counter gives twice as many. `norms` adds 5 for every number that is
    normalised, as fvcore does. Softmax and activations are left out. The module must be on the meta device.
    """
    normalised = 0

    def count(_: nn.Module, given: tuple[Any, ...], __: Any) -> None:
        nonlocal normalised
        normalised += given[0].numel()

    kinds = (nn.LayerNorm, nn.GroupNorm)
    hooks = [each.register_forward_hook(count) for each in module.modules() if isinstance(each, kinds)]
    try:
        # Detached, for the counter asks every tensor that learns where it came from.
        state = {name: each.detach() for name, each in module.named_parameters()}
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(module, state, (torch.empty(shape, device="meta"),))
    finally:
        for hook in hooks:
            hook.remove()
    return int(counter.get_total_flops()) // 2 + (5 * normalised if norms else 0)
