"""From a training to a solver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components import Fitted, Training
from ..errors import HandshakeError, OptionError
from .arrays import arrays
from .contract import NetworkLearner
from .job import Job
from .layout import Layout
from .ranks import Alone
from .scaling import scales_of
from .training import train

if TYPE_CHECKING:
    from ..components.signature import Signature


def fit(learner: NetworkLearner, training: Training) -> Fitted:
    """Learn, here or on the workers, and return the weights as a solver. Raises `EstimateError`, `ClusterError`."""
    options = learner.check_options(training.options)
    given, wanted = training.train.given, training.wanted
    _one_shape(wanted)
    scales = scales_of(learner.scale, training.train, given, wanted)
    job = Job(
        learner, training.train, training.validate, given, wanted, scales, options, training.holds, training.folder
    )
    client = training.workers.client
    if client is not None:
        from .distributed import train_on

        weights = train_on(client, job, training.report)
    elif options.ranks > 1:
        raise OptionError(
            f"`ranks: {options.ranks}` needs as many worker processes",
            allowed="ranks: 1 on threads",
            advice=f"use `cluster: {{local: {{workers: {options.ranks}}}}}`, or cuda, slurm, kubernetes, address",
            where="train.ranks",
        )
    else:
        weights = arrays(train(job, Alone(), training.report))
    return job.solver().with_state(weights)


def _one_shape(wanted: Signature) -> None:
    dims = {each.dims for each in wanted.fields}
    if len(dims) > 1:
        raise HandshakeError(
            f"a network estimates fields of one shape, and {wanted} have {len(dims)}",
            advice="name fields with the same dims in `predict` of windows",
        )
    Layout.of(wanted)
