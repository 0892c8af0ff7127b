"""Self-attention within cuboids, and between cells and global vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attend, gather
from .cuboids import Cuboid, Padding, Plan
from .dropout import drop
from .latest import Latest
from .lean import normalised_linear
from .plans import plan
from .relative_position import ReferenceIndex, attention_bias, relations, table_rows
from .shapes import Cells, Heads, VectorHeads, Vectors


@dataclass(frozen=True)
class GlobalVectors:
    """Global vectors, through which all cells are connected."""

    count: int = 0
    separate: bool = False
    """Projections of their own for every role; otherwise one projection of the vectors, and the cells' own."""
    among: bool = False
    """Whether they attend to one another too."""
    feed_forward: bool = False
    widening: int = 1
    """Their channels over those of the cells; other than 1 only if `separate`."""


class CuboidSelfAttention(nn.Module):
    """Pre-normalised attention of the cells of a cuboid to one another and to the global vectors.

    `forward` gives what is to be added to the cells and to the vectors (None where the vectors are not `updated`).
    Parameters are named as in the published checkpoints.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        cuboid: Cuboid,
        padding: Padding = "zeros",
        relative: bool = True,
        projected: bool = True,
        attention_dropout: float = 0.0,
        projection_dropout: float = 0.0,
        vectors: GlobalVectors | None = None,
        updated: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.cuboid, self.padding = heads, cuboid, padding
        self.attention_dropout, self.projection_dropout = attention_dropout, projection_dropout
        self.vectors = vectors if vectors and vectors.count else None
        self.updated = updated
        self._relations = Latest(partial(relations, table=cuboid.size if relative else None))
        self.relative_position_bias_table: nn.Parameter | None = None
        if relative:
            self.relative_position_bias_table = nn.Parameter(torch.zeros(table_rows(cuboid.size), heads))
            self._index = ReferenceIndex(self, cuboid.size)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.norm = nn.LayerNorm(channels)
        self.proj = nn.Linear(channels, channels) if projected else None
        if self.vectors:
            self._add_vectors(channels, self.vectors)

    def _add_vectors(self, channels: int, vectors: GlobalVectors) -> None:
        wide = vectors.widening * channels
        if vectors.separate:
            self.l2g_q_net = nn.Linear(channels, channels, bias=False)
            self.l2g_global_kv_net = nn.Linear(wide, 2 * channels, bias=False)
            self.g2l_global_q_net = nn.Linear(wide, channels, bias=False)
            self.g2l_k_net = nn.Linear(channels, channels, bias=False)
            self.g2l_v_net = nn.Linear(channels, wide, bias=False)
            if vectors.among:
                self.g2g_global_qkv_net = nn.Linear(wide, 3 * wide, bias=False)
        else:
            self.global_qkv = nn.Linear(channels, 3 * channels, bias=False)
        if self.proj is not None:
            self.global_proj = nn.Linear(wide, wide)
        self.global_vec_norm = nn.LayerNorm(wide)

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that only the update of the vectors uses, if there is none."""
        if self.vectors is None or self.updated:
            return []
        names = ("g2l_global_q_net", "g2l_k_net", "g2l_v_net", "g2g_global_qkv_net", "global_proj")
        return [each for name in names if hasattr(self, name) for each in getattr(self, name).parameters()]

    def forward(
        self, x: Cells, vectors: Vectors | None = None, *, layout: Plan | None = None
    ) -> tuple[Cells, Vectors | None]:
        layout = layout or plan((x.shape[1], x.shape[2], x.shape[3]), self.cuboid, self.padding)
        projected = [self._split(each) for each in normalised_linear(x, self.norm, self._maps(vectors is not None))]
        q, k, v = projected[:3]
        columns = update = None
        if self.vectors is not None and vectors is not None:
            columns, update = self._with_vectors(self.global_vec_norm(vectors), projected, layout)
        found = self._relations(layout, layout, x.device)
        bias = attention_bias(
            self.relative_position_bias_table, found, plans=(layout, layout), heads=self.heads, like=q
        )
        padded = [layout.pad(each) for each in (q, k, v)]
        if columns is not None:
            columns = (padded[0] if columns[0] is q else layout.pad(columns[0]), *columns[1:])
        out = attend(
            *padded, plans=(layout, layout), bias=bias, columns=columns, rate=self._rate(self.attention_dropout)
        )
        return self._projected(self.proj, layout.unpad(out)), update

    def _maps(self, with_vectors: bool) -> list[Tensor]:
        """Weights of queries, keys and values, and of queries to the vectors and keys and values for them."""
        maps = list(self.qkv.weight.chunk(3))
        if with_vectors and self.vectors is not None and self.vectors.separate:
            maps.append(self.l2g_q_net.weight)
            if self.updated:
                maps += [self.g2l_k_net.weight, self.g2l_v_net.weight]
        return maps

    def _with_vectors(
        self, g: Vectors, projected: list[Heads], layout: Plan
    ) -> tuple[tuple[Heads, VectorHeads, VectorHeads], Vectors | None]:
        """Columns for the cells to attend to, and what is to be added to the vectors."""
        assert self.vectors is not None
        if self.vectors.separate:
            k, v = self._parts(self.l2g_global_kv_net(g), 2)
            columns = (projected[3], k, v)
        else:
            q, k, v = self._parts(self.global_qkv(g), 3)
            columns = (projected[0], k, v)
        if not self.updated:
            return columns, None
        among = None
        if self.vectors.separate:
            q, (keys, values) = self._split(self.g2l_global_q_net(g)), projected[4:]
            if self.vectors.among:
                among = self._parts(self.g2g_global_qkv_net(g), 3)
        else:
            keys, values = projected[1:3]
            among = (q, k, v) if self.vectors.among else None
        rate = self._rate(self.attention_dropout)
        out = gather(q, _all_cells(keys, layout), _all_cells(values, layout), among, rate=rate)
        return columns, self._projected(getattr(self, "global_proj", None), out)

    def _projected(self, projection: nn.Linear | None, x: Tensor) -> Tensor:
        x = x.flatten(-2)
        return x if projection is None else drop(projection(x), self._rate(self.projection_dropout))

    def _rate(self, rate: float) -> float:
        return rate if self.training else 0.0

    def _split(self, x: Tensor) -> Any:
        return x.unflatten(-1, (self.heads, -1))

    def _parts(self, x: Tensor, parts: int) -> tuple[Any, ...]:
        return tuple(self._split(each) for each in x.chunk(parts, -1))


def _all_cells(x: Heads, layout: Plan) -> Tensor:
    """(batch, cell, head, depth), with the padding unless it is ignored; order does not matter to the vectors."""
    if layout.padding == "nearest":
        x = layout.pad(x)
    flat = x.flatten(1, 3)
    t, h, w = layout.padded
    missing = 0 if layout.padding == "ignore" else t * h * w - flat.shape[1]
    return functional.pad(flat, (0, 0, 0, 0, 0, missing)) if missing else flat
