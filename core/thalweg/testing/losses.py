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


CHECKS: tuple[Check, ...] = (value_is_a_finite_scalar, it_can_be_descended)


def check_loss(loss: Loss) -> None:
    """All that a loss keeps, tried on fields `(sample, lead, y, x)`."""
    check_component(loss)
    for each in CHECKS:
        each(loss)
