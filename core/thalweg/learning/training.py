"""The loop: epochs of batches, from wherever the last checkpoint is."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..components.calls import call
from ..results.estimates import context_of
from .broken import broken
from .chunk_files import Array
from .feeding import Feeding
from .job import Job, Report
from .judging import Judge
from .loader import Batch, Loader
from .network import device_of
from .objective import Objective
from .order import batches, pieces
from .randomness import aside, reproducible
from .ranks import Ranks
from .reader import reader_of
from .state import State

if TYPE_CHECKING:
    import xarray as xr

    from ..samples import Samples

log = logging.getLogger("thalweg")


def train(job: Job, ranks: Ranks, report: Report) -> dict[str, Tensor]:
    """The weights that a training ends with, on every rank; only rank 0 reports.

    Raises `EstimateError` if the loss is no longer finite.
    """
    device = device_of(job.options.device)
    with reproducible(job.options.seed, device):
        # Here too, and not only around `fit`: from a worker, an exception comes back without its frames.
        return call(job.learner, _Trainer(job, ranks, report, device).run)


class _Trainer:
    def __init__(self, job: Job, ranks: Ranks, report: Report, device: torch.device) -> None:
        self.job, self.ranks, self.report, self.device = job, ranks, report, device
        self.options = job.options
        self.state = State(job, ranks, device)
        if self.options.compile:
            self._compile()
        self.objective = Objective(self.state.network, job, device)
        metric = job.options.judge
        self.judge = Judge(metric, job, ranks) if metric is not None and job.validate is not None else None

    def _compile(self) -> None:
        """After a sample went through: what a network finds once for a shape is then there, and need not be traced."""
        network, job = self.state.network, self.job
        feeding = Feeding(job.learner, given=job.given, wanted=job.wanted, scales=job.scales)
        with torch.no_grad(), aside(0, self.device), self.device:
            network.eval()(feeding.example(job.wanted))
        network.train().compile()

    def run(self) -> dict[str, Tensor]:
        at = self.state.at
        if at.curves and self.ranks.rank == 0:
            # Whoever listens may not have heard it before the training was interrupted.
            self.report(at.curves[-1], len(at.curves) - 1)
        if at.finished:
            return self.state.weights
        self.parallel = self.ranks.parallel(self.objective)
        with self._reading(self.job.train, self.options.batch) as self.loader:
            if self.job.validate is None:
                return self._epochs(None)
            with self._reading(self.job.validate, self.job.piece) as checks:
                return self._epochs(checks)

    @contextmanager
    def _reading(self, samples: Samples, batch: int) -> Iterator[Loader]:
        options = self.options
        kept = self.job.folder if options.keep_decoded and options.epochs > 1 else None
        reader = reader_of(samples, batch=batch, threads=options.readers, folder=kept, sharing=self.ranks.count)
        laws = any(hold.site == "loss" for hold in self.job.holds)
        context = _Context(samples, oracle=any(hold.oracle for hold in self.job.holds)) if laws else None
        try:
            yield Loader(reader, largest=self.job.piece, pinned=self.device.type == "cuda", context=context)
        finally:
            reader.close()

    def _epochs(self, checks: Loader | None) -> dict[str, Tensor]:
        while not self.state.at.finished:
            self._epoch(checks)
        return self.state.weights

    def _epoch(self, checks: Loader | None) -> None:
        options, at, start = self.options, self.state.at, time.perf_counter()
        reader = self.loader.reader
        order = batches(reader, batch=options.batch, seed=options.seed, epoch=at.epoch, shuffle=options.shuffle)
        rank, count = self.ranks.rank, self.ranks.count
        shares = [pieces(each, rank=rank, ranks=count, accumulate=options.accumulate) for each in order[at.batch :]]
        self.loader.reset()
        self.objective.train()
        coming = self.loader([part for share in shares for part, _ in share])
        for share in shares:
            self._step(coming, [weight for _, weight in share])
            if options.checkpoint_steps and at.step % options.checkpoint_steps == 0 and at.batch < len(order):
                self.state.save()
        rate = options.learning_rate_at(at.step - 1, steps=options.epochs * self.job.steps_per_epoch)
        loss, samples, speed = self.ranks.total(at.loss, at.samples, self.loader.megabytes_per_second)
        numbers = {
            "loss/train": loss / samples,
            "learning_rate": rate,
            "loader/megabytes_per_second": speed,
            "loader/stall_share": self.loader.stall_share,
        }
        due = (at.epoch + 1) % options.validate_every == 0 or at.epoch + 1 == options.epochs
        cost = None
        if checks is not None and due:
            validated, cost = self._validate(checks)
            numbers |= validated
        self._end(numbers, cost, time.perf_counter() - start)

    def _end(self, numbers: dict[str, float], cost: float | None, seconds: float) -> None:
        """Judge an epoch by its cost, if it was validated; save, report."""
        at, options = self.state.at, self.options
        if cost is not None and math.isfinite(cost) and (at.best is None or cost < at.best):
            at.best, at.best_epoch = cost, at.epoch
            if self.ranks.rank == 0 and options.choose == "best":
                self.state.remember()
        at.epoch, at.batch, at.loss, at.samples = at.epoch + 1, 0, 0.0, 0
        tired = options.patience is not None and cost is not None and at.epoch - 1 - at.best_epoch >= options.patience
        at.finished = tired or at.epoch >= options.epochs
        at.curves.append(numbers)
        self.state.save()
        if self.ranks.rank == 0:
            self.report(numbers, at.epoch - 1)
            left = "" if at.finished else f", {(options.epochs - at.epoch) * seconds / 60:.1f} min left"
            errors = {name: each for name, each in numbers.items() if name.endswith(("/train", "/validate"))}
            shown = ", ".join(f"{name} {each:.4g}" for name, each in errors.items())
            log.info("epoch %d/%d: %s, %.1f s%s", at.epoch, options.epochs, shown, seconds, left)

    def _step(self, coming: Iterator[Batch], weights: list[float]) -> None:
        state, options, at = self.state, self.options, self.state.at
        rate = options.learning_rate_at(at.step, steps=options.epochs * self.job.steps_per_epoch)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        losses: list[tuple[Tensor, Array, float]] = []
        for number, weight in enumerate(weights):
            batch = next(coming)
            more = number + 1 < len(weights)
            with self.ranks.silent(self.parallel) if more else nullcontext():
                loss = self.parallel(*self._sides(batch), batch.context, at.step)
                state.scaler.scale(loss * weight).backward()
            losses.append((loss.detach(), batch.positions, weight))
        for loss, positions, weight in losses:
            value = float(loss)
            if not math.isfinite(value):
                raise self._broken(f"the loss turned {value}", positions)
            if weight:
                at.loss, at.samples = at.loss + value * len(positions), at.samples + len(positions)
        if options.clip is not None:
            state.scaler.unscale_(state.optimizer)
            norm = float(torch.nn.utils.clip_grad_norm_(state.network.parameters(), options.clip))
            # In half precision a gradient may overflow; the scaler leaves that step out, and scales less.
            if not math.isfinite(norm) and not state.scaler.is_enabled():
                raise self._broken(f"the gradient turned {norm}", np.concatenate([each for _, each, _ in losses]))
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        at.step, at.batch = at.step + 1, at.batch + 1
        if state.mean:
            state.mean.update(state.network, at.step)

    @torch.no_grad()
    def _validate(self, checks: Loader) -> tuple[dict[str, float], float]:
        """The mean loss over the samples, and what judges, by the weights that would be solved with; and the cost.

        The draws are the same in each epoch.
        """
        every = batches(checks.reader, batch=self.job.piece, seed=0, epoch=0, shuffle="none")
        share = every[self.ranks.rank :: self.ranks.count]
        learned = None
        if self.state.mean:
            learned = {name: each.clone() for name, each in self.state.network.state_dict().items()}
            self.state.network.load_state_dict(self.state.mean.weights)
        self.objective.eval()
        total, count = 0.0, 0
        checks.reset()
        with aside(self.options.seed, self.device):
            for batch in checks(share):
                total += float(self.objective(*self._sides(batch), batch.context, self.state.at.step)) * len(
                    batch.positions
                )
                count += len(batch.positions)
            score = self.judge.score(self.state.network, share) if self.judge else None
        if learned is not None:
            self.state.network.load_state_dict(learned)
        total, samples = self.ranks.total(total, count)
        numbers = {"loss/validate": total / samples}
        if self.judge is None or score is None:
            return numbers, numbers["loss/validate"]
        return numbers | {f"{self.judge.name}/validate": score}, self.judge.cost(score)

    def _sides(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        inputs, truth = (
            {
                name: torch.from_numpy(array).to(self.device)
                for name, array in side.items()
                if array.dtype.kind in "fiub"
            }
            for side in (batch.inputs, batch.truth)
        )
        return inputs, truth

    def _broken(self, what: str, positions: Array) -> Exception:
        return broken(self.job, self.loader.reader, positions, what=what, at=self.state.at)


class _Context:
    """What laws may know of a batch."""

    def __init__(self, samples: Samples, *, oracle: bool) -> None:
        self.samples, self.oracle = samples, oracle

    def __call__(self, at: list[int]) -> xr.Dataset:
        truth = self.samples.truth(at) if self.oracle else None
        return context_of(self.samples.inputs(at), self.samples.wanted, truth)
