r"""A denoised estimate, conditioned on laws with the covariance that its denoiser implies.

Of $z = a x + s n$, $n \sim N(0, N)$, a denoiser gives $\hat x(z) = E[x \mid z]$, and by Tweedie's formula of second
order

$$ S = \mathrm{Cov}[x \mid z] = \frac{s^2}{a} N \left(\frac{\partial \hat x}{\partial z}\right)^T. $$

A law $h(x) = 0$ with gradient $H$, up to noise of variance $R$, moves it as `probconserv` moves a finished estimate:

$$ \hat x' = \hat x - S H^T (H S H^T + R)^{-1} h(\hat x), \qquad S H^T = \frac{s^2}{a} N \, \mathrm{VJP}_z(H \hat x). $$

So it costs one product of a vector and the denoiser's Jacobian a row, and no matrix of the size of the field. A law
that is not linear takes some passes, Newton's method in the span of $S H^T$: only $h$ and $H$ are computed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from thalweg import Denoised, OptionError, RunError
from torch import Tensor

from .covariance import Covariance

HALVED = 12
"""Times that a step of Newton's method is halved, at most."""
LEFT = 1e-3
"""Share of a residual that Newton's method may leave; of more it found no way."""
FALLEN = 0.98
"""Share of the squared residuals that a pass of Newton's method leaves; of more, it is the last: at rounding."""
FAILED = 1e-2
"""Share of a residual above which the last estimate does not obey: no estimate does that is near."""
ROUNDING = 1e3
"""Of residuals, in units of the precision of the states that they are of."""
SINGULAR = 1e-10
"""Rows that others already say, and rows that nothing moves, by their share of the largest eigenvalue."""

Residual = Callable[[Tensor], Tensor]
"""Residuals (item, row) of estimates (item, ...), differentiable; NaN where a law says nothing."""


class Saturated(Exception):  # noqa: N818
    """A law has no gradient at an estimate that breaks it: nothing small moves it."""

    def __init__(self, item: int, row: int) -> None:
        super().__init__(item, row)
        self.item, self.row = item, row


class Unreached(Exception):  # noqa: N818
    """No estimate was found that a law holds for: its target is beyond what the sampler can make."""

    def __init__(self, item: int, row: int, left: float) -> None:
        super().__init__(item, row, left)
        self.item, self.row, self.left = item, row, left


@dataclass(frozen=True)
class Given:
    """One step of sampling; an item is a sample and member."""

    estimate: Tensor
    """(item, ...), on the graph of `noisy`."""
    noisy: Tensor
    signal: float
    scale: float
    members: int = 1
    """Members of each sample, next to one another."""
    times: Callable[[Tensor], Tensor] = lambda vector: vector
    """$N v$ of vectors (..., cells of a state)."""

    @classmethod
    def of(cls, state: Denoised) -> Given:
        """A step of any sampler."""
        noise = state.noise
        return cls(state.estimate, state.noisy, noise.signal, noise.scale, state.members, noise.times)


def conditioned(
    given: Given,
    residual: Residual,
    *,
    variance: Tensor,
    covariance: Covariance = "vjp",
    passes: int = 3,
    tolerance: float = 0.0,
    last: bool = False,
) -> Tensor:
    """The estimate that obeys, without a graph; `variance` (item, row), or (row,), is the laws' noise, 0 to hold
    them exactly.

    At most `passes` times, until no residual is larger than `tolerance`. A row without a gradient (a law that is
    saturated) is left out, and so are all rows at a level without signal. At the `last` step an item whose covariance
    does not move it (a denoiser that is certain) is held to the nearest estimate instead, and `Saturated` is raised for
    a row that is to hold exactly, does not, and has no gradient, `Unreached` for one that no estimate near it obeys.
    Raises `RunError` for an estimate that is not finite.
    """
    found = residual(given.estimate)
    said = ~torch.isnan(found)
    h = torch.where(said, found, 0.0)
    start = given.estimate.detach()
    # Without any signal the formula has no covariance: the next level corrects what this one leaves.
    unknown = given.signal == 0.0 and covariance in ("vjp", "diagonal")
    if unknown or not bool((h.detach() != 0.0).any()):
        return start
    spread = _spread(given, h, covariance)
    newton = _Newton(start, spread.flatten(2).double(), residual, said, variance.double().expand(said.shape))
    point = newton.solved(passes, tolerance)
    return _reached(newton, point, h, passes, tolerance) if last else point


