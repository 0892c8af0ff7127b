"""Whether a solution is the best there is: the dual certificate of the chordal cost.

$f = \\sum_e \\kappa_e |R_j - R_i R_{ij}|_F^2 + \\tau_e |t_j - t_i - R_i t_{ij}|^2$ with one weight for rotation and one
for translation an edge (Rosen et al. 2019, doi:10.1177/0278364918784361). With X = [t | R] and f = tr X Q X^T, a
stationary point is optimal if S = Q - Lambda has no negative eigenvalue, Lambda being the multipliers of R^T R = I.
Where it has, S + s diag(0, I) >= 0 still says that no poses of n rotations in d dims cost less than tr Lambda - s n d.

Information of the vector part of quaternions (convention `vector`) is a quarter of that of angles; where it is
isotropic f is chi2 itself. Of angles (`log`) f is chi2 to second order in residuals, but that SE-Sync's kappa counts
those in the plane twice.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from thalweg import OptionError, RunError

from .. import geometry
from ..graph import Graph
from ..residuals import chi2
from . import diagnose
from .factor import Matrix
from .lanes import PADDED
from .optimise import optimise
from .symbolic import Symbolic, analyse, places

Array = np.ndarray[Any, np.dtype[Any]]

SAME = 1e-5
"""Of a cost: what precisions leave."""
RANK = 1e-14
"""An eigenvalue of information below this part of the largest is zero."""
TINY = 1e-12
"""Of the scale, or of chi2: nothing."""


@dataclass(frozen=True)
class Certificate:
    """How far poses are from the best there are, by the chordal cost of their graph."""

    graph: Graph
    """Poses at the stationary point of the chordal cost that Newton's method reaches from those handed in."""
    cost: float
    """At the stationary point."""
    gradient: float
    """Largest entry of the gradient over the largest of Q: 0 at a stationary point."""
    least_eigenvalue: float
    """Of S; below 0 by more than rounding, a better solution may exist."""
    scale: float
    """The largest entry of Q: what eigenvalues are compared with."""
    iterations: int
    given: float
    """The chordal cost of the poses handed in."""
    bound: float
    """What no poses cost less than."""
    chi2: float
    """Of the poses handed in, by their own residuals, in the convention of the graph."""
    chi2_best: float
    """Of the optimum of chi2 to which the stationary point leads."""

    @property
    def optimal(self) -> bool:
        """Whether the stationary point is the best there is: its cost is then the bound."""
        return self.gradient < 1e-8 and self.least_eigenvalue > -1e-9 * self.scale

    @property
    def absolute(self) -> float:
        """By how much the poses handed in cost more than the bound."""
        return max(self.given - self.bound, 0.0)

    @property
    def relative(self) -> float:
        """The same over the bound."""
        return self.absolute / self.bound if self.bound > 0 else (np.inf if self.absolute > TINY * self.scale else 0.0)

    @property
    def certified(self) -> bool:
        """Whether the poses handed in are those of the best solution.

        It is proved that the stationary point is the best by the chordal cost, and the poses handed in cost as little,
        or have the chi2, in the convention of the graph, to which least squares lead from there.
        """
        return self.optimal and (self.relative <= SAME or self.chi2 <= self.chi2_best * (1 + SAME) + TINY * self.scale)

    def gap(self, known: float | None = None) -> float:
        """By how much the cost lies above the bound, over it; or the stationary point's above a `known` optimum."""
        return self.relative if known is None else self.cost / known - 1

    def __str__(self) -> str:
        proof = "the best there is is known" if self.optimal else "a bound, not the best there is"
        return (
            f"by plain squares of all {len(self.graph.edges)} edges: chordal cost {self.given:.9g} of the poses "
            f"handed in; none costs less than {self.bound:.9g} ({proof}): "
            f"at most {self.absolute:.3g} too much, {self.relative:.3g} of it; chi2 {self.chi2:.9g}, and "
            f"{self.chi2_best:.9g} where least squares lead from the poses that cost least"
        )


def weights(graph: Graph) -> tuple[Array, Array]:
    """kappa and tau of each edge: from the harmonic means of the information's blocks, in the graph's convention."""
    d, information = graph.dims, graph.information
    tau, turn = _harmonic(information[:, :d, :d]), _harmonic(information[:, d:, d:])
    if d == 2:
        return turn, tau
    return (turn / 8 if graph.convention == "vector" else turn / 2), tau


