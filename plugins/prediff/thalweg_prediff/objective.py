r"""What a denoiser gives, and what that says of the clean field: $\hat x = E[x \mid z]$ of $z = a x + s n$.

    epsilon   the noise $n$                       x = (z - s n) / a
    v         the velocity $a n - s x$            x = a z - s v         where $a^2 + s^2 = 1$
    x0        the clean field
    flow      the direction $x - n$               x = z + s u           where $a + s = 1$

Salimans and Ho 2022 (10.48550/arXiv.2202.00512); Lipman and others 2023 (10.48550/arXiv.2210.02747).
"""

from __future__ import annotations

from typing import Literal

from thalweg import OptionError
from torch import Tensor

from .path import Diffusion, Flow, Level, Path
from .schedule import Schedule

Kind = Literal["epsilon", "v", "x0", "flow"]


def path_of(kind: Kind, schedule: Schedule) -> Path:
    """The way from noise that an objective goes."""
    return Flow() if kind == "flow" else Diffusion(schedule)


def target(kind: Kind, clean: Tensor, noise: Tensor, signal: Tensor, scale: Tensor) -> Tensor:
    """What the network is to give for a clean field and its noise; `signal` and `scale` broadcast to them."""
    match kind:
        case "epsilon":
            return noise
        case "v":
            return signal * noise - scale * clean
        case "x0":
            return clean
        case "flow":
            return clean - noise


def estimate(kind: Kind, output: Tensor, noisy: Tensor, level: Level) -> Tensor:
    """The clean field that the network's output says. Raises `OptionError` for a level without any signal."""
    if kind == "epsilon" and level.signal == 0.0:
        raise OptionError(
            "objective 'epsilon' at a level without signal",
            allowed="v, x0 or flow there",
            advice="choose another objective, or a schedule that leaves some signal",
        )
    return clean(kind, output, noisy, level.signal, level.scale)


def clean(kind: Kind, output: Tensor, noisy: Tensor, signal: Tensor | float, scale: Tensor | float, /) -> Tensor:
    """The same; `signal`, which is not 0, and `scale` broadcast to the fields."""
    match kind:
        case "epsilon":
            return (noisy - scale * output) / signal
        case "v":
            return signal * noisy - scale * output
        case "x0":
            return output
        case "flow":
            return noisy + scale * output
