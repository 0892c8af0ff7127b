"""The loop: turns over batches, epoch by epoch, from wherever the last checkpoint is."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from .batch import Batch, Batches, Share
from .chunk_files import Array
from .pieces import refuse_pieces
from .ranks import Ranks
from .state import Position, State, Weights
from .turn import Turn, title

log = logging.getLogger("thalweg")

PROGRESS = 60.0
"""Seconds between lines about an epoch that takes longer."""

Report = Callable[[Mapping[str, float], int], None]
Broken = Callable[[str, Array, Position], Exception]
"""The error of a loss or gradient that is not finite: what it turned, of which samples, when."""
Seen = list[tuple[dict[str, Tensor], Array, float]]
"""Terms, positions and weight of each micro-batch."""


@dataclass(frozen=True)
class LoopOptions:
    """How long a loop runs, and which weights it ends with."""

    epochs: int
    seed: int = 0
    scaled: bool = False
    """Whether losses are scaled, so that gradients in half precision do not vanish."""
    ema: Mapping[str, float] = field(default_factory=dict)
    """Modules of which a running mean is kept, with its decay per step."""
    choose: Literal["best", "last"] = "best"
    monitor: str | None = None
    """The number of a validation by which epochs are judged; the loss of the first turn if None."""
    higher_is_better: bool = False
    patience: int | None = None
    validate_every: int = 1
    checkpoint_steps: int | None = None


@dataclass(frozen=True)
class Stopped:
    """Where a training stopped: after how many epochs, whether before the last, and which was best (from 0)."""

    epochs: int
    early: bool
    best_epoch: int | None
    best: float | None


class Loop:
    """Drives turns over batches. Knows no learner, no samples and no metric."""

    def __init__(
        self,
        make: Callable[[], nn.ModuleDict],
        turns: Callable[[nn.ModuleDict], Sequence[Turn]],
        batches: Batches,
        *,
        options: LoopOptions,
        ranks: Ranks,
        device: torch.device,
        folder: Path,
        report: Report,
        broken: Broken,
        validate: Callable[[Sequence[Turn], int], Mapping[str, float]] | None = None,
    ) -> None:
        """`make` is called under the seed; `validate` is given the turns and the step.

        Raises `OptionError` for a loss over the batch that is cut into micro-batches, `CorruptError` for a checkpoint
        of another architecture.
        """
        self.options, self.batches, self.ranks = options, batches, ranks
        self._report, self._broken, self._validate = report, broken, validate
        self.state = State(
            make, turns, seed=options.seed, ema=options.ema, scaled=options.scaled, ranks=ranks, device=device,
            folder=folder,
        )  # fmt: skip
        self.turns = self.state.turns
        refuse_pieces(self.turns, accumulate=batches.accumulate)
        self.monitor = options.monitor or title(self.turns, self.turns[0], "loss/validate")

    @property
    def weights(self) -> Weights:
        """Those that the training ends with, by module."""
        return self.state.best if self.options.choose == "best" and self.state.best else self.state.current

    @property
    def stopped(self) -> Stopped:
        """Where it stopped."""
        at = self.state.at
        best = None if at.best is None else at.best_epoch
        return Stopped(at.epoch, at.epoch < self.options.epochs, best, self._score(at.best))

    def run(self) -> Weights:
        """Learn to the end. Raises what `broken` makes of a loss that is not finite."""
        at = self.state.at
        for epoch, numbers in enumerate(at.curves if self.ranks.rank == 0 else ()):
            # Whoever listens now did not hear it before the training was interrupted.
            self._report(numbers, epoch)
        if at.finished:
            return self.weights
        self._parallel = {}
        for turn in self.turns:
            with self.state.learning(turn):
                self._parallel[turn.name] = self.ranks.parallel(turn.objective)
        while not at.finished:
            self._epoch()
        self._tell_the_end()
        return self.weights

    def _epoch(self) -> None:
        options, at, start = self.options, self.state.at, time.perf_counter()
        said, begun = start, at.batch
        for turn in self.turns:
            turn.objective.train()
        for share in self.batches.epoch(at.epoch, at.batch):
            self._step(share)
            if options.checkpoint_steps and at.step % options.checkpoint_steps == 0 and at.batch < self.batches.steps:
                self.state.save()
            if (now := time.perf_counter()) - said > PROGRESS and self.ranks.rank == 0:
                said = now
                left = (self.batches.steps - at.batch) * (now - start) / (at.batch - begun) / 60
                log.info(
                    "epoch %d/%d, step %d/%d: %s, %.1f min left of it",
                    at.epoch + 1, options.epochs, at.batch, self.batches.steps, _shown(_means(at.sums)), left,
                )  # fmt: skip
        numbers = self._curves()
        due = (at.epoch + 1) % options.validate_every == 0 or at.epoch + 1 == options.epochs
        cost = None
        if self._validate is not None and due:
            with self.state.averaged(), torch.no_grad():
                for turn in self.turns:
                    turn.objective.eval()
                validated = self._validate(self.turns, at.step)
            numbers |= validated
            cost = self._score(validated[self.monitor])
        self._end(numbers, cost, time.perf_counter() - start)

    def _score(self, value: float | None) -> float | None:
        """A value with the sign for which less is better, and back."""
        return -value if value is not None and self.options.higher_is_better else value

    def _curves(self) -> dict[str, float]:
        """The numbers of an epoch: means over the samples of all ranks, learning rates, speed."""
        at = self.state.at
        names = sorted(at.sums)
        totals = self.ranks.total(*(each for name in names for each in at.sums[name]))
        found = dict(zip(names, zip(totals[::2], totals[1::2], strict=True), strict=True))
        numbers = _means({name: found[name] for name in at.sums})
        numbers |= {title(self.turns, turn, "learning_rate"): turn.rate(at.step - 1) for turn in self.turns}
        return {**numbers, **self.batches.speed()}

    def _end(self, numbers: dict[str, float], cost: float | None, seconds: float) -> None:
        """Judge an epoch by its cost, if it was validated; save, report."""
        at, options = self.state.at, self.options
        if cost is not None and math.isfinite(cost) and (at.best is None or cost < at.best):
            at.best, at.best_epoch = cost, at.epoch
            if self.ranks.rank == 0 and options.choose == "best":
                self.state.remember()
        at.epoch, at.batch, at.sums = at.epoch + 1, 0, {}
        tired = options.patience is not None and cost is not None and at.epoch - 1 - at.best_epoch >= options.patience
        at.finished = tired or at.epoch >= options.epochs
        at.curves.append(numbers)
        self.state.save()
        if self.ranks.rank == 0:
            self._report(numbers, at.epoch - 1)
            left = "" if at.finished else f", {(options.epochs - at.epoch) * seconds / 60:.1f} min left"
            log.info("epoch %d/%d: %s, %.1f s%s", at.epoch, options.epochs, _shown(numbers), seconds, left)

    def _tell_the_end(self) -> None:
        end = self.stopped
        if self.ranks.rank == 0 and end.best_epoch is not None:
            kept = "its weights are kept" if self.options.choose == "best" else "the last weights are kept"
            log.info(
                "%s after epoch %d of %d; epoch %d was best (%s %.4g), %s",
                "early stopping" if end.early else "training ends",
                end.epochs, self.options.epochs, end.best_epoch + 1, self.monitor, end.best, kept,
            )  # fmt: skip

    def _step(self, share: Share) -> None:
        at = self.state.at
        due = [turn for turn in self.turns if turn.due(at.step)]
        batches: Iterable[Batch] = share
        if len(due) != 1:
            # The loader's memory is used again: what is needed twice is copied, but for the last of a share.
            batches = list(share) if len(share) == 1 else [each.copy() for each in share]
        for turn in due:
            with self.state.learning(turn):
                self._learn(turn, batches, count=len(share))
        at.step, at.batch = at.step + 1, at.batch + 1
        for name, mean in self.state.means.items():
            mean.update(self.state.modules[name], at.step)

    def _learn(self, turn: Turn, batches: Iterable[Batch], *, count: int) -> None:
        """One step of one optimizer."""
        at = self.state.at
        optimizer, scaler = self.state.optimizers[turn.name], self.state.scalers[turn.name]
        parallel = self._parallel[turn.name]
        for group in optimizer.param_groups:
            group["lr"] = turn.rate(at.step)
        seen: Seen = []
        for number, batch in enumerate(batches):
            with self.ranks.silent(parallel) if number + 1 < count else nullcontext():
                terms = parallel(batch)
                # A loss over the batch is that of the whole step on each rank.
                weight = batch.weight if turn.objective.over == "sample" else 1.0
                scaler.scale(terms["loss"] * weight).backward()
            seen.append(({name: each.detach() for name, each in terms.items()}, batch.positions, batch.weight))
        self._add(turn, seen)
        if turn.clip is not None:
            scaler.unscale_(optimizer)
            norm = float(nn.utils.clip_grad_norm_([each for _, each in self.state.learned[turn.name]], turn.clip))
            # In half precision a gradient may overflow; the scaler leaves that step out, and scales less.
            if not math.isfinite(norm) and not scaler.is_enabled():
                positions = np.concatenate([each for _, each, _ in seen])
                raise self._broken(f"the gradient turned {norm}", positions, at)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def _add(self, turn: Turn, seen: Seen) -> None:
        """Add the terms of a step to the sums of the epoch."""
        sums = self.state.at.sums
        for terms, positions, weight in seen:
            for name, term in terms.items():
                value = float(term)
                if not math.isfinite(value):
                    raise self._broken(f"the {name} turned {value}", positions, self.state.at)
                sum_and_count = sums.setdefault(title(self.turns, turn, f"{name}/train"), [0.0, 0])
                if weight:
                    sum_and_count[0] += value * len(positions)
                    sum_and_count[1] += len(positions)


def _means(sums: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: total / count for name, (total, count) in sums.items() if count}


def _shown(numbers: Mapping[str, float]) -> str:
    errors = {name: each for name, each in numbers.items() if name.endswith(("/train", "/validate"))}
    return ", ".join(f"{name} {each:.4g}" for name, each in errors.items())
