"""Where a noisy state is to go for laws to hold: the gradient of how much they are broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from thalweg import Denoised, Fields, Held, RunError
from torch import Tensor

ROUNDING = 4.0
"""Of residuals, in units of the precision of the states that they are of."""
SAME = 1e-3
"""Share of a law's answer to a change of all cells that it may give to one that no frame's mean sees."""
CHANGE = 1e-3
"""Of the fields, relative to their size."""


def gradient_of(state: Denoised, held: Held, known: Mapping[str, Tensor], *, network: bool) -> Tensor:
    """Of each item's norm of residuals by its state, 0 where laws hold to rounding.

    Through the alignment network, or the denoised estimate and its decoder. Raises `RunError` for one that is not
    finite, with its sample and member.
    """
    with torch.enable_grad():
        if network:
            assert state.aligned is not None
            fields = state.aligned(state.noisy)
        else:
            fields = state.decode(state.estimate)
        found, _ = held.by_item(fields, known)
        squares = torch.where(torch.isnan(found), 0.0, found).square().sum(1)
        broken = squares > 0.0
        # The root has no gradient at 0.
        norms = torch.where(broken, torch.where(broken, squares, 1.0).sqrt(), 0.0)
        (gradient,) = torch.autograd.grad(norms.sum(), state.noisy, retain_graph=True)
    good = torch.isfinite(gradient).flatten(1).all(1)
    if not bool(good.all()):
        item = int((~good).nonzero()[0])
        raise RunError(
            f"the gradient of {held.laws[0].name} while sampling is not finite: {state.named(item)}, norm of its "
            f"residuals {float(norms[item].detach()):.3g}",
            allowed="laws and estimates with finite gradients",
            advice="look for missing inputs, or lower `weight`",
        )
    # However near the law is, the gradient of a norm is as long: to rounding it holds.
    reach = (gradient.abs() * state.noisy.detach().abs()).flatten(1).sum(1)
    holds = norms.detach() <= ROUNDING * torch.finfo(gradient.dtype).eps * reach
    return gradient.masked_fill(holds.reshape(-1, *(1,) * (gradient.ndim - 1)), 0.0)


def is_of_means(state: Denoised, held: Held, known: Mapping[str, Tensor]) -> bool:
    """Whether laws see of fields near those that the alignment network says the means of frames only."""
    assert state.aligned is not None
    with torch.no_grad():
        fields = state.aligned(state.noisy.detach())
        at = {name: each.double() for name, each in fields.values.items()}
        size = {name: CHANGE * float(each.abs().max().clamp(min=CHANGE)) for name, each in at.items()}

        def answer(changed: Mapping[str, Tensor]) -> Tensor:
            return torch.nan_to_num(held.by_item(replace(fields, values=changed), known)[0])

        before = answer(at)
        whole = answer({name: each + size[name] for name, each in at.items()}) - before
        waves = {name: each + size[name] * _wave(fields, name, each) for name, each in at.items()}
        apart = answer(waves) - before
    return bool((apart.abs() <= SAME * whole.abs() + 1e-12).all())


def _wave(fields: Fields, name: str, like: Tensor) -> Tensor:
    """Numbers about 1 in size, with mean 0 in each frame, (rows, columns)."""
    draw = torch.Generator().manual_seed(0)
    rows, columns = (like.shape[fields.dims[name].index(dim)] for dim in fields.dims[name][-2:])
    found = torch.randn((rows, columns), generator=draw, dtype=torch.float64).to(like.device)
    return found - found.mean()
