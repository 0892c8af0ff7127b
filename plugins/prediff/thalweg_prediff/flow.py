r"""A flow whose network learns what a linear estimate leaves.

Of $z = t x + (1 - t) n$, where $x$ and $n$ have one covariance, the best linear estimate of $x$ is $t z / D$ with
$D = t^2 + (1 - t)^2$, and what it leaves has the variance $(1 - t)^2 / D$. So

$$ \hat x = \frac{t}{D} z + \frac{1 - t}{\sqrt D} N(z / \sqrt D, t), $$

where the network $N$ is given fields of variance 1 and gives fields of variance 1, at every $t$. Its loss is the mean
square of $N$ less `wanted`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _sizes(time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    t = time.to(like).reshape(-1, *(1,) * (like.ndim - 1))
    return t, t.square() + (1.0 - t).square()


def noisy(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """$z$ for times (sample,)."""
    t, _ = _sizes(time, clean)
    return t * clean + (1.0 - t) * noise


def fed(state: Tensor, time: Tensor) -> Tensor:
    """What the network is given of a state: variance 1 at every time."""
    _, size = _sizes(time, state)
    return state / size.sqrt()


def wanted(clean: Tensor, state: Tensor, time: Tensor) -> Tensor:
    """What the network is to give."""
    t, size = _sizes(time, state)
    return (clean - t * state / size) * size.sqrt() / (1.0 - t)


def estimate(output: Tensor, state: Tensor, time: Tensor) -> Tensor:
    """The clean field that the network's output says."""
    t, size = _sizes(time, state)
    return t * state / size + (1.0 - t) / size.sqrt() * output


def times(normal: Tensor, *, first: float, last: float) -> Tensor:
    """Times (sample,) of learning: logit-normal, most of them in the middle, within `first` and `last`.

    Esser and others 2024 (10.48550/arXiv.2403.03206).
    """
    return torch.sigmoid(normal).clamp(first, last)
