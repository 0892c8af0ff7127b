"""Initial weights, as in the published implementation."""

from __future__ import annotations

from typing import Literal

from torch import nn

from .architecture import Initialisation
from .cross_attention import CuboidCrossAttention
from .feed_forward import FeedForward
from .self_attention import CuboidSelfAttention
from .upsample import Upsample


def initialise(model: nn.Module, how: Initialisation) -> None:
    """Draw the weights of all layers but these, which keep torch's own: the convolution blocks, `global_proj`, and
    `down_layer_global_proj`. Biases are 0; embeddings, tables of biases and global vectors are truncated normals of
    standard deviation 0.02.
    """
    modes: dict[nn.Module, Literal["0", "1"]] = {}
    for module in model.modules():
        kind = (
            how.attention
            if isinstance(module, CuboidSelfAttention | CuboidCrossAttention)
            else how.feed_forward
            if isinstance(module, FeedForward)
            else None
        )
        if kind is not None:
            modes |= dict.fromkeys(module.children(), kind)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and "global_proj" not in name:
            _linear(module, modes.get(module, how.resizing))
        elif isinstance(module, nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=0.02)
        elif isinstance(module, Upsample):
            nn.init.kaiming_normal_(module.conv.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")
            if module.conv.bias is not None:
                nn.init.zeros_(module.conv.bias)
    for name, parameter in model.named_parameters():
        if name.endswith(("relative_position_bias_table", "init_global_vectors")):
            nn.init.trunc_normal_(parameter, std=0.02)


def _linear(module: nn.Linear, mode: Literal["0", "1"]) -> None:
    if mode == "0":
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    else:
        nn.init.kaiming_normal_(module.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)
