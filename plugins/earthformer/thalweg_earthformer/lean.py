"""Steps that keep little for the backward pass, and compute the rest twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .dropout import keep_mask


def spares(x: Tensor) -> bool:
    """Whether `x` is on its way to a backward pass in its own precision; autocast keeps casts of its own, and a
    compiler decides itself what to compute twice.
    """
    kind = x.device.type
    if torch.compiler.is_compiling():
        return False
    return torch.is_grad_enabled() and (kind == "meta" or not torch.is_autocast_enabled(kind))


def normalised_linear(
    x: Tensor, norm: nn.LayerNorm, weights: Sequence[Tensor], biases: Sequence[Tensor | None] | None = None
) -> tuple[Tensor, ...]:
    """Linear maps of the layer norm of `x`; while learning, `x` is kept and its norm is not."""
    biases = biases or [None] * len(weights)
    if not spares(x):
        normalised = norm(x)
        return tuple(functional.linear(normalised, w, b) for w, b in zip(weights, biases, strict=True))
    found: tuple[Tensor, ...] = _NormalisedLinear.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, norm.eps, len(weights), *weights, *biases
    )
    return found


def activated_linear(
    x: Tensor, gate: Tensor | None, weight: Tensor, bias: Tensor, activation: Callable[[Tensor], Tensor], rate: float
) -> Tensor:
    """`dropout(activation(x) * gate) @ weight.T + bias`, which keeps `x` but not what the weight is applied to."""
    out: Tensor = _ActivatedLinear.apply(x, gate, weight, bias, activation, rate)  # type: ignore[no-untyped-call]
    return out


class _ActivatedLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gate: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        activation: Callable[[Tensor], Tensor],
        rate: float,
    ) -> Tensor:
        active = activation(x) if gate is None else activation(x) * gate
        mask = keep_mask(active, rate) if rate else None
        # What is kept grows by 1 / (1 - rate); the weight is smaller than what it is applied to, so it grows instead.
        grown = weight / (1 - rate) if rate else weight
        ctx.save_for_backward(x, gate, grown, mask)
        ctx.activation, ctx.rate = activation, rate
        return functional.linear(active if mask is None else active.mul_(mask), grown, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, gate, grown, mask = ctx.saved_tensors
        with torch.enable_grad():
            given = [each.detach().requires_grad_() for each in (x, gate) if each is not None]
            active = ctx.activation(given[0])
            active = active if gate is None else active * given[1]
        applied = active.detach() if mask is None else active.detach() * mask
        rows = gradient.flatten(0, -2)
        d_weight = (rows.t() @ applied.flatten(0, -2)).div_(1 - ctx.rate)
        d_active = gradient @ grown
        found = torch.autograd.grad(active, given, d_active if mask is None else d_active.mul_(mask))
        return found[0], found[1] if gate is not None else None, d_weight, rows.sum(0), None, None


class _NormalisedLinear(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, epsilon: float, count: int, *maps: Tensor | None
    ) -> tuple[Tensor, ...]:
        normalised, mean, deviation = torch.native_layer_norm(x, x.shape[-1:], scale, shift, epsilon)
        weights, biases = maps[:count], maps[count:]
        ctx.save_for_backward(x, mean, deviation, scale, shift, *weights)
        ctx.biased = [each is not None for each in biases]
        return tuple(functional.linear(normalised, w, b) for w, b in zip(weights, biases, strict=True))  # type: ignore[arg-type]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, deviation, scale, shift, *weights = ctx.saved_tensors
        normalised = torch.addcmul(shift, (x - mean) * deviation, scale)
        d_normalised = gradients[0] @ weights[0]
        flat = d_normalised.flatten(0, -2)
        for gradient, weight in zip(gradients[1:], weights[1:], strict=True):
            flat.addmm_(gradient.flatten(0, -2), weight)
        columns = normalised.flatten(0, -2)
        d_weights = [gradient.flatten(0, -2).t() @ columns for gradient in gradients]
        d_biases = [g.flatten(0, -2).sum(0) if b else None for g, b in zip(gradients, ctx.biased, strict=True)]
        found = torch.ops.aten.native_layer_norm_backward(
            d_normalised, x, x.shape[-1:], mean, deviation, scale, shift, [True, True, True]
        )
        return (*found, None, None, *d_weights, *d_biases)
