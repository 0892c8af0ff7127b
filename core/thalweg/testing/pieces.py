"""Whether what a learner minimises is a mean over samples: then its batch may be cut, into micro-batches or over ranks.

Tried in double precision where the network can be computed so, without dropout, after any scheduled sampling.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..learning import TorchLearner
from .report import Check, ensure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..learning.supervised import Supervised

SIZES = (2, 3)
"""Samples of the pieces."""
LATE = 10**9
"""A step after all schedules."""


def gradient_is_the_mean_of_its_pieces(case: Any) -> None:
    """The gradient of a batch is the weighted mean of those of any pieces of it, unless the learner says otherwise.

    A network with BatchNorm is known as such: the plan refuses to cut its batch.
    """
    from ..learning.pieces import statistics_of

    if not isinstance(case.method, TorchLearner) or case.method.over == "batch" or case.method.assembled:
        return
    objective = _objective(case)
    if statistics_of(objective.network):
        return
    count = sum(SIZES)
    parts = [_fed(case, objective, slice(sum(SIZES[:i]), sum(SIZES[: i + 1]))) for i in range(len(SIZES))]
    whole = _fed(case, objective, slice(0, count))
    together, tolerance = _precise(objective, whole)
    mean = {name: 0 * each for name, each in together.items()}
    for part, size in zip(parts, SIZES, strict=True):
        for name, each in _gradient(objective, part, seed=0).items():
            mean[name] = mean[name] + each * size / count
    gap = _gap(together, mean)
    if gap > tolerance and _gap(together, _gradient(objective, whole, seed=1)) > tolerance:
        # Its loss is drawn, anew for each batch: whole and pieces are of other draws.
        return
    ensure(
        gap <= tolerance,
        f"the gradient of {count} samples is not the mean of those of {' and '.join(map(str, SIZES))}: they differ by "
        f'{gap:.3g} of the largest; say `over = "batch"`, so that the plan refuses to cut its batch',
    )


def _objective(case: Any) -> Supervised:
    import torch

    from ..components.method import planned
    from ..learning.job import Job
    from ..learning.network import built
    from ..learning.scaling import scales_of
    from ..learning.supervised import Supervised
    from ..samples import Samples

    train = Samples.of(case.data, "train")
    given, wanted = train.given, train.wanted
    scales = scales_of(case.method.scale, train, given, wanted)
    options = case.method.check_options({})
    # Its phases with the weights that they begin with.
    learner: Any = planned(case.method, given, wanted, {})[0]
    job = Job(learner, train, None, given, wanted, scales, options, (), Path())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = built(learner, given=given, wanted=wanted, scales=scales, wrappers={})
    for each in network.modules():
        if isinstance(each, torch.nn.modules.dropout._DropoutNd):
            each.p = 0.0
    return Supervised(network.train(), job, torch.device("cpu"))


def _fed(case: Any, objective: Supervised, at: slice) -> Any:
    """Scaled inputs and truth of some samples, and their noise."""
    import torch

    from ..components import Draw
    from ..learning import Batch
    from ..samples import Samples

    train = Samples.of(case.data, "train")
    inputs, truth = (
        {
            str(n): torch.from_numpy(each.values.copy())
            for n, each in data.data_vars.items()
            if each.dtype.kind in "fiub"
        }
        for data in (train.inputs(at), train.truth(at))
    )
    draw = Draw(0, tuple(map(str, train.numbers[at].tolist())))
    batch = Batch(train.numbers[at], inputs, truth, draw=draw)
    return *objective.scaled(batch), objective.noise(batch)


def _precise(objective: Supervised, fed: Any) -> tuple[dict[str, Tensor], float]:
    """The gradient in double precision, or as the network is, and what may be rounding."""
    objective.network.double()
    try:
        return _gradient(objective, fed, seed=0), 1e-6
    except RuntimeError:
        # It makes numbers of single precision itself.
        objective.network.float()
        return _gradient(objective, fed, seed=0), 1e-3


def _gradient(objective: Supervised, fed: Any, *, seed: int) -> dict[str, Tensor]:
    import torch

    kind = _kind(objective.network)
    inputs, truth, noise = (_cast(each, kind) for each in fed)
    learned = {name: each for name, each in objective.network.named_parameters() if each.requires_grad}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss = objective.learned_from(inputs, truth, step=LATE, noise=noise)[1]
    found = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
    return {name: each for name, each in zip(learned, found, strict=True) if each is not None}


def _kind(network: nn.Module) -> Any:
    import torch

    return next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)


def _cast(fed: Any, kind: Any) -> Any:
    return {name: each.to(kind) for name, each in fed.items()} if isinstance(fed, dict) else fed.to(kind)


def _gap(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference, as a share of the largest gradient."""
    largest = max((float(each.abs().max()) for each in one.values()), default=0.0)
    return max((float((one[name] - other[name]).abs().max()) for name in one), default=0.0) / (largest or 1.0)


CHECKS: tuple[Check, ...] = (gradient_is_the_mean_of_its_pieces,)
