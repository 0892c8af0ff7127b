"""Attention and feed-forward steps that keep little for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .cuboids import Plan
from .shapes import Bias, Heads, VectorHeads


def drop(x: Tensor, rate: float) -> Tensor:
    """Dropout whose mask is kept as bits of one byte, not as numbers of the width of `x`."""
    return torch.native_dropout(x, rate, True)[0] if rate else x


def attend_lean(
    q: Heads,
    k: Heads,
    v: Heads,
    bias: Bias | None,
    columns: tuple[Heads, VectorHeads, VectorHeads] | tuple[None, None, None],
    plans: tuple[Plan, Plan],
    rate: float,
) -> Heads:
    r"""Attention within cuboids, whose softmax also runs over the columns of the global vectors.

        out = \mathrm{softmax}([s Q K^T + B,\; s L G_k^T]) [V; G_v]

    Keeps queries, keys and values as they lie in memory, the probabilities, and a byte for each that may be dropped.
    """
    out: Heads = _Attend.apply(q, k, v, bias, *columns, plans, rate)  # type: ignore[no-untyped-call]
    return out


def activated_linear(
    x: Tensor, gate: Tensor | None, weight: Tensor, bias: Tensor, activation: Callable[[Tensor], Tensor], rate: float
) -> Tensor:
    """`dropout(activation(x) * gate) @ weight.T + bias`, which keeps `x` but not what the weight is applied to."""
    out: Tensor = _ActivatedLinear.apply(x, gate, weight, bias, activation, rate)  # type: ignore[no-untyped-call]
    return out


class _Attend(Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Heads,
        k: Heads,
        v: Heads,
        bias: Bias | None,
        column_q: Heads | None,
        column_k: VectorHeads | None,
        column_v: VectorHeads | None,
        plans: tuple[Plan, Plan],
        rate: float,
    ) -> Heads:
        queries, keys = plans
        scale = q.shape[-1] ** -0.5
        product = queries.cut(q) @ keys.cut(k).transpose(-1, -2)
        scores = product * scale if bias is None else torch.add(bias, product, alpha=scale)
        if column_q is not None and column_k is not None:
            beyond = _tokens(column_q) @ column_k.permute(0, 2, 3, 1)
            scores = torch.cat([scores, queries.cut(_cells(beyond * scale, queries))], -1)
        seen = torch.softmax(scores, -1)
        kept, mask = torch.native_dropout(seen, rate, True) if rate else (seen, None)
        length = keys.length
        out = queries.merge(kept[..., :length] @ keys.cut(v), q.shape[0])
        if column_v is not None:
            beyond = _tokens(queries.merge(kept[..., length:], q.shape[0])) @ column_v.transpose(1, 2)
            out = out + _cells(beyond, queries)
        ctx.save_for_backward(q, k, v, column_q, column_k, column_v, seen, mask)
        ctx.plans, ctx.rate, ctx.biased = plans, rate, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Heads) -> tuple[Tensor | None, ...]:
        q, k, v, column_q, column_k, column_v, seen, mask = ctx.saved_tensors
        queries, keys = ctx.plans
        batch, scale, length = q.shape[0], q.shape[-1] ** -0.5, keys.length
        grow = 1 / (1 - ctx.rate)
        kept = seen if mask is None else torch.ops.aten.native_dropout_backward(seen, mask, grow)
        own = queries.cut(gradient)
        d_v = keys.merge(kept[..., :length].transpose(-1, -2) @ own, batch)
        d_seen = own @ keys.cut(v).transpose(-1, -2)
        d_column_q = d_column_k = d_column_v = None
        if column_q is not None:
            tokens = _tokens(gradient)
            d_column_v = (_tokens(queries.merge(kept[..., length:], batch)).transpose(-1, -2) @ tokens).transpose(1, 2)
            d_seen = torch.cat([d_seen, queries.cut(_cells(tokens @ column_v.permute(0, 2, 3, 1), queries))], -1)
        if mask is not None:
            d_seen = torch.ops.aten.native_dropout_backward(d_seen, mask, grow)
        d_scores = torch.ops.aten._softmax_backward_data(d_seen, seen, -1, seen.dtype)
        if column_q is not None:
            beyond = _tokens(queries.merge(d_scores[..., length:], batch))
            d_column_q = _cells(beyond @ column_k.transpose(1, 2) * scale, queries)
            d_column_k = (beyond.transpose(-1, -2) @ _tokens(column_q) * scale).transpose(1, 2)
            d_scores = d_scores[..., :length]
        d_q = queries.merge(d_scores @ keys.cut(k) * scale, batch)
        d_k = keys.merge(d_scores.transpose(-1, -2) @ queries.cut(q) * scale, batch)
        d_bias = d_scores.sum(0) if ctx.biased and ctx.needs_input_grad[3] else None
        return d_q, d_k, d_v, d_bias, d_column_q, d_column_k, d_column_v, None, None


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
        active, mask = torch.native_dropout(active, rate, True) if rate else (active, None)
        ctx.save_for_backward(x, gate, weight, mask)
        ctx.activation, ctx.rate = activation, rate
        return functional.linear(active, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, gate, weight, mask = ctx.saved_tensors
        with torch.enable_grad():
            given = [each.detach().requires_grad_() for each in (x, gate) if each is not None]
            active = ctx.activation(given[0])
            active = active if gate is None else active * given[1]
        grow = 1 / (1 - ctx.rate)
        applied = active.detach()
        applied = applied if mask is None else torch.ops.aten.native_dropout_backward(applied, mask, grow)
        rows = gradient.reshape(-1, gradient.shape[-1])
        d_weight = rows.t() @ applied.reshape(-1, applied.shape[-1])
        d_active = gradient @ weight
        d_active = d_active if mask is None else torch.ops.aten.native_dropout_backward(d_active, mask, grow)
        found = torch.autograd.grad(active, given, d_active)
        return found[0], found[1] if gate is not None else None, d_weight, rows.sum(0), None, None


def _tokens(x: Heads) -> Tensor:
    """(batch, head, cell, depth)."""
    return x.flatten(1, 3).transpose(1, 2)


def _cells(x: Tensor, plan: Plan) -> Heads:
    """The inverse of `_tokens`."""
    cells: Heads = x.transpose(1, 2).unflatten(1, plan.padded)
    return cells
