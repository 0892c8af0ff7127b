"""Laws while sampling: what a sampler calls at each step to have its estimate held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EstimateError
from .calls import call
from .denoised import Denoised
from .enforcer import Hold, SamplingEnforcer
from .held import Held
from .holding import handed_on

if TYPE_CHECKING:
    import torch
    import xarray as xr


class Steering:
    """The laws of a variant that are held while sampling, and what they know of the samples of a batch."""

    def __init__(self, holds: Sequence[Hold], grid: xr.Dataset, context: Callable[[Hold], xr.Dataset]) -> None:
        """All holds of the variant, which know of each other; `context` is what each may know, an oracle the truth."""
        self.enforcers: dict[str, tuple[SamplingEnforcer, Held]] = {}
        self._known: dict[str, Any] = {}
        self._tensors: dict[str, dict[str, torch.Tensor]] = {}
        self._samples: tuple[str, ...] = ()
        for hold, held in handed_on(holds, grid):
            enforcer = hold.enforcer
            if isinstance(enforcer, SamplingEnforcer):
                prefix = f"sampling-{len(self.enforcers)}"
                self.enforcers[prefix] = enforcer, held
                known_of = context(hold)
                self._samples = _titles(known_of)
                known = call(enforcer, enforcer.known, held, known_of)
                self._known |= {f"{prefix}/{name}": each for name, each in known.items()}

    def __call__(self, state: Denoised, *, samples: slice = slice(None)) -> torch.Tensor:
        """The estimate that obeys, without a graph; `samples` are those of the batch that the state is of.

        Raises `EstimateError` for what is not a state.
        """
        first = state.estimate
        state = replace(state, samples=self._samples[samples])
        for prefix, (enforcer, held) in self.enforcers.items():
            found = call(enforcer, enforcer.steer, state, held, self._of(prefix, samples, first)).detach()
            if found.shape != first.shape or found.dtype != first.dtype:
                raise EstimateError(
                    f"{enforcer.name} gives {tuple(found.shape)!r}, {found.dtype}, while sampling",
                    allowed=f"{tuple(first.shape)!r}, {first.dtype}: the sampler's estimate, moved",
                    advice="return a tensor like `state.estimate` from `steer`",
                )
            # The next one finds the values of this one, with the denoiser's graph.
            state = replace(state, estimate=found + (first - first.detach()))
        return state.estimate.detach()

    def _of(self, prefix: str, samples: slice, like: torch.Tensor) -> Mapping[str, torch.Tensor]:
        import numpy as np
        import torch

        device = str(like.device)
        if device not in self._tensors:
            self._tensors[device] = {
                name: torch.from_numpy(np.ascontiguousarray(each)).to(like.device) for name, each in self._known.items()
            }
        start = f"{prefix}/"
        return {
            name.removeprefix(start): each if len(each) == 1 else each[samples]
            for name, each in self._tensors[device].items()
            if name.startswith(start)
        }


def _titles(context: xr.Dataset) -> tuple[str, ...]:
    """What samples are called: by the time of their last input, or by their number where they have none."""
    if "reference_time" not in context.coords or context["reference_time"].dims != ("sample",):
        return tuple(f"sample {number}" for number in range(context.sizes.get("sample", 1)))
    times = context["reference_time"].values
    return tuple(f"the sample of {str(time)[:16]}" for time in times)
