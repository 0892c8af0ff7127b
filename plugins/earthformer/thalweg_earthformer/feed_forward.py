"""The feed-forward network of each cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .activations import ACTIVATIONS
from .dropout import drop
from .lean import activated_linear, normalised_linear


class FeedForward(nn.Module):
    r"""$x + W_2\, a(W_1 \mathrm{LN}(x))$ with 4 times the channels inside; gated: $a(W_g \cdot) \odot W_1 \cdot$."""

    def __init__(self, channels: int, *, activation: str = "gelu", gated: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.activation, self.dropout = activation, dropout
        self.ffn_1 = nn.Linear(channels, 4 * channels)
        self.ffn_1_gate = nn.Linear(channels, 4 * channels) if gated else None
        self.ffn_2 = nn.Linear(4 * channels, channels)
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., channel) to the same."""
        rate = self.dropout if self.training else 0.0
        activation = ACTIVATIONS[self.activation]
        maps = [self.ffn_1] if self.ffn_1_gate is None else [self.ffn_1_gate, self.ffn_1]
        active, *gates = normalised_linear(x, self.layer_norm, [m.weight for m in maps], [m.bias for m in maps])
        gate = gates[0] if gates else None
        weight, bias = self.ffn_2.weight.to(active.dtype), self.ffn_2.bias.to(active.dtype)
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            out = activated_linear(active, gate, weight, bias, activation, rate)
        else:
            active = activation(active) if gate is None else activation(active) * gate
            out = functional.linear(drop(active, rate), weight, bias)
        return x + drop(out, rate)
