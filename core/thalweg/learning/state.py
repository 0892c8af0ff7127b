"""All that the next step of a training depends on: saved whole, taken up whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CorruptError
from . import checkpoint
from .job import Job
from .network import network_of
from .randomness import random_state, restore_random_state, seed_all
from .ranks import Ranks


@dataclass
class Position:
    """What of a training's state is plain numbers."""

    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that were learned from."""
    step: int = 0
    loss: float = 0.0
    """Sum over the samples of this epoch so far, on this rank."""
    samples: int = 0
    best: float | None = None
    best_epoch: int = -1
    finished: bool = False
    curves: list[dict[str, float]] = field(default_factory=list)
    """What was reported, by epoch."""


class RunningMean:
    """Exponential moving average of a network's weights and buffers; the decay grows as (1 + n) / (10 + n)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: each.detach().clone() for name, each in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, each in network.state_dict().items():
            if each.is_floating_point() or each.is_complex():
                self.weights[name].lerp_(each.detach(), 1 - decay)
            else:
                self.weights[name].copy_(each)


class State:
    """Network, optimizer, running mean, best weights, generators, and the position; from the last checkpoint, if any.

    Raises `CorruptError` for a checkpoint of another architecture.
    """

    def __init__(self, job: Job, ranks: Ranks, device: torch.device) -> None:
        self._job, self._ranks, self._device = job, ranks, device
        options = job.options
        seed_all(options.seed)
        self.network = network_of(
            job.learner, given=job.given, wanted=job.wanted, scales=job.scales, holds=job.holds
        ).to(device)
        self.optimizer = _optimizer(job, self.network)
        self.scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")
        self.mean = RunningMean(self.network, options.ema) if options.ema else None
        self.best: dict[str, Tensor] = {}
        self.at = Position()
        # Ranks share the initial weights, and draw on from there each for itself.
        seed_all(options.seed + 1 + ranks.rank)
        self._resume()

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights to solve with, if the training ended here."""
        if self._job.options.choose == "best" and self.best:
            return self.best
        return self.current

    @property
    def current(self) -> dict[str, Tensor]:
        """The weights of this step: the running mean, if there is one."""
        return self.mean.weights if self.mean else {n: each.detach() for n, each in self.network.state_dict().items()}

    def remember(self) -> None:
        """Keep these weights as the best so far."""
        self.best = {name: each.detach().to("cpu", copy=True) for name, each in self.current.items()}

    def save(self) -> None:
        """Write a checkpoint; all ranks call it."""
        own = {"random": random_state(self._device), "loss": self.at.loss, "samples": self.at.samples}
        everyone = self._ranks.gather(own)
        if self._ranks.rank == 0:
            tensors = _named("network", self.network.state_dict()) | _named("best", self.best)
            if self.mean:
                tensors |= _named("mean", self.mean.weights)
            for name, parameter in self.network.named_parameters():
                # A parameter that had no gradient yet has no state.
                tensors |= _named(f"optimizer/{name}", self.optimizer.state.get(parameter, {}))
            record = {"position": asdict(self.at), "ranks": everyone, "scaler": self.scaler.state_dict()}
            checkpoint.save(self._job.folder, tensors, record)
        # Nobody goes on before what the others may have to go back to is there.
        self._ranks.gather(None)

    def _resume(self) -> None:
        found = checkpoint.load(self._job.folder)
        if found is None:
            return
        tensors, record = found
        file = self._job.folder / checkpoint.NAME
        checkpoint.load_weights(self.network, _under("network", tensors), source=str(file))
        own = record["ranks"]
        if len(own) != self._ranks.count or bool(self.mean) != bool(_under("mean", tensors)):
            raise CorruptError(
                f"{file} is of a training with other options", advice=f"delete {file.parent}, and run again"
            )
        if self.mean:
            for name, each in _under("mean", tensors).items():
                self.mean.weights[name].copy_(each)
        self.best = _under("best", tensors)
        for name, parameter in self.network.named_parameters():
            for key, value in _under(f"optimizer/{name}", tensors).items():
                if "/" not in key:
                    # torch keeps the count of steps on the CPU.
                    self.optimizer.state[parameter][key] = value if key == "step" else value.to(parameter.device)
        self.scaler.load_state_dict(record["scaler"])
        mine: dict[str, Any] = own[self._ranks.rank]
        self.at = Position(**{**record["position"], "loss": mine["loss"], "samples": mine["samples"]})
        restore_random_state(mine["random"], self._device)


def _named(title: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{title}/{name}": each for name, each in tensors.items()}


def _under(title: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{title}/"): each for name, each in tensors.items() if name.startswith(f"{title}/")}


def _optimizer(job: Job, network: nn.Module) -> torch.optim.Optimizer:
    """Vectors (biases, norms), and tables that are called a bias, do not decay."""
    options = job.options
    learned = [(name, each) for name, each in network.named_parameters() if each.requires_grad]
    spared = [each for name, each in learned if each.ndim < 2 or "bias" in name]
    spare = {id(each) for each in spared}
    groups: list[dict[str, Any]] = [
        {"params": [each for _, each in learned if id(each) not in spare]},
        {"params": spared, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(
        [each for each in groups if each["params"]], lr=options.learning_rate, weight_decay=options.weight_decay
    )