def _harmonic(blocks: Array) -> Array:
    """The harmonic mean of the eigenvalues of each block (n, k, k); NaN where one of them is none."""
    values = np.linalg.eigvalsh(np.where(np.isfinite(blocks).all(axis=(1, 2), keepdims=True), blocks, 0.0))
    sound = values[:, 0] > RANK * values[:, -1]
    return np.where(sound, blocks.shape[1] / (1 / np.where(sound[:, None], values, 1.0)).sum(axis=1), np.nan)


def chordal_cost(graph: Graph) -> float:
    """f at the poses of the graph."""
    return _Chordal(graph).cost(_columns(graph.rotation, graph.translation))


def certify(graph: Graph, *, iterations: int = 30) -> Certificate:
    """How far the poses of the graph are from the best there are, by the chordal cost.

    Newton's method goes from them to a stationary point; the least eigenvalue of S there says whether that is the best,
    and else by how much less poses may cost. The cost is plain least squares of all edges of the graph: of a robust
    solution certify `result.kept`, without the edges that it rejects (all others weigh fully here, and little less
    there; `optimise(result.kept).graph` is their least squares). Raises `OptionError` for priors, singular information
    and a graph without poses.
    """
    if not isinstance(graph, Graph):
        raise OptionError(f"{type(graph).__name__} to certify", allowed="a Graph", advice="give certify(result.graph)")
    if not graph.given:
        raise OptionError(
            "a graph without poses", allowed="poses to certify", advice="take certify(optimise(graph).graph)"
        )
    problem = _Chordal(graph)
    columns = _columns(graph.rotation, graph.translation)
    cost, done = problem.cost(columns), 0
    given = cost
    while done < iterations:
        done += 1
        gradient = problem.gradient(columns)
        multipliers = problem.multipliers(columns, gradient)
        slope = problem.slope(columns, gradient)
        if np.abs(slope).max() < 1e-10 * problem.scale:
            break
        step = problem.newton(columns, slope, multipliers)
        trial, after, length = columns, np.inf, 1.0
        while length > 1e-6:
            trial = _moved(columns, length * step)
            after = problem.cost(trial)
            # Near the end a step changes the cost by less than its rounding.
            if after <= cost * (1 + 1e-13):
                break
            length /= 2
        else:
            break
        columns, cost = trial, after
    gradient = problem.gradient(columns)
    multipliers = problem.multipliers(columns, gradient)
    rotation = geometry.rotation(columns[:, :, 1:])
    ended = dataclasses.replace(graph, rotation=rotation, translation=columns[:, :, 0])
    return Certificate(
        graph=ended,
        cost=cost,
        gradient=float(np.abs(problem.slope(columns, gradient)).max() / problem.scale),
        least_eigenvalue=(least := problem.least(multipliers)),
        scale=problem.scale,
        iterations=done,
        given=given,
        bound=max(0.0, float(np.trace(multipliers, axis1=1, axis2=2).sum()) - problem.below(multipliers, least)),
        chi2=chi2(graph),
        chi2_best=min(chi2(ended), optimise(ended, "double", initial="given", gauge="each").chi2),
    )


def _columns(rotation: Array, translation: Array) -> Array:
    """[t | R] of each pose, (N, d, d + 1)."""
    return np.concatenate([translation[..., None], geometry.matrix(rotation, translation.shape[-1])], -1)


def _moved(columns: Array, step: Array) -> Array:
    d = columns.shape[1]
    turn = step[:, d:]
    rotation = geometry.exp(np.concatenate([np.zeros_like(columns[..., 0]), turn], -1))[0]
    turned = columns[..., 1:] @ geometry.matrix(rotation, d)
    return np.concatenate([columns[..., :1] + step[:, :d, None], turned], -1)


