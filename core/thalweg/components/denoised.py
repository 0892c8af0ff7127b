"""A step of a sampler: the noise of its state, and the denoised estimate, which laws may move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .draw import Draw
from .fields import Fields

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Noise:
    r"""The noise of a state $z = a x + s n$, $n \sim N(0, N)$, and what the step to the next state does.

    The next state is $g \hat x$ and what does not depend on the estimate; so whoever wants to move that state by $d$
    moves the estimate by $d / g$.
    """

    signal: float
    """$a$; 0 where the state says nothing of the field."""
    scale: float
    """$s$."""
    gain: float = 1.0
    """$g$."""
    deviation: float = 0.0
    """Standard deviation of $p(z' | z, x)$, of the next state: of the noise that an ancestral step adds, and others
    leave out. 0 at the last step."""
    last: bool = False
    """Whether what comes back is the estimate itself: laws hold there exactly, or not at all."""
    covariance: Callable[[torch.Tensor], torch.Tensor] | None = None
    """$N v$ of vectors of the state's shape; None: $N$ is the identity."""

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """$N v$."""
        return vector if self.covariance is None else self.covariance(vector)


@dataclass(frozen=True)
class Denoised:
    r"""One step: the estimate $\hat x = E[x \mid z]$ on the graph of $z$, and what it says of the fields.

    States are (item, ...) in the sampler's own space, perhaps a latent one; an item is a sample and member, the members
    of a sample next to one another.
    """

    estimate: torch.Tensor
    noisy: torch.Tensor
    """$z$, a leaf that requires a gradient."""
    decode: Callable[[torch.Tensor], Fields]
    """The fields of a state, in units, differentiable; dims `sample`, `member`, then those of the grid."""
    noise: Noise
    draw: Draw
    """Random numbers of these samples and members at this step."""
    aligned: Callable[[torch.Tensor], Fields] | None = None
    """What a network that was trained for it says of the fields of a noisy state, without the denoiser: every cell of a
    frame has the mean that the frame will have. None where there is no such network."""
    samples: tuple[str, ...] = ()
    """What its samples are called, in messages."""

    @classmethod
    def of(
        cls,
        denoise: Callable[[torch.Tensor], torch.Tensor],
        noisy: torch.Tensor,
        *,
        decode: Callable[[torch.Tensor], Fields],
        noise: Noise,
        draw: Draw,
        aligned: Callable[[torch.Tensor], Fields] | None = None,
    ) -> Denoised:
        """The step at a state; not within `torch.inference_mode`, which keeps no graph."""
        import torch

        with torch.enable_grad():
            leaf = noisy.detach().requires_grad_()
            return cls(denoise(leaf), leaf, decode, noise, draw, aligned)

    @property
    def members(self) -> int:
        """Of each sample."""
        return len(self.draw.members)

    def named(self, item: int) -> str:
        """Which sample and member an item is, in words."""
        sample, member = divmod(item, self.members)
        title = self.samples[sample] if sample < len(self.samples) else f"sample {sample}"
        return title if self.members == 1 else f"{title}, member {self.draw.members[member]}"
