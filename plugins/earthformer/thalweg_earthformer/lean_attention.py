r"""Attention within cuboids that keeps little for the backward pass.

    out = \mathrm{softmax}([s Q K^T + B,\; s L G_k^T]) [V; G_v]

The softmax runs over the cells of a cuboid and, if there are any, the columns of the global vectors. Kept are queries,
keys and values, the probabilities, and a byte for each that may be dropped; the scores and what was dropped are not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .cuboids import Plan
from .dropout import keep_mask
from .shapes import Bias, Groups, Heads, VectorHeads


def attend_lean(
    q: Heads,
    k: Heads,
    v: Heads,
    *,
    bias: Bias | None,
    columns: tuple[Heads, VectorHeads, VectorHeads] | None,
    plans: tuple[Plan, Plan],
    rate: float,
) -> Heads:
    """Attention of padded queries to padded keys and to the columns; `rate` of the probabilities are dropped."""
    parts = columns or (None, None, None)
    out: Heads = _Attend.apply(q, k, v, bias, *parts, plans, rate)  # type: ignore[no-untyped-call]
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
        batch, scale, grow = q.shape[0], q.shape[-1] ** -0.5, 1 / (1 - rate)
        q, k, v = queries.cut(q).contiguous(), keys.cut(k).contiguous(), keys.cut(v).contiguous()
        scores = _product(q, k.transpose(-1, -2), scale if bias is None else 1.0)
        scores = scores if bias is None else torch.add(bias, scores, alpha=scale)
        if column_q is not None and column_k is not None:
            beyond = _tokens(column_q) @ column_k.permute(0, 2, 3, 1) * scale
            scores = torch.cat([scores, queries.cut(_cells(beyond, queries))], -1)
        seen = torch.softmax(scores, -1)
        mask = keep_mask(seen, rate) if rate else None
        kept = seen if mask is None else seen * mask
        out = queries.merge(_product(kept[..., : keys.length], v, grow), batch)
        if column_v is not None:
            beyond = _tokens(queries.merge(kept[..., keys.length :], batch)) @ column_v.transpose(1, 2)
            out = torch.add(out, _cells(beyond, queries), alpha=grow)
        ctx.save_for_backward(q, k, v, column_q, column_k, column_v, seen, mask)
        ctx.plans, ctx.grow, ctx.batch, ctx.biased = plans, grow, batch, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Heads) -> tuple[Tensor | None, ...]:
        # All gradients of the scores are too small by `grow` until the last product.
        q, k, v, column_q, column_k, column_v, seen, mask = ctx.saved_tensors
        (queries, keys), batch, grow = ctx.plans, ctx.batch, ctx.grow
        scale, length = q.shape[-1] ** -0.5, keys.length
        kept = seen if mask is None else seen * mask
        own = queries.cut(gradient).contiguous()
        d_v = keys.merge(_product(kept[..., :length].transpose(-1, -2), own, grow), batch)
        d_seen = _product(own, v.transpose(-1, -2))
        d_column_q = d_column_k = d_column_v = None
        if column_q is not None:
            tokens = _tokens(gradient)
            beyond = _tokens(queries.merge(kept[..., length:], batch))
            d_column_v = (beyond.transpose(-1, -2) @ tokens * grow).transpose(1, 2)
            d_seen = torch.cat([d_seen, queries.cut(_cells(tokens @ column_v.permute(0, 2, 3, 1), queries))], -1)
        d_seen = d_seen if mask is None else d_seen.mul_(mask)
        d_scores = torch.ops.aten._softmax_backward_data(d_seen, seen, -1, seen.dtype)
        if column_q is not None:
            beyond = _tokens(queries.merge(d_scores[..., length:], batch)) * (scale * grow)
            d_column_q = _cells(beyond @ column_k.transpose(1, 2), queries)
            d_column_k = (beyond.transpose(-1, -2) @ _tokens(column_q)).transpose(1, 2)
            d_scores = d_scores[..., :length]
        d_q = queries.merge(_product(d_scores, k, scale * grow), batch)
        d_k = keys.merge(_product(d_scores.transpose(-1, -2), q, scale * grow), batch)
        d_bias = d_scores.sum(0) * grow if ctx.biased and ctx.needs_input_grad[3] else None
        return d_q, d_k, d_v, d_bias, d_column_q, d_column_k, d_column_v, None, None


def _product(a: Groups, b: Groups, factor: float = 1.0) -> Groups:
    """`factor * a @ b` in one pass."""
    left, right = a.flatten(0, 1), b.flatten(0, 1)
    if factor == 1.0:
        out = torch.bmm(left, right)
    else:
        out = torch.baddbmm(left.new_zeros(1, 1, 1), left, right, beta=0, alpha=factor)
    groups: Groups = out.unflatten(0, a.shape[:2])
    return groups


def _tokens(x: Heads) -> Tensor:
    """(batch, head, cell, depth)."""
    return x.flatten(1, 3).transpose(1, 2)


def _cells(x: Tensor, plan: Plan) -> Heads:
    """The inverse of `_tokens`."""
    cells: Heads = x.transpose(1, 2).unflatten(1, plan.padded)
    return cells
