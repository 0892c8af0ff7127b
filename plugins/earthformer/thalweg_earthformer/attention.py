"""Attention within cuboids, by the kernel that suits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .cuboids import Plan
from .dropout import drop
from .lean_attention import attend_lean
from .shapes import Bias, Heads, VectorHeads

Columns = tuple[Heads, VectorHeads, VectorHeads]
"""Queries to the global vectors, and the vectors' keys and values."""


def attend(
    q: Heads, k: Heads, v: Heads, *, plans: tuple[Plan, Plan], bias: Bias | None, columns: Columns | None, rate: float
) -> Heads:
    """Attention of padded queries to padded keys within their cuboids, and to the columns if there are any.

    On a CPU, torch's fused kernel neither drops nor learns a bias: it would fall back to one that copies queries, keys
    and scores, and keeps them. There, training goes by `attend_lean`.
    """
    learns = torch.is_grad_enabled() and bias is not None and bias.requires_grad
    fused = q.device.type not in ("cpu", "meta") or torch.compiler.is_compiling()
    if not fused and (columns is not None or rate or learns):
        return attend_lean(q, k, v, bias=bias, columns=columns, plans=plans, rate=rate)
    queries, keys = plans
    cut_q, cut_k, cut_v = queries.cut(q), keys.cut(k), keys.cut(v)
    mask = None if bias is None else bias[None]
    if columns is not None:
        column_q, column_k, column_v = (columns[0], *(_spread(each, queries) for each in columns[1:]))
        if column_q is q:
            cut_k = torch.cat([cut_k, column_k], 2)
        else:
            # One softmax over two products: a product of twice the depth, with zeros where the other has its part.
            cut_q = torch.cat([cut_q, queries.cut(column_q)], -1)
            cut_k = torch.cat([functional.pad(cut_k, (0, q.shape[-1])), functional.pad(column_k, (q.shape[-1], 0))], 2)
        cut_v = torch.cat([cut_v, column_v], 2)
        mask = None if mask is None else functional.pad(mask, (0, column_k.shape[2]))
    out = functional.scaled_dot_product_attention(
        cut_q, cut_k, cut_v, attn_mask=mask, dropout_p=rate, scale=q.shape[-1] ** -0.5
    )
    return queries.merge(out, q.shape[0])


def gather(
    q: VectorHeads, k: Tensor, v: Tensor, own: tuple[VectorHeads, VectorHeads, VectorHeads] | None, *, rate: float
) -> VectorHeads:
    """Attention of global vectors to all cells, k and v (batch, cell, head, depth), and to one another by `own`."""
    scale = k.shape[-1] ** -0.5
    scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * scale
    if own is None:
        seen = drop(torch.softmax(scores, -1), rate)
        return (seen @ v.transpose(1, 2)).transpose(1, 2)
    among = own[0].transpose(1, 2) @ own[1].permute(0, 2, 3, 1) * scale
    seen = drop(torch.softmax(torch.cat([scores, among], -1), -1), rate)
    cells = k.shape[1]
    out = seen[..., :cells] @ v.transpose(1, 2) + seen[..., cells:] @ own[2].transpose(1, 2)
    return out.transpose(1, 2)


def _spread(x: VectorHeads, plan: Plan) -> Tensor:
    """The vectors beside every cuboid: (rows, groups, vector, depth)."""
    batch, vectors, heads, depth = x.shape
    cuboids = plan.counts[0] * plan.counts[1] * plan.counts[2]
    spread = x.transpose(1, 2)[:, None, None].expand(batch, cuboids // plan.groups, plan.groups, heads, vectors, depth)
    return spread.reshape(-1, plan.groups * heads, vectors, depth)