def _reached(newton: _Newton, point: Tensor, before: Tensor, /, passes: int, tolerance: float) -> Tensor:
    """The last estimate; of items that are not there yet, the nearest one that obeys."""
    exact = newton.said & (newton.variance == 0.0)
    far = (_left(newton.residual, point, exact).abs() > LEFT * before.detach().abs()).any(1)
    if not bool(far.any()):
        return point
    with torch.enable_grad():
        begin = newton.start.clone().requires_grad_()
        found = newton.residual(begin)
        nearest = _rows(torch.where(newton.said & ~torch.isnan(found), found, 0.0), begin).flatten(2).double()
    other = replace(newton, spread=nearest).solved(passes, tolerance)
    made = torch.where(far.reshape(-1, *(1,) * (point.ndim - 1)), other, point)
    left = _left(newton.residual, made, exact).abs() > LEFT * before.detach().abs()
    if bool(left.any()):
        flat = left & (_slopes(newton.residual, made) == 0.0)
        if bool(flat.any()):
            item, row = (int(each) for each in flat.nonzero()[0])
            raise Saturated(item, row)
        _refuse_unreached(newton, made, before.detach().abs(), exact)
    return made


def _refuse_unreached(newton: _Newton, made: Tensor, before: Tensor, exact: Tensor) -> None:
    """Raise `Unreached` for residuals that are still there, beyond the rounding of states and what they decode to."""
    left = _left(newton.residual, made, exact).abs()
    with torch.enable_grad():
        leaf = made.clone().requires_grad_()
        found = newton.residual(leaf)
        rows = _rows(torch.where(torch.isnan(found), 0.0, found), leaf)
    rounding = ROUNDING * torch.finfo(made.dtype).eps * (rows * made[:, None]).abs().flatten(2).sum(2)
    wrong = left > torch.maximum(FAILED * before, rounding)
    if bool(wrong.any()):
        item, row = (int(each) for each in wrong.nonzero()[0])
        raise Unreached(item, row, float(left[item, row]))


def _left(residual: Residual, point: Tensor, said: Tensor) -> Tensor:
    with torch.no_grad():
        found = residual(point)
    return torch.where(said & ~torch.isnan(found), found, 0.0)


def _slopes(residual: Residual, point: Tensor) -> Tensor:
    """The largest gradient of each row, (item, row)."""
    with torch.enable_grad():
        leaf = point.clone().requires_grad_()
        found = residual(leaf)
        return _rows(torch.where(torch.isnan(found), 0.0, found), leaf).flatten(2).abs().amax(2)


