"""Cross-attention from the fields to be made to the memory of the fields that were seen."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attend
from .cuboids import Column, Padding
from .dropout import drop
from .latest import Latest
from .lean import normalised_linear
from .plans import plans
from .relative_position import ReferenceIndex, attention_bias, relations, table_rows
from .self_attention import GlobalVectors
from .shapes import Cells, Vectors


class CuboidCrossAttention(nn.Module):
    """Attention of pre-normalised cells to those of the memory in the same column, over all its time.

    Relative time counts both fields from their first steps: target step 0 lies beside input step 0. `longest` is the
    number of steps that the table of biases reaches. Parameters are named as in the published checkpoints.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        column: Column,
        longest: int,
        padding: Padding = "zeros",
        relative: bool = True,
        attention_dropout: float = 0.0,
        projection_dropout: float = 0.0,
        vectors: GlobalVectors | None = None,
        last: int | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.last = heads, last
        self.attention_dropout, self.projection_dropout = attention_dropout, projection_dropout
        self.vectors = vectors if vectors and vectors.count else None
        self._layouts = Latest(partial(plans, column=column, padding=padding))
        self.block = (longest, *column.size)
        self._relations = Latest(partial(relations, table=self.block if relative else None))
        self.relative_position_bias_table: nn.Parameter | None = None
        if relative:
            self.relative_position_bias_table = nn.Parameter(torch.zeros(table_rows(self.block), heads))
            self._index = ReferenceIndex(self, self.block)
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.kv_proj = nn.Linear(channels, 2 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        if self.vectors and self.vectors.separate:
            self.l2g_q_net = nn.Linear(channels, channels, bias=False)
            self.l2g_global_kv_net = nn.Linear(self.vectors.widening * channels, 2 * channels, bias=False)

    def forward(self, x: Cells, memory: Cells, vectors: Vectors | None = None) -> Cells:
        """What is to be added to `x` (batch, time, height, width, channel); `memory` may have another time."""
        memory = memory if self.last is None else memory[:, -self.last :]
        layouts = self._layouts(*((each.shape[1], each.shape[2], each.shape[3]) for each in (x, memory)))
        maps = [self.q_proj.weight]
        if self.vectors is not None and vectors is not None and self.vectors.separate:
            maps.append(self.l2g_q_net.weight)
        q, *others = (self._split(each) for each in normalised_linear(x, self.norm, maps))
        k, v = (self._split(functional.linear(memory, each)) for each in self.kv_proj.weight.chunk(2))
        columns = None
        padded = layouts[0].pad(q)
        if self.vectors is not None and vectors is not None:
            column_q, project = padded, self.kv_proj
            if self.vectors.separate:
                column_q, project = layouts[0].pad(others[0]), self.l2g_global_kv_net
            column_k, column_v = (self._split(each) for each in project(vectors).chunk(2, -1))
            columns = (column_q, column_k, column_v)
        found = self._relations(*layouts, x.device)
        bias = attention_bias(self.relative_position_bias_table, found, plans=layouts, heads=self.heads, like=q)
        out = attend(
            padded,
            layouts[1].pad(k),
            layouts[1].pad(v),
            plans=layouts,
            bias=bias,
            columns=columns,
            rate=self.attention_dropout if self.training else 0.0,
        )
        out = self.proj(layouts[0].unpad(out).flatten(-2))
        return drop(out, self.projection_dropout if self.training else 0.0)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads
