"""What a loss keeps."""

from __future__ import annotations

from ..components import Loss
from .components import check_component
from .report import Check, ensure


def value_is_a_finite_scalar(loss: Loss) -> None:
    import torch

    value = loss.value(torch.rand(3, 4, 6, 8), torch.rand(3, 4, 6, 8))
    ensure(value.shape == (), f"the value has shape {tuple(value.shape)}; add up to a scalar")
    ensure(bool(torch.isfinite(value)), f"the value is {value}")


def it_can_be_descended(loss: Loss) -> None:
    import torch

    torch.manual_seed(0)
    truth = torch.rand(3, 4, 6, 8)
    estimate = torch.rand(3, 4, 6, 8, requires_grad=True)
    value = loss.value(estimate, truth)
    (gradient,) = torch.autograd.grad(value, estimate)
    ensure(bool(torch.isfinite(gradient).all()), "its gradient is not finite")
    ensure(bool((gradient != 0).any()), "its gradient is zero at a wrong estimate")
    step = 1e-3 / float(gradient.abs().max())
    before, after = float(value.detach()), float(loss.value((estimate - step * gradient).detach(), truth))
    ensure(after < before, f"a small step down its gradient goes from {before:.6g} to {after:.6g}")


def truth_is_best(loss: Loss) -> None:
    import torch

    torch.manual_seed(1)
    truth = torch.rand(3, 4, 6, 8)
    best = float(loss.value(truth.clone(), truth))
    for wrong in (truth + 0.3, truth - 0.3, 1 - truth, torch.rand_like(truth)):
        value = float(loss.value(wrong, truth))
        ensure(best < value, f"the loss of the truth is {best:.6g}, that of another estimate {value:.6g}")


def unknown_cells_pull_nothing(loss: Loss) -> None:
    """Where the truth is missing, a learner puts the estimate: the loss must be the same whatever it says there."""
    import torch

    torch.manual_seed(2)
    estimate, truth, other = (torch.rand(3, 4, 6, 8) for _ in range(3))
    unknown = torch.rand(truth.shape) < 0.3
    values, gradients = [], []
    for each in (estimate, torch.where(unknown, other, estimate)):
        given = each.clone().requires_grad_()
        value = loss.value(given, torch.where(unknown, each, truth))
        (gradient,) = torch.autograd.grad(value, given)
        values.append(float(value.detach()))
        gradients.append(float(gradient[unknown].abs().max()))
    same = abs(values[0] - values[1]) <= 1e-4 * max(1e-12, *map(abs, values))
    ensure(same, f"with other estimates where the truth is unknown it is {values[1]:.6g}, not {values[0]:.6g}")
    ensure(max(gradients) == 0, f"its gradient where the truth is unknown is up to {max(gradients):.3g}, not 0")


CHECKS: tuple[Check, ...] = (
    value_is_a_finite_scalar,
    it_can_be_descended,
    truth_is_best,
    unknown_cells_pull_nothing,
)


def check_loss(loss: Loss) -> None:
    """All that a loss keeps, tried on fields `(sample, lead, y, x)`."""
    check_component(loss)
    for each in CHECKS:
        each(loss)