@dataclass
class _Newton:
    r"""Weights $w$ of $x = \hat x - S H^T w$ for which $h(x) = R w$, item by item; steps that lead away are halved."""

    start: Tensor
    spread: Tensor
    """(item, row, cell), float64."""
    residual: Residual
    said: Tensor
    variance: Tensor

    def solved(self, passes: int, tolerance: float) -> Tensor:
        weights = torch.zeros(self.said.shape, dtype=torch.float64, device=self.start.device)
        point, now = self._at(weights)
        before = torch.full((len(self.start),), torch.inf, dtype=torch.float64, device=self.start.device)
        for _ in range(passes):
            size = (now.detach().double() - self.variance * weights).square().sum(1)
            if bool((size > FALLEN * before).all()):
                break
            before = size
            left = now.detach().double() - self.variance * weights
            if not bool((left.abs() > tolerance).any()):
                break
            gradient = _rows(now, point).flatten(2).double()
            # What the rounding of each cell leaves of a sum: less is luck, and not sought.
            rounding = torch.finfo(point.dtype).eps * (gradient * point.detach().flatten(1)[:, None]).norm(dim=2)
            if not bool((left.abs() > rounding).any()):
                break
            product = torch.einsum("iar,ibr->iab", gradient, self.spread)
            weights, point, now = self._stepped(weights, _solved(product, self.variance, left), left, rounding)
        point = point.detach()
        if not bool(torch.isfinite(point).all()):
            raise RunError(
                "an estimate that is held while sampling is not finite",
                allowed="finite estimates and targets",
                advice="look for missing inputs, or for a target that no field can reach",
            )
        return point

    def _stepped(
        self, weights: Tensor, step: Tensor, left: Tensor, rounding: Tensor, /
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The weights after a step, halved for items that it leads away; those that no half helps stay."""
        for halved in range(HALVED + 1):
            point, now = self._at(weights + step)
            after = now.detach().double() - self.variance * (weights + step)
            nearer = after.square().sum(1) <= left.square().sum(1)
            away = ~(nearer | (after.abs() <= rounding).all(1))
            if not bool(away.any()):
                break
            step = torch.where(away[:, None], step / 2 if halved < HALVED - 1 else 0.0 * step, step)
        return weights + step, point, now

    def _at(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The estimate, and its residuals on its graph."""
        change = torch.einsum("ia,iar->ir", weights, self.spread).reshape(self.start.shape)
        with torch.enable_grad():
            point = (self.start.double() - change).to(self.start.dtype).requires_grad_()
            found = self.residual(point)
            return point, torch.where(self.said & ~torch.isnan(found), found, 0.0)


def _spread(given: Given, h: Tensor, covariance: Covariance) -> Tensor:
    """$S H^T$, (item, row, ...)."""
    if covariance == "ensemble":
        return _of_members(given, h)
    if covariance == "identity":
        return _rows(h, given.estimate, keep=True).detach()
    factor = given.scale**2 / given.signal
    if covariance == "vjp":
        return factor * given.times(_rows(h, given.noisy, keep=True).detach())
    gradient = _rows(h, given.estimate, keep=True).detach()
    return factor * _diagonal(given)[:, None] * gradient


def _of_members(given: Given, h: Tensor) -> Tensor:
    if given.members < 2:
        raise OptionError(
            f"covariance 'ensemble' with {given.members!r} member",
            allowed="two members or more, which are drawn together",
            advice="draw more members, or choose covariance: vjp",
        )
    gradient = _rows(h, given.estimate, keep=True).detach()
    field = given.estimate.detach().unflatten(0, (-1, given.members)).flatten(2)
    away = field - field.mean(1, keepdim=True)
    by_member = gradient.unflatten(0, (-1, given.members)).flatten(3)
    along = torch.einsum("smc,sirc->sirm", away, by_member)
    found = torch.einsum("sirm,smc->sirc", along, away) / (given.members - 1)
    return found.flatten(0, 1).reshape(gradient.shape)


def _diagonal(given: Given, probes: int = 8) -> Tensor:
    r"""$\mathrm{diag}\, N J^T$, at least 0: the mean of $v \odot N J^T v$ over signs $v$."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    total = torch.zeros_like(given.noisy)
    for _ in range(probes):
        signs = torch.randint(0, 2, given.estimate.shape[1:], generator=generator).to(given.estimate) * 2 - 1
        (product,) = torch.autograd.grad(
            given.estimate, given.noisy, signs.expand_as(given.estimate), retain_graph=True
        )
        total += signs * given.times(product)
    return (total / probes).clamp(min=0.0)


def _rows(h: Tensor, by: Tensor, *, keep: bool = False) -> Tensor:
    """Gradients of each row, (item, row, ...): items do not see one another, so one product serves all of them."""
    found = []
    for row in range(h.shape[1]):
        (gradient,) = torch.autograd.grad(
            h[:, row].sum(), by, retain_graph=keep or row < h.shape[1] - 1, allow_unused=True
        )
        found.append(torch.zeros_like(by) if gradient is None else gradient)
    return torch.stack(found, 1)


def _solved(product: Tensor, variance: Tensor, h: Tensor) -> Tensor:
    r"""$(H S H^T + R)^{+} h$ for each item, in float64, rows scaled to one another first."""
    system = (product + product.transpose(1, 2)) / 2 + torch.diag_embed(variance)
    size = system.diagonal(dim1=1, dim2=2).clamp(min=0.0).sqrt()
    by = torch.where(size > 0.0, 1.0 / torch.where(size > 0.0, size, 1.0), 0.0)
    values, vectors = torch.linalg.eigh(by[:, :, None] * system * by[:, None])
    kept = values > SINGULAR * values[:, -1:].clamp(min=0.0)
    inverse = torch.where(kept, 1.0 / torch.where(kept, values, 1.0), 0.0)
    scaled = torch.einsum("iab,ib->ia", vectors.transpose(1, 2), by * h)
    return by * torch.einsum("iab,ib->ia", vectors, inverse * scaled)
