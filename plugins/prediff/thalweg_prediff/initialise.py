"""Initial weights of the denoiser and the alignment network, as published."""

from __future__ import annotations

from thalweg_earthformer.feed_forward import FeedForward
from thalweg_earthformer.self_attention import CuboidSelfAttention
from torch import nn

from .noise_level import NoiseLevel
from .residual import TimeEmbedResBlock


def initialise(model: nn.Module) -> None:
    """Linear maps are Kaiming normal by fan in with gain 1, tables truncated normals of standard deviation 0.02.

    What each block adds is zero at first: the last map of every feed-forward network, attention, residual block, and
    `final_proj`. Convolutions and the layers of the noise level keep torch's own.
    """
    spared = {id(each) for part in model.modules() if isinstance(part, NoiseLevel) for each in part.modules()}
    for module in model.modules():
        if isinstance(module, nn.Linear) and id(module) not in spared:
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=0.02)
    for name, parameter in model.named_parameters():
        if name.endswith("relative_position_bias_table"):
            nn.init.trunc_normal_(parameter, std=0.02)
    for module in model.modules():
        if isinstance(module, FeedForward):
            _zero(module.ffn_2)
        elif isinstance(module, CuboidSelfAttention):
            _zero(module.proj)
        elif isinstance(module, TimeEmbedResBlock):
            _zero(module.out_layers[-1])
    last = getattr(model, "final_proj", None)
    if last is not None:
        _zero(last)


def _zero(layer: nn.Module | None) -> None:
    for each in () if layer is None else layer.parameters():
        nn.init.zeros_(each)
