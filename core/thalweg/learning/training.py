"""A learner's training, put together: networks, objective, batches, validation, and the loop that drives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..components.calls import call
from ..components.context import context_of
from ..stores.files import writing
from .batches import SampleBatches
from .broken import broken
from .devices import device_of
from .drawn import Noises
from .examples import Examples
from .feeding import Feeding
from .initial import begin_with
from .job import Job
from .judging import Judge
from .loader import Loader
from .loop import Loop, LoopOptions, Report
from .network import built
from .pieces import refuse_statistics
from .randomness import aside, reproducible
from .ranks import Ranks
from .reader import reader_of
from .supervised import NETWORK, Supervised, usual_turn
from .turn import Turn
from .validation import Validation

if TYPE_CHECKING:
    import xarray as xr

    from ..samples import Samples
    from .chunk_files import Array


def train(job: Job, ranks: Ranks, report: Report) -> dict[str, Tensor]:
    """The weights that a training ends with, on every rank; only rank 0 reports.

    Raises `EstimateError` if the loss is no longer finite.
    """
    device = device_of(job.options.device)
    with reproducible(job.options.seed, device):
        # Here too, and not only around `fit`: from a worker, an exception comes back without its frames.
        return call(job.learner, lambda: _train(job, ranks, report, device))


def _train(job: Job, ranks: Ranks, report: Report, device: torch.device) -> dict[str, Tensor]:
    options = job.options
    with ExitStack() as stack:
        loader = stack.enter_context(_reading(job, job.train, device, batch=options.batch))
        batches = SampleBatches(
            loader,
            batch=options.batch,
            accumulate=options.accumulate,
            seed=options.seed,
            shuffle=options.shuffle,
            ranks=ranks,
            device=device,
        )
        modules = nn.ModuleDict()

        def make() -> nn.ModuleDict:
            modules[NETWORK] = _network(job, device)
            for name, helper in job.learner.helpers(job.given, job.wanted).items():
                modules[name] = helper.to(device)
            refuse_statistics(modules, options)
            return modules

        judge = Judge(options.judge, job, ranks) if options.judge is not None and job.validate is not None else None
        validation = None
        if job.validate is not None:
            checks = stack.enter_context(_reading(job, job.validate, device, batch=job.piece))
            judged = None if judge is None else lambda share: judge.scores(modules[NETWORK], share)
            validation = Validation(
                checks, batch=job.piece, seed=options.seed, judged=judged, ranks=ranks, device=device
            )
        loop = Loop(
            make,
            lambda modules: _turns(job, modules, device),
            batches,
            options=_loop_options(job, judge),
            ranks=ranks,
            device=device,
            folder=job.folder,
            report=report,
            broken=lambda what, positions, at: broken(job, loader.reader, positions, what=what, at=at),
            validate=validation,
        )
        return loop.run()[NETWORK]


def _network(job: Job, device: torch.device) -> nn.Module:
    wrappers = job.holding.wrappers
    examples = Examples(job)
    made = built(
        job.learner, given=job.given, wanted=job.wanted, scales=job.scales, wrappers=wrappers, examples=examples
    )
    if job.initial is not None:
        weights = {name: torch.from_numpy(np.array(each)) for name, each in job.initial.items()}
        begin_with(made, weights, source=str(job.options.initial))
    made = made.to(device)
    if job.options.compile:
        # After a sample went through: what a network finds once for a shape is then there, and need not be traced.
        feeding = Feeding(job.learner, given=job.given, wanted=job.wanted, scales=job.scales)
        with torch.no_grad(), aside(0, device), device:
            noises = Noises(job.learner, "solving", given=job.given, wanted=job.wanted)
            made.eval()(feeding.example(job.wanted), *noises.beside(noises.example(), _example(job, device)))
        made.train().compile()
    return made


def _turns(job: Job, modules: nn.ModuleDict, device: torch.device) -> Sequence[Turn]:
    usual = usual_turn(
        Supervised(modules[NETWORK], job, device), job.options, steps=job.options.epochs * job.steps_per_epoch
    )
    return job.learner.turns(modules, usual)


def _loop_options(job: Job, judge: Judge | None) -> LoopOptions:
    options = job.options
    return LoopOptions(
        epochs=options.epochs,
        seed=options.seed,
        scaled=options.precision == "fp16",
        ema={NETWORK: options.ema} if options.ema else {},
        choose=options.choose,
        monitor=None if judge is None else judge.title,
        higher_is_better=judge is not None and judge.higher_is_better,
        patience=options.patience,
        validate_every=options.validate_every,
        checkpoint_steps=options.checkpoint_steps,
    )


@contextmanager
def _reading(job: Job, samples: Samples, device: torch.device, *, batch: int) -> Iterator[Loader]:
    options = job.options
    kept = job.folder if options.keep_decoded and options.epochs > 1 else None
    if kept is not None:
        with writing(str(kept)):
            kept.mkdir(parents=True, exist_ok=True)
    reader = reader_of(samples, batch=batch, threads=options.readers, folder=kept, sharing=options.ranks)
    context = _Context(samples, oracle=any(hold.oracle for hold in job.holds)) if job.holding else None
    try:
        yield Loader(reader, largest=job.piece, pinned=device.type == "cuda", context=context, known=job.holding.known)
    finally:
        reader.close()


def _example(job: Job, device: torch.device) -> dict[str, Tensor] | None:
    """What laws in the network know of one sample; None, if there are none."""
    if not job.holding.wrappers:
        return None
    inputs, truth = job.train.inputs([0]), job.train.truth([0])
    known = job.holding.known(context_of(inputs, job.wanted, truth))
    return {name: torch.from_numpy(each).to(device) for name, each in known.items()}


class _Context:
    """What laws may know of a batch, from the arrays that were read."""

    def __init__(self, samples: Samples, *, oracle: bool) -> None:
        self.samples, self.oracle = samples, oracle

    def __call__(self, at: list[int], inputs: Mapping[str, Array], truth: Mapping[str, Array]) -> xr.Dataset:
        known = self.samples.filled(at, truth, side="truth") if self.oracle else None
        return context_of(self.samples.filled(at, inputs, side="inputs"), self.samples.wanted, known)
