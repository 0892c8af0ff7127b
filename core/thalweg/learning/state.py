"""All that the next step of a training depends on: saved whole, taken up whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CorruptError
from . import checkpoint
from .randomness import random_state, restore_random_state, seed_all
from .ranks import Ranks
from .turn import Turn

log = logging.getLogger("thalweg")

FORMAT = 2
"""Of a checkpoint; one of another format is not read, and its training begins again."""

Weights = dict[str, dict[str, Tensor]]
"""By module, by name."""


@dataclass
class Position:
    """What of a training's state is plain numbers."""

    epoch: int = 0
    batch: int = 0
    """Steps of this epoch that were taken."""
    step: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)
    """Of each curve, the sum over this epoch's samples so far and their number, on this rank."""
    best: float | None = None
    best_epoch: int = -1
    finished: bool = False
    curves: list[dict[str, float]] = field(default_factory=list)
    """What was reported, by epoch."""


class RunningMean:
    """Exponential moving average of a module's weights and buffers; the decay grows as (1 + n) / (10 + n)."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: each.detach().clone() for name, each in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, each in module.state_dict().items():
            if each.is_floating_point() or each.is_complex():
                self.weights[name].lerp_(each.detach(), 1 - decay)
            else:
                self.weights[name].copy_(each)


class State:
    """Modules, turns with their optimizers, running means, best weights, generators, and the position; from the last
    checkpoint, if any.

    `make` is called under the seed, and is all that draws from it. Raises `CorruptError` for a checkpoint of another
    architecture.
    """

    def __init__(
        self,
        make: Callable[[], nn.ModuleDict],
        turns: Callable[[nn.ModuleDict], Sequence[Turn]],
        *,
        seed: int,
        ema: Mapping[str, float],
        scaled: bool,
        ranks: Ranks,
        device: torch.device,
        folder: Path,
    ) -> None:
        self._ranks, self._device, self._folder = ranks, device, folder
        seed_all(seed)
        self.modules = make()
        self.turns = tuple(turns(self.modules))
        self.learned = {each.name: self._learned(each) for each in self.turns}
        self.optimizers = {each.name: each.optimizer(self.learned[each.name]) for each in self.turns}
        self.scalers = {each.name: torch.amp.GradScaler(device.type, enabled=scaled) for each in self.turns}
        self.means = {name: RunningMean(self.modules[name], decay) for name, decay in ema.items()}
        self.best: Weights = {}
        self.at = Position()
        # Ranks share the initial weights, and draw on from there each for itself.
        seed_all(seed + 1 + ranks.rank)
        self._resume()

    def _learned(self, turn: Turn) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{name}.{key}", each)
            for name in turn.learns
            for key, each in self.modules[name].named_parameters()
            if each.requires_grad
        ]

    @property
    def current(self) -> Weights:
        """The weights of this step: of a module with a running mean, the mean."""
        return {
            name: self.means[name].weights if name in self.means else _weights(module)
            for name, module in self.modules.items()
        }

    def remember(self) -> None:
        """Keep these weights as the best so far."""
        self.best = {
            name: {key: each.detach().to("cpu", copy=True) for key, each in weights.items()}
            for name, weights in self.current.items()
        }

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Meanwhile modules with a running mean have its weights."""
        kept = {name: {k: e.clone() for k, e in self.modules[name].state_dict().items()} for name in self.means}
        for name, mean in self.means.items():
            self.modules[name].load_state_dict(mean.weights)
        try:
            yield
        finally:
            for name, weights in kept.items():
                self.modules[name].load_state_dict(weights)

    @contextmanager
    def learning(self, turn: Turn) -> Iterator[None]:
        """Meanwhile only what this turn learns wants a gradient; buffers of other modules are as before in the end."""
        if len(self.turns) == 1:
            yield
            return
        for name, learned in self.learned.items():
            for _, parameter in learned:
                parameter.requires_grad_(name == turn.name)
        others = [e for name, module in self.modules.items() if name not in turn.learns for e in module.buffers()]
        kept = [each.clone() for each in others]
        try:
            yield
        finally:
            with torch.no_grad():
                for each, before in zip(others, kept, strict=True):
                    each.copy_(before)

    def save(self) -> None:
        """Write a checkpoint; all ranks call it."""
        everyone = self._ranks.gather({"random": random_state(self._device), "sums": self.at.sums})
        if self._ranks.rank == 0:
            tensors: dict[str, Tensor] = {}
            for name, module in self.modules.items():
                tensors |= _named(f"module/{name}", module.state_dict())
            for name, mean in self.means.items():
                tensors |= _named(f"mean/{name}", mean.weights)
            for name, weights in self.best.items():
                tensors |= _named(f"best/{name}", weights)
            for turn, learned in self.learned.items():
                for name, parameter in learned:
                    # A parameter that had no gradient yet has no state.
                    own = self.optimizers[turn].state.get(parameter, {})
                    tensors |= _named(f"optimizer/{turn}/{name}", own)
            record = {
                "format": FORMAT,
                "position": asdict(self.at),
                "ranks": everyone,
                "scalers": {name: each.state_dict() for name, each in self.scalers.items()},
            }
            checkpoint.save(self._folder, tensors, record)
        # Nobody goes on before what the others may have to go back to is there.
        self._ranks.gather(None)

    def _resume(self) -> None:
        found = checkpoint.load(self._folder)
        if found is None:
            return
        tensors, record = found
        file = self._folder / checkpoint.NAME
        if record.get("format") != FORMAT:
            log.warning("%s is a checkpoint of another version of thalweg: the training begins again", file)
            return
        own = record["ranks"]
        for name, module in self.modules.items():
            checkpoint.load_weights(module, _under(f"module/{name}", tensors), source=str(file))
        averaged = {name for name in self.modules if _under(f"mean/{name}", tensors)}
        if len(own) != self._ranks.count or averaged != set(self.means) or set(record["scalers"]) != set(self.scalers):
            raise CorruptError(
                f"{file} is of a training with other options", advice=f"delete {file.parent}, and run again"
            )
        for name, mean in self.means.items():
            for key, each in _under(f"mean/{name}", tensors).items():
                mean.weights[key].copy_(each)
        best = {name: _under(f"best/{name}", tensors) for name in self.modules}
        self.best = best if any(best.values()) else {}
        for turn, learned in self.learned.items():
            self.scalers[turn].load_state_dict(record["scalers"][turn])
            for name, parameter in learned:
                for key, value in _under(f"optimizer/{turn}/{name}", tensors).items():
                    # torch keeps the count of steps on the CPU.
                    kept = value if key == "step" else value.to(parameter.device)
                    self.optimizers[turn].state[parameter][key] = kept
        mine: dict[str, Any] = own[self._ranks.rank]
        self.at = Position(**{**record["position"], "sums": mine["sums"]})
        restore_random_state(mine["random"], self._device)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: each.detach() for name, each in module.state_dict().items()}


def _named(title: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{title}/{name}": each for name, each in tensors.items()}


def _under(title: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{title}/"): each for name, each in tensors.items() if name.startswith(f"{title}/")}
