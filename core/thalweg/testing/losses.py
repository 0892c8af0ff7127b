"""What a loss keeps, tried on fields `(sample, lead, y, x)`; a loss of members has five of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components import Loss
from .components import check_component
from .report import Check, ensure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SHAPE = (3, 4, 6, 8)
MEMBERS = 5


def _drawn(loss: Loss, *, seed: int) -> tuple[Tensor, Tensor]:
    """An estimate and a truth, of double precision."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    truth = torch.rand(SHAPE, generator=draw, dtype=torch.float64)
    return _like(loss, torch.rand(SHAPE, generator=draw, dtype=torch.float64), draw), truth


def _like(loss: Loss, fields: Tensor, draw: torch.Generator | None = None) -> Tensor:
    """Fields as an estimate that the loss takes: with members that differ where they are drawn, with variances."""
    import torch

    if loss.takes == "member":
        members = fields.unsqueeze(1).expand(fields.shape[0], MEMBERS, *fields.shape[1:])
        return members if draw is None else members + torch.rand(members.shape, generator=draw, dtype=fields.dtype)
    if loss.takes == "variance":
        return torch.cat([fields, torch.full_like(fields, 0.01)], dim=-1)
    return fields


def _total(loss: Loss, estimate: Tensor, truth: Tensor) -> Tensor:
    value = loss.value(estimate, truth)
    return value.mean() if loss.over == "sample" else value


def value_is_finite_and_one_for_each_sample(loss: Loss) -> None:
    import torch

    value = loss.value(*_drawn(loss, seed=0))
    if loss.over == "sample":
        ensure(
            value.shape == SHAPE[:1],
            f"the value of {SHAPE[0]} samples has shape {tuple(value.shape)}, not ({SHAPE[0]},); take the mean of each "
            'sample alone, or say `over = "batch"`',
        )
    else:
        ensure(value.shape == (), f"the value has shape {tuple(value.shape)}; add up to a scalar")
    ensure(bool(torch.isfinite(value).all()), f"the value is {value}")


def samples_do_not_see_one_another(loss: Loss) -> None:
    """A batch is cut into micro-batches and over ranks, unless the loss says that it is over the batch."""
    import torch

    estimate, truth = _drawn(loss, seed=1)
    if loss.over == "sample":
        together = loss.value(estimate, truth)
        alone = torch.cat([loss.value(estimate[[i]], truth[[i]]).reshape(1) for i in range(len(truth))])
        gap = float((together - alone).abs().max()) if together.shape == alone.shape else float("inf")
        ensure(gap <= 1e-6, f"one by one, the values of samples differ by up to {gap:.3g}")


def it_can_be_descended(loss: Loss) -> None:
    import torch

    estimate, truth = _drawn(loss, seed=2)
    estimate = estimate.clone().requires_grad_()
    value = _total(loss, estimate, truth)
    (gradient,) = torch.autograd.grad(value.sum(), estimate)
    ensure(bool(torch.isfinite(gradient).all()), "its gradient is not finite")
    ensure(bool((gradient != 0).any()), "its gradient is zero at a wrong estimate")
    step = 1e-3 / float(gradient.abs().max())
    before, after = (float(each.detach().sum()) for each in (value, _total(loss, estimate - step * gradient, truth)))
    ensure(after < before, f"a small step down its gradient goes from {before:.6g} to {after:.6g}")


def truth_is_best(loss: Loss) -> None:
    import torch

    _, truth = _drawn(loss, seed=3)
    draw = torch.Generator().manual_seed(4)
    best = float(_total(loss, _like(loss, truth), truth).sum())
    others: tuple[Tensor, ...] = (truth + 0.3, truth - 0.3, 1 - truth)
    others = (*others, torch.rand(SHAPE, generator=draw, dtype=truth.dtype))
    if loss.over == "batch":
        # What compares samples is less for an estimate that tells them apart better; not for that of another sample.
        others = (truth.roll(1, 0),)
    for wrong in others:
        value = float(_total(loss, _like(loss, wrong), truth).sum())
        ensure(best < value, f"the loss of the truth is {best:.6g}, that of another estimate {value:.6g}")


def unknown_cells_pull_nothing(loss: Loss) -> None:
    """Where the truth is missing (NaN), the loss is the same whatever the estimate is, and so are all gradients."""
    import torch

    estimate, truth = _drawn(loss, seed=5)
    other, _ = _drawn(loss, seed=6)
    unknown = torch.rand(truth.shape, generator=torch.Generator().manual_seed(7)) < 0.3
    gap = torch.where(unknown, torch.nan, truth)
    where = {"member": unknown.unsqueeze(1), "variance": torch.cat([unknown, unknown], -1)}.get(loss.takes, unknown)
    values, gradients = [], []
    for each in (estimate, torch.where(where, other, estimate)):
        given = each.clone().requires_grad_()
        value = _total(loss, given, gap).sum()
        (gradient,) = torch.autograd.grad(value, given)
        values.append(float(value.detach()))
        gradients.append(gradient)
    ensure(all(map(_is_finite, values)), f"with truth that is missing (NaN) it is {values[0]}")
    same = abs(values[0] - values[1]) <= 1e-9 * max(1e-12, *map(abs, values))
    ensure(same, f"with other estimates where the truth is missing it is {values[1]:.6g}, not {values[0]:.6g}")
    pulled = max(float(torch.where(where, each, 0.0).abs().max()) for each in gradients)
    ensure(pulled == 0, f"its gradient where the truth is missing is up to {pulled:.3g}, not 0")


def unknown_cells_weigh_nothing(loss: Loss) -> None:
    """A sample of which half is known pulls as hard as one that is known: its mean is over the known cells."""
    import torch

    if loss.over == "batch":
        return
    _, truth = _drawn(loss, seed=8)
    gap = truth.clone()
    gap[1, :, :3] = torch.nan
    values = loss.value(_like(loss, truth + 0.3), gap)
    # An error that is the same at each cell is the same over any of them.
    off = abs(float(values[1] / values[0]) - 1) if values.shape == SHAPE[:1] else float("inf")
    ensure(off <= 0.35, f"with half its cells known, the loss of a sample is {float(values[1] / values[0]):.3g} of it")


def _is_finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


CHECKS: tuple[Check, ...] = (
    value_is_finite_and_one_for_each_sample,
    samples_do_not_see_one_another,
    it_can_be_descended,
    truth_is_best,
    unknown_cells_pull_nothing,
    unknown_cells_weigh_nothing,
)


def check_loss(loss: Loss) -> None:
    """All that a loss keeps, tried on fields `(sample, lead, y, x)`."""
    check_component(loss)
    for each in CHECKS:
        each(loss)
