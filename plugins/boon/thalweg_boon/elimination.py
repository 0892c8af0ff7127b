r"""What is added to a layer's input at a boundary, so that its output there depends on the input there alone.

A linear layer $y = K x$ (row vectors over the boundary's unknowns; $K_{ab}$ carries side $a$ of the input to side $b$
of the output). With $x' = x + \delta e_0 + \epsilon e_N$,

    one side     delta = x_0 - y_0 K_00^-1
    both         T = K_00 - K_0N K_NN^-1 K_N0
                 delta = x_0 - (y_0 - y_N K_NN^-1 K_N0 + x_N K_N0) T^-1
                 epsilon = x_N - (y_N + delta K_0N) K_NN^-1

so that $(K x')_0 = x_0 T$ and $(K x')_N = x_N K_{NN}$. The blocks are matrices, over channels at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .closures import Side

Blocks = Mapping[tuple[Side, Side], Tensor]
"""$K_{00}, K_{0N}, K_{N0}, K_{NN}$, `(batch, inputs, outputs)`, by the sides they lead from and to."""


@dataclass(frozen=True)
class Eliminator:
    """The solved blocks of a layer; they know nothing of its input, and can be kept."""

    blocks: Blocks
    inverse: Mapping[Side, Tensor]
    """Of $T$ on the left and $K_{NN}$ on the right; of the side's own block, where there is one side."""

    @classmethod
    def of(cls, blocks: Blocks, sides: tuple[Side, ...], *, damping: float) -> Eliminator:
        """`damping` keeps a nearly singular block from amplifying: a fraction of the block's own size."""
        inverse: dict[Side, Tensor] = {}
        if "right" in sides:
            inverse["right"] = _inverse(blocks["right", "right"], damping)
        if "left" in sides:
            own = blocks["left", "left"]
            if "right" in sides:
                across = torch.bmm(blocks["left", "right"], inverse["right"])
                own = torch.baddbmm(own, across, blocks["right", "left"], alpha=-1)
            inverse["left"] = _inverse(own, damping)
        return cls(blocks, inverse)

    def added(self, x: Mapping[Side, Tensor], y: Mapping[Side, Tensor]) -> dict[Side, Tensor]:
        """$\\delta$ and $\\epsilon$, from the input and the output at the sides, `(batch, sample, unknowns)`."""
        found: dict[Side, Tensor] = {}
        for side in ("left", "right"):
            if side not in self.inverse:
                continue
            output = y[side]
            if side == "left" and "right" in self.inverse:
                across = torch.baddbmm(x["right"], y["right"], self.inverse["right"], alpha=-1)
                output = torch.baddbmm(output, across, self.blocks["right", "left"])
            elif side == "right" and "left" in found:
                output = torch.baddbmm(output, found["left"], self.blocks["left", "right"])
            found[side] = torch.baddbmm(x[side], output, self.inverse[side], alpha=-1)
        return found


def _inverse(block: Tensor, damping: float) -> Tensor:
    r"""$(K^* K + \lambda^2)^{-1} K^*$, $\lambda$ the `damping` share of a typical singular value; 0 for $K = 0$."""
    if damping == 0.0:
        inverse: Tensor = torch.linalg.pinv(block)
        return inverse
    adjoint, outputs = block.mH, block.shape[-1]
    mean = torch.linalg.vector_norm(block, dim=(-2, -1), keepdim=True).square() / outputs
    tiny = torch.finfo(mean.dtype).tiny ** 0.5
    eye = torch.eye(outputs, dtype=block.dtype, device=block.device)
    share = (damping**2 * mean + tiny).to(block.dtype)
    solved: Tensor = torch.linalg.solve(torch.addcmul(adjoint @ block, share, eye), adjoint)
    return solved
