"""Biases by the relative position of query and key."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .cuboids import Plan
from .plans import allowed
from .shapes import Bias, Triple


def table_rows(size: Triple) -> int:
    """Relative positions within a block: $(2 b_t - 1)(2 b_h - 1)(2 b_w - 1)$."""
    return (2 * size[0] - 1) * (2 * size[1] - 1) * (2 * size[2] - 1)


def relative_index(queries: Triple, keys: Triple, table: Triple) -> NDArray[np.int64]:
    """Rows of a table made for blocks of size `table`, by (query, key) of blocks that may be smaller or larger.

    An offset is the query's minus the key's coordinate; one beyond the table takes the table's last.
    """
    row = np.zeros((1, 1), dtype=np.int64)
    grids = [np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).reshape(-1, 3) for size in (queries, keys)]
    for axis, reach in enumerate(table):
        offset = grids[0][:, None, axis] - grids[1][None, :, axis]
        row = row * (2 * reach - 1) + np.clip(offset, 1 - reach, reach - 1) + reach - 1
    return row


@lru_cache(maxsize=1024)
def relations(
    queries: Plan, keys: Plan, device: torch.device, *, table: Triple | None
) -> tuple[Tensor | None, Tensor | None]:
    """Rows of a table by (query, key), and what is hidden by (cuboid, 1, query, key).

    None where there is no table, or nothing is hidden.
    """
    mask = allowed(queries, keys)
    # What is made in inference mode could not be used to learn.
    with torch.inference_mode(False):
        hidden = None if mask is None else ~torch.from_numpy(mask).to(device)[:, None]
        if table is None:
            return None, hidden
        rows = relative_index(queries.cuboid.size, keys.cuboid.size, table)
        return torch.from_numpy(rows).to(device), hidden


def attention_bias(
    table: nn.Parameter | None,
    found: tuple[Tensor | None, Tensor | None],
    *,
    plans: tuple[Plan, Plan],
    heads: int,
    like: Tensor,
) -> Bias | None:
    """What attention adds to its scores: biases from a learned table, and -inf where a key may not be seen.

    `found` by `relations`. In the dtype of `like`; None if there is nothing to add.
    """
    queries, keys = plans
    rows, hidden = found
    if rows is None and hidden is None:
        return None
    groups, shape = queries.groups, (queries.length, keys.length)
    if rows is None or table is None:
        bias = like.new_zeros(1, 1, 1)
    else:
        bias = functional.embedding(rows, table).permute(2, 0, 1).to(like.dtype)
    bias = bias.expand(groups, heads, *shape)
    if hidden is not None:
        bias = bias.masked_fill(hidden, float("-inf"))
    return bias.reshape(groups * heads, *shape)


class ReferenceIndex:
    """A layer whose published state also holds the relative index that follows from its table's size.

    It is checked when such a state is loaded, and not kept.
    """

    key = "relative_position_index"

    def __init__(self, module: nn.Module, block: Triple) -> None:
        self.block = block
        module.register_load_state_dict_pre_hook(self)

    def __call__(self, module: Any, state: dict[str, Any], prefix: str, *rest: Any) -> None:  # noqa: ARG002
        found = state.pop(prefix + self.key, None)
        if found is None:
            return
        wanted = relative_index(self.block, self.block, self.block)
        if found.shape != wanted.shape or not np.array_equal(found.cpu().numpy(), wanted):
            errors: list[str] = rest[-1]
            errors.append(f"{prefix + self.key} is not that of blocks of {self.block}")