class _Chordal:
    """The residual of an edge is X_j - X_i M, M = [[1, 0], [t_ij, R_ij]], weighed by W = diag(tau, kappa ...)."""

    def __init__(self, graph: Graph) -> None:
        if (graph.edges[:, 0] == graph.edges[:, 1]).any():
            raise OptionError("a graph with priors", allowed="edges between poses", advice="take the priors out")
        self.dims, d = graph.dims, graph.dims
        kappa, tau = weights(graph)
        singular = ~(np.isfinite(kappa) & np.isfinite(tau))
        if singular.any():
            raise OptionError(
                f"information that is singular, or none, in {int(singular.sum())} of {len(singular)} edges, the first "
                f"of them edge {int(np.flatnonzero(singular)[0])}",
                allowed="of shifts and of turns information of full rank in each edge",
                advice="leave these edges out, or make each isotropic, before it is solved and certified",
            )
        self.edges, self.count = graph.edges, len(graph)
        self.motion = np.zeros((len(tau), d + 1, d + 1))
        self.motion[:, 0, 0] = 1
        self.motion[:, 1:, 0] = graph.edge_translation
        self.motion[:, 1:, 1:] = geometry.matrix(graph.edge_rotation, d)
        self.weight = np.repeat(kappa[:, None], d + 1, 1)
        self.weight[:, 0] = tau
        self.scale = float(self.weight.max())
        self.symbolic: Symbolic = analyse(self.count, graph.edges)
        self.fixed = diagnose.gauge(graph, "each", symbolic=self.symbolic)
        self.ranked = self.symbolic.rank[graph.edges]
        self.places = places(self.symbolic, self.ranked)

    def _residual(self, columns: Array) -> Array:
        return np.asarray(columns[self.edges[:, 1]] - columns[self.edges[:, 0]] @ self.motion)

    def cost(self, columns: Array) -> float:
        return float(np.einsum("erk,erk,ek->", *[self._residual(columns)] * 2, self.weight))

    def gradient(self, columns: Array) -> Array:
        """X Q, half the gradient, (N, d, d + 1)."""
        weighed = self._residual(columns) * self.weight[:, None]
        found = np.zeros_like(columns)
        np.add.at(found, self.edges[:, 1], weighed)
        np.subtract.at(found, self.edges[:, 0], weighed @ self.motion.transpose(0, 2, 1))
        return found

    def multipliers(self, columns: Array, gradient: Array) -> Array:
        found = columns[..., 1:].transpose(0, 2, 1) @ gradient[..., 1:]
        return np.asarray((found + found.transpose(0, 2, 1)) / 2)

    def _tangent(self, columns: Array) -> Array:
        """How [t | R] moves with (translation in the world, rotation on the right): (N, d, d + 1, size)."""
        d = self.dims
        size = 3 * (d - 1)
        found = np.zeros((self.count, d, d + 1, size))
        found[:, range(d), 0, range(d)] = 1
        generators = geometry.cross(np.eye(3)) if d == 3 else np.array([[[0.0, -1], [1, 0]]])
        found[:, :, 1:, d:] = np.einsum("nrk,gkc->nrcg", columns[..., 1:], generators)
        return found

    def slope(self, columns: Array, gradient: Array) -> Array:
        found: Array = np.einsum("nrks,nrk->ns", self._tangent(columns), gradient)
        found[self.fixed] = 0
        return found

    def newton(self, columns: Array, slope: Array, multipliers: Array) -> Array:
        tangent = self._tangent(columns)
        one, other = tangent[self.edges[:, 0]], tangent[self.edges[:, 1]]
        moved = np.einsum("erks,ekl->erls", one, self.motion)
        diagonal = np.zeros((self.count, *[tangent.shape[-1]] * 2))
        np.add.at(diagonal, self.edges[:, 1], np.einsum("erks,ek,erkt->est", other, self.weight, other))
        np.add.at(diagonal, self.edges[:, 0], np.einsum("erks,ek,erkt->est", moved, self.weight, moved))
        diagonal -= np.einsum("nrks,nkl,nrlt->nst", tangent[:, :, 1:], multipliers, tangent[:, :, 1:])
        cross = -np.einsum("erks,ek,erkt->est", moved, self.weight, other)
        cross[self.fixed[self.edges].any(1)] = 0
        diagonal[self.fixed] = np.eye(diagonal.shape[-1])
        # With more than the sum of all entries beside it a matrix is positive.
        sums = np.abs(diagonal).sum(axis=(1, 2))
        for side in range(2):
            np.add.at(sums, self.edges[:, side], np.abs(cross).sum(axis=(1, 2)))
        shift, most = 0.0, 10 * max(float(sums.max()), self.scale)
        while shift <= 10 * most:
            matrix = self._matrix(diagonal, cross, tangent.shape[-1])
            if matrix.factorise(shift=shift)[0] < 0:
                return self._solved(matrix, -slope)
            shift = max(10 * shift, 1e-9 * self.scale)
        raise RunError(
            "poses, measurements or information that are not finite, or too large to be squared",
            allowed="finite numbers",
            advice="look for them with `validate(graph)`",
        )

    def _matrix(self, diagonal: Array, cross: Array, size: int) -> Matrix:
        """A block matrix of blocks (N, k, k) and, for edges from row i to column j, (M, k, k); k up to `size`."""
        matrix = Matrix.empty(self.symbolic, size, "fp64")
        stride, k = len(PADDED[size][1]), diagonal.shape[-1]
        lower = matrix.lower[: self.symbolic.blocks * size * stride].reshape(-1, size, stride)
        whole = matrix.diagonal[: self.count * size * stride].reshape(-1, size, stride)
        # Blocks are held by columns.
        upward = (self.ranked[:, 0] > self.ranked[:, 1])[:, None, None]
        np.add.at(lower[:, :k, :k], self.places, np.where(upward, cross.transpose(0, 2, 1), cross))
        whole[:, :k, :k] = diagonal[self.symbolic.order]
        for extra in range(k, size):
            whole[:, extra, extra] = self.scale
        return matrix

    def _solved(self, matrix: Matrix, right: Array) -> Array:
        lanes = 8 if matrix.size == 6 else 4
        vector = np.zeros((self.count, lanes))
        vector[:, : right.shape[1]] = right[self.symbolic.order]
        flat = vector.reshape(-1)
        matrix.solve(flat)
        return np.asarray(flat.reshape(self.count, lanes)[self.symbolic.rank, : right.shape[1]])

    def _dual(self, multipliers: Array) -> tuple[Array, Array]:
        """The blocks of S: on its diagonal, and of each edge."""
        k = self.dims + 1
        moved = self.motion * self.weight[:, None]
        diagonal = np.zeros((self.count, k, k))
        np.add.at(diagonal, self.edges[:, 1], np.einsum("ek,kl->ekl", self.weight, np.eye(k)))
        np.add.at(diagonal, self.edges[:, 0], moved @ self.motion.transpose(0, 2, 1))
        diagonal[:, 1:, 1:] -= multipliers
        return diagonal, -moved

    def below(self, multipliers: Array, least: float) -> float:
        """s n d with S + s diag(0, I) >= 0 for the least s, to a part in a hundred; 0 where S >= 0 up to rounding."""
        if least > -1e-9 * self.scale:
            return 0.0
        diagonal, cross = self._dual(multipliers)
        turns = np.diag(np.append(0.0, np.ones(self.dims)))
        tiny = 1e-11 * self.scale

        def holds(shift: float) -> bool:
            matrix = self._matrix(diagonal + shift * turns, cross, 3 if self.dims == 2 else 6)
            return matrix.factorise(shift=tiny)[0] < 0

        low, high = 0.0, -least
        while not holds(high):
            low, high = high, 4 * high
        while high - low > 0.01 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high * self.count * self.dims

    def least(self, multipliers: Array) -> float:
        """The least eigenvalue of S, by Lanczos on the inverse of S + shift, which Cholesky shows to be positive."""
        from scipy.sparse.linalg import LinearOperator, eigsh

        k = self.dims + 1
        size = 3 if k == 3 else 6
        diagonal, cross = self._dual(multipliers)
        shift = 1e-11 * self.scale
        while True:
            matrix = self._matrix(diagonal, cross, size)
            if matrix.factorise(shift=shift)[0] < 0:
                break
            shift *= 10
        order = self.count * k

        def inverse(vector: Array) -> Array:
            return self._solved(matrix, vector.reshape(self.count, k)).reshape(-1)

        operator = LinearOperator((order, order), matvec=inverse, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=order)
        found = eigsh(operator, k=min(k + 2, order - 1), which="LA", v0=start, return_eigenvectors=False, tol=1e-6)
        return float(1 / found.max() - shift)
