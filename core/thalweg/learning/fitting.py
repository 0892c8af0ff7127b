"""From a training to a solver."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..components import Fitted, Training
from ..errors import OptionError
from .arrays import arrays
from .contract import Network, NetworkLearner, network_of
from .initial import weights_at
from .job import Job
from .layout import Layout
from .loop import Report
from .planning import checked
from .ranks import Alone, Ranks
from .scaling import scales_of
from .training import train

if TYPE_CHECKING:
    import numpy as np


def fit(learner: NetworkLearner, training: Training) -> Fitted:
    """Learn, here or on the workers, and return the network as a solver. Raises `EstimateError`, `ClusterError`."""
    learner = learner.with_parts({name: network_of(each, name=name) for name, each in training.parts.items()})
    options = learner.check_options(training.options)
    given, wanted = training.train.given, training.wanted
    Layout.of_output(wanted)
    if options.accumulate * options.ranks > 1:
        # Whoever calls it without a plan is not to learn something else.
        checked(learner, given, wanted, options)
    scales = scales_of(learner.scale, training.train, given, wanted)
    if learner.assembled:
        gives = learner.gives(given, wanted)
        return Network(
            learner, given, wanted, gives, scales, {}, batch=options.batch, device=options.device, seed=options.seed
        ).solver()
    initial = None if options.initial is None else arrays(weights_at(options.initial))
    job = Job(
        learner,
        training.train,
        training.validate,
        given,
        wanted,
        scales,
        options,
        training.holds,
        training.folder,
        initial,
    )
    client = training.workers.client
    if client is not None:
        from .distributed import Group, run_on

        group = Group(
            partial(_trained, job),
            ranks=options.ranks,
            folder=job.folder,
            device=options.device,
            timeout=options.timeout,
            restarts=options.restarts,
        )
        weights = run_on(client, group, training.report)
    elif options.ranks > 1:
        raise OptionError(
            f"`ranks: {options.ranks}` needs as many worker processes",
            allowed="ranks: 1 on threads",
            advice=f"use `cluster: {{local: {{workers: {options.ranks}}}}}`, or cuda, slurm, kubernetes, address",
            where="train.ranks",
        )
    else:
        weights = _trained(job, Alone(), training.report)
    return job.network(weights).solver()


def _trained(job: Job, ranks: Ranks, report: Report) -> dict[str, np.ndarray[Any, Any]]:
    """The weights of a training, as a file holds them."""
    return arrays(train(job, ranks, report))
