"""Group normalisation and leaky ReLU, which keep their input only, and what follows them, computed twice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .shapes import Images


def normalised_activation(x: Images, norm: nn.GroupNorm, *, slope: float, following: nn.Module | None = None) -> Images:
    """`leaky_relu(norm(x))`, and the 3 x 3 convolution that follows, if any."""
    maps = (None, None) if following is None else (following.weight, following.bias)
    options = (norm.num_groups, norm.eps, slope)
    out: Images = _NormalisedActivation.apply(x, norm.weight, norm.bias, *maps, options)  # type: ignore[no-untyped-call]
    return out


class _NormalisedActivation(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Images,
        weight: Tensor,
        bias: Tensor,
        kernel: Tensor | None,
        offset: Tensor | None,
        options: tuple[int, float, float],
    ) -> Images:
        groups, epsilon, slope = options
        count, channels, height, width = x.shape
        out, mean, deviation = torch.native_group_norm(
            x, weight, bias, count, channels, height * width, groups, epsilon
        )
        out = functional.leaky_relu_(out, slope)
        ctx.save_for_backward(x, mean, deviation, weight, bias, kernel)
        ctx.groups, ctx.slope = groups, slope
        return out if kernel is None else functional.conv2d(out, kernel, offset, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Images) -> tuple[Tensor | None, ...]:
        x, mean, deviation, weight, bias, kernel = ctx.saved_tensors
        count, channels, height, width = x.shape
        grow = deviation.repeat_interleave(channels // ctx.groups, 1) * weight
        shift = bias - mean.repeat_interleave(channels // ctx.groups, 1) * grow
        active = torch.addcmul(shift[..., None, None], x, grow[..., None, None])
        active = functional.leaky_relu_(active, ctx.slope)
        d_kernel = d_offset = None
        if kernel is not None:
            gradient, d_kernel, d_offset = torch.ops.aten.convolution_backward(
                gradient, active, kernel, [len(kernel)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True] * 3
            )
        d_active = torch.ops.aten.leaky_relu_backward(gradient, active, ctx.slope, True)
        if x.is_contiguous(memory_format=torch.channels_last):
            d_active = d_active.contiguous(memory_format=torch.channels_last)
        else:
            d_active = d_active.contiguous()
        found = torch.ops.aten.native_group_norm_backward(
            d_active, x, mean, deviation, weight, count, channels, height * width, ctx.groups, [True] * 3
        )
        return (*found, d_kernel, d_offset, None)
