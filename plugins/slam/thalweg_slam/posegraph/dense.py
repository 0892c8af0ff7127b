"""Many small graphs in step, their normal equations dense and stacked, by torch.

Poses and edges are padded to the largest graph: poses that do not move, edges of no weight. Each graph has its own
damping, is accepted or rejected by itself, and stays where it is once it has converged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import geometry
from ..graph import Graph
from .damping import FIRST, LEAST, NONE
from .optimise import optimise
from .precision import Precision
from .precision import precision as chosen
from .result import Iteration, Result, Timing

BYTES = 1 << 31
"""Of normal matrices at a time; more graphs are taken in portions."""


def optimise_dense(
    graphs: Sequence[Graph],
    precision: str | Precision,
    *,
    initial: str,
    tolerance: float,
    iterations: int,
    device: str | None = None,
) -> list[Result]:
    """The optimum of graphs of one dimension and convention."""
    size = 3 * (graphs[0].dims - 1)
    each = (size * max(map(len, graphs))) ** 2 * 8
    portion = max(1, BYTES // each)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    wanted = chosen(precision)
    found: list[Result] = []
    for first in range(0, len(graphs), portion):
        # What is wrong with a graph is told by `optimise`, which also gives where to begin.
        starts = [optimise(each, "double", initial=initial, iterations=0) for each in graphs[first : first + portion]]
        found += _Stack([each.graph for each in starts], wanted, device).run(starts, tolerance, iterations)
    return found


class _Stack:
    def __init__(self, graphs: list[Graph], precision: Precision, device: str) -> None:
        self.graphs, self.precision = graphs, precision
        self.dims = d = graphs[0].dims
        self.size = size = 3 * (d - 1)
        self.vector = graphs[0].convention == "vector"
        self.count, edges = max(map(len, graphs)), max(len(each.edges) for each in graphs)
        stack = len(graphs)
        rotation = np.tile(np.eye(d), (stack, self.count, 1, 1))
        translation = np.zeros((stack, self.count, d))
        fixed = np.ones((stack, self.count), bool)
        ends = np.zeros((stack, edges, 2), np.int64)
        turned, moved = np.tile(np.eye(d), (stack, edges, 1, 1)), np.zeros((stack, edges, d))
        root = np.zeros((stack, edges, size, size))
        for b, each in enumerate(graphs):
            n, m = len(each), len(each.edges)
            rotation[b, :n], translation[b, :n] = geometry.matrix(each.rotation, d), each.translation
            fixed[b, :n] = each.fixed
            if not each.fixed.any() and not (each.edges[:, 0] == each.edges[:, 1]).any():
                fixed[b, 0] = True
            ends[b, :m] = each.edges
            turned[b, :m], moved[b, :m] = geometry.matrix(each.edge_rotation, d), each.edge_translation
            # W^T W = Omega, of a semidefinite matrix as well.
            values, axes = np.linalg.eigh(each.information)
            root[b, :m] = np.sqrt(np.maximum(values, 0))[..., None] * axes.transpose(0, 2, 1)

        def put(array: Any) -> Tensor:
            return torch.as_tensor(array, device=device)

        self.rotation, self.translation, self.fixed = put(rotation), put(translation), put(fixed)
        self.i, self.j = put(ends[..., 0]), put(ends[..., 1])
        self.turned, self.moved, self.root = put(turned), put(moved), put(root)
        self.prior = self.i == self.j
        self.row = torch.arange(stack, device=device)[:, None]

    def _motions(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """R_i^T R_j and T_i^-1 t_j, and the same after Z^-1."""
        unit = torch.eye(self.dims, dtype=rotation.dtype, device=rotation.device)
        one = torch.where(self.prior[..., None, None], unit, rotation[self.row, self.i])
        start = torch.where(self.prior[..., None], 0.0, translation[self.row, self.i])
        relative = one.mT @ rotation[self.row, self.j]
        shift = (one.mT @ (translation[self.row, self.j] - start)[..., None])[..., 0]
        back = self.turned.mT
        return relative, shift, back @ relative, (back @ (shift - self.moved)[..., None])[..., 0]

    def errors(self, rotation: Tensor, translation: Tensor) -> Tensor:
        """Whitened residuals (stack, edges, size)."""
        _, _, turn, shift = self._motions(rotation, translation)
        return (self.root @ self._logarithm(turn, shift)[..., None])[..., 0]

    def _logarithm(self, turn: Tensor, shift: Tensor) -> Tensor:
        if self.dims == 2:
            angle = torch.atan2(turn[..., 1, 0], turn[..., 0, 0])
            if self.vector:
                return torch.cat([shift, angle[..., None]], -1)
            stretch = 1 - angle**2 * _second(angle.abs())
            x, y = shift[..., 0], shift[..., 1]
            return torch.stack([stretch * x + angle / 2 * y, stretch * y - angle / 2 * x, angle], -1)
        q = _quaternion(turn)
        if self.vector:
            return torch.cat([shift, q[..., :3]], -1)
        sine = q[..., :3].norm(dim=-1)
        angle = 2 * torch.atan2(sine, q[..., 3])
        scale = torch.where(sine < 1e-9, 2.0, angle / sine.clamp(min=1e-9))
        omega = q[..., :3] * scale[..., None]
        across = torch.linalg.cross(omega, shift)
        second = _second(angle)[..., None]
        return torch.cat([shift - across / 2 + second * torch.linalg.cross(omega, across), omega], -1)

    def linearise(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whitened residuals and their Jacobians with respect to the poses at both ends."""
        relative, shift, turn, rest = self._motions(rotation, translation)
        error = self._logarithm(turn, rest)
        local = torch.zeros_like(self.root)
        d = self.dims
        if not self.vector:
            local = _right_jacobian_inverse(error)
        else:
            local[..., :d, :d] = turn
            if d == 2:
                local[..., 2, 2] = 1
            else:
                q = _quaternion(turn)
                eye = torch.eye(3, dtype=q.dtype, device=q.device)
                local[..., 3:, 3:] = (q[..., 3, None, None] * eye + _cross(q[..., :3])) / 2
        to = self.root @ local
        # Ad of T_j^-1 T_i, whose rotation is R_j^T R_i and whose translation is -R_j^T R_i shift.
        back = relative.mT
        at = -(back @ shift[..., None])[..., 0]
        adjoint = torch.zeros_like(local)
        adjoint[..., :d, :d] = back
        if d == 2:
            adjoint[..., 0, 2], adjoint[..., 1, 2], adjoint[..., 2, 2] = at[..., 1], -at[..., 0], 1
        else:
            adjoint[..., :3, 3:], adjoint[..., 3:, 3:] = _cross(at) @ back, back
        fro = -to @ adjoint
        fro = torch.where((self.prior | self.fixed[self.row, self.i])[..., None, None], 0.0, fro)
        to = torch.where(self.fixed[self.row, self.j][..., None, None], 0.0, to)
        return (self.root @ error[..., None])[..., 0], fro, to

    def system(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        """J^T J, (stack, count size, count size), with 1 for what does not move, and -J^T r."""
        residual, fro, to = self.linearise(rotation, translation)
        stack, count, size = len(residual), self.count, self.size
        blocks = residual.new_zeros(stack * count * count, size, size)
        right = residual.new_zeros(stack * count, size)
        start = self.row * count
        for a, left in ((self.i, fro), (self.j, to)):
            right.index_add_(0, (start + a).reshape(-1), -(left.mT @ residual[..., None]).reshape(-1, size))
            for b, other in ((self.i, fro), (self.j, to)):
                at = ((start + a) * count + b).reshape(-1)
                blocks.index_add_(0, at, (left.mT @ other).reshape(-1, size, size))
        matrix = blocks.reshape(stack, count, count, size, size).transpose(2, 3).reshape(stack, count * size, -1)
        idle = self.fixed.repeat_interleave(size, 1)
        matrix.diagonal(dim1=1, dim2=2).add_(idle.to(matrix.dtype))
        return matrix, right.reshape(stack, -1)

    def steps(self, matrix: Tensor, right: Tensor, damping: Tensor) -> Tensor:
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
        scaled = matrix * scale[:, :, None] * scale[:, None]
        scaled.diagonal(dim1=1, dim2=2).add_(damping[:, None])
        wanted = right * scale
        if self.precision.policy != "direct":
            factor, failed = torch.linalg.cholesky_ex(scaled.float())
            x = torch.cholesky_solve(wanted[..., None].float(), factor).double()
            # Refinement: residuals in double precision, corrections in single.
            for _ in range(2):
                rest = wanted[..., None] - scaled @ x
                x = x + torch.cholesky_solve(rest.float(), factor).double()
            rest = wanted[..., None] - scaled @ x
            bad = (failed > 0) | ~(rest.norm(dim=(1, 2)) <= 1e-4 * wanted.norm(dim=1))
            if bool(bad.any()):
                x[bad] = _double(scaled[bad], wanted[bad])
        else:
            x = _double(scaled, wanted)
        return x[..., 0] * scale

    def moved_by(self, rotation: Tensor, translation: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        step = step.reshape(len(step), self.count, self.size)
        d = self.dims
        if d == 2:
            angle = step[..., 2]
            safe = torch.where(angle.abs() < 1e-4, 1.0, angle)
            along = torch.where(angle.abs() < 1e-4, 1 - angle**2 / 6, safe.sin() / safe)
            across = torch.where(angle.abs() < 1e-4, angle / 2, (1 - safe.cos()) / safe)
            x, y = step[..., 0], step[..., 1]
            shift = torch.stack([along * x - across * y, across * x + along * y], -1)
            c, s = angle.cos(), angle.sin()
            turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
        else:
            twist = step.new_zeros(*step.shape[:-1], 4, 4)
            twist[..., :3, :3], twist[..., :3, 3] = _cross(step[..., 3:]), step[..., :3]
            whole = torch.linalg.matrix_exp(twist)
            turn, shift = whole[..., :3, :3], whole[..., :3, 3]
        return rotation @ turn, translation + (rotation @ shift[..., None])[..., 0]

    def run(self, starts: list[Result], tolerance: float, iterations: int) -> list[Result]:
        rotation, translation = self.rotation, self.translation
        cost = self.errors(rotation, translation).square().sum((1, 2))
        first = cost.tolist()
        damping, growth = torch.zeros_like(cost), torch.full_like(cost, 2.0)
        done = torch.zeros_like(cost, dtype=torch.bool)
        histories: list[list[Iteration]] = [[] for _ in starts]
        for _ in range(iterations):
            if bool(done.all()):
                break
            matrix, right = self.system(rotation, translation)
            step = self.steps(matrix, right, damping)
            promised = (right * step).sum(1)
            tried = self.moved_by(rotation, translation, step)
            after = self.errors(*tried).square().sum((1, 2))
            better = (after <= cost) & ~done
            for b, each in enumerate(histories):
                if not done[b]:
                    kept = float(after[b] if better[b] else cost[b])
                    each.append(Iteration(kept, 0, float(damping[b]), not bool(better[b]), True, True))
            small = better & (cost - after <= tolerance * cost)
            # A damped step may gain little far from the optimum: it ends where less damping promises little too.
            done |= small & ((damping <= NONE) | (promised <= 1e-3 * tolerance * cost))
            # A step that changes nothing that double precision can see ends it as well.
            done |= ~better & ((cost - after).abs() <= 1e-12 * cost)
            rotation = torch.where(better[:, None, None, None], tried[0], rotation)
            translation = torch.where(better[:, None, None], tried[1], translation)
            # The rule of `damping`, for each by itself.
            ratio = ((cost - after) / promised).nan_to_num(1.0).clamp(-1.0, 1.0)
            less = torch.where(
                damping > 0, (damping * (1 - (2 * ratio - 1) ** 3).clamp(min=1 / 3)).clamp(min=LEAST), 0.0
            )
            less = torch.where(small, 1e-3 * less, less)
            more = torch.where(damping > 0, growth * damping, FIRST)
            damping, growth = torch.where(better, less, more), torch.where(better, 2.0, 2 * growth)
            cost = torch.where(better, after, cost)
        return [
            self._result(b, starts[b], rotation, translation, float(cost[b]), first[b], histories[b], bool(done[b]))
            for b in range(len(starts))
        ]

    def _result(
        self,
        number: int,
        start: Result,
        rotation: Tensor,
        translation: Tensor,
        cost: float,
        first: float,
        history: list[Iteration],
        converged: bool,
    ) -> Result:
        graph = self.graphs[number]
        n = len(graph)
        # Lowered to numpy here: a drift of some roundings an iteration is taken out by the quaternion's norm.
        turned = geometry.rotation(rotation[number, :n].cpu().numpy())
        return dataclasses.replace(
            start,
            graph=dataclasses.replace(graph, rotation=turned, translation=translation[number, :n].cpu().numpy()),
            chi2=cost,
            chi2_initial=first,
            history=tuple(history),
            timing=Timing(initial=start.timing.initial),
            precision=self.precision,
            converged=converged,
            factor_bytes=(self.count * self.size) ** 2 * (8 if self.precision.policy == "direct" else 4),
        )


def _double(matrix: Tensor, right: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool((failed > 0).any()):
        # Damped as far as it must be: the step is rejected if it is no good.
        matrix = matrix + torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device) * 1e-7
        factor = torch.linalg.cholesky_ex(matrix)[0]
    return torch.cholesky_solve(right[..., None], factor)


def _cross(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([torch.stack([o, -z, y], -1), torch.stack([z, o, -x], -1), torch.stack([-y, x, o], -1)], -2)


def _second(angle: Tensor) -> Tensor:
    """1 / a^2 - (1 + cos a) / (2 a sin a)."""
    square = angle**2
    small = angle < 0.1
    safe = torch.where(small, 1.0, angle)
    series = 1 / 12 + square / 720 + square**2 / 30240 + square**3 / 1209600
    return torch.where(small, series, (1 - safe / 2 / torch.tan(safe / 2)) / safe**2)


def _quaternion(m: Tensor) -> Tensor:
    """(x, y, z, w), w >= 0, of rotation matrices."""
    x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    d, e, f = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    rows = torch.stack(
        [
            torch.stack([1 + x - y - z, f + c, e + b, a - d], -1),
            torch.stack([f + c, 1 - x + y - z, a + d, b - e], -1),
            torch.stack([e + b, a + d, 1 - x - y + z, c - f], -1),
            torch.stack([a - d, b - e, c - f, 1 + x + y + z], -1),
        ],
        -2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    found = rows.take_along_dim(best[..., None, None], -2)[..., 0, :]
    found = found / torch.linalg.vector_norm(found, dim=-1, keepdim=True)
    return torch.where(found[..., 3:] < 0, -found, found)


def _right_jacobian_inverse(twist: Tensor) -> Tensor:
    """As in `geometry`: I + ad / 2 + c1 ad^2 + c2 ad^4."""
    size = twist.shape[-1]
    ad = twist.new_zeros(*twist.shape, size)
    unit: Tensor = torch.eye(size, dtype=twist.dtype, device=twist.device)
    if size == 3:
        u, v, w = twist.unbind(-1)
        ad[..., 0, 1], ad[..., 1, 0], ad[..., 0, 2], ad[..., 1, 2] = -w, w, v, -u
        return unit + ad / 2 + _second(w.abs())[..., None, None] * (ad @ ad)
    ad[..., :3, :3] = ad[..., 3:, 3:] = _cross(twist[..., 3:])
    ad[..., :3, 3:] = _cross(twist[..., :3])
    angle = twist[..., 3:].norm(dim=-1)
    square = angle**2
    small = angle < 0.25
    safe = torch.where(small, 1.0, angle)
    closed = (1 / safe**2 + (safe + safe.sin()) / (4 * safe * (safe.cos() - 1))) / safe**2
    fourth = torch.where(small, -1 / 720 - square / 15120 - square**2 / 403200, closed)
    twice = ad @ ad
    first = _second(angle) + fourth * square
    found: Tensor = unit + ad / 2 + first[..., None, None] * twice + fourth[..., None, None] * (twice @ twice)
    return found
