"""How good an epoch was, by a metric of the validation split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..components import Metric
from ..components.signature import Signature
from ..results import scoring
from .chunk_files import Array
from .job import Job
from .ranks import Ranks
from .solving import solve

if TYPE_CHECKING:
    from torch import nn


class Judge:
    """Scores what would be solved with a network as it is; the same on any number of ranks."""

    def __init__(self, metric: Metric, job: Job, ranks: Ranks) -> None:
        assert job.validate is not None
        self._metric, self._samples, self._ranks = metric, job.validate, ranks
        self._network = job.network()

    @property
    def title(self) -> str:
        """The name of its curve."""
        return f"{self._metric.name}/validate"

    @property
    def higher_is_better(self) -> bool:
        """Whether an epoch with a higher score is the better one."""
        return bool(self._metric.higher_is_better)

    def scores(self, network: nn.Module, batches: Iterable[Array]) -> dict[str, float]:
        """The metric over the batches of all ranks, averaged over thresholds where it has some, by its title."""
        live = replace(self._network, built={"module": network})
        mine: list[scoring.Tally] = []
        for at in batches:
            inputs, truth = self._samples.inputs(at.tolist()), self._samples.truth(at.tolist())
            estimate = solve(live, inputs, Signature.of(truth))
            tally = scoring.tally(self._metric, estimate, truth)
            mine = [scoring.add([*mine, {name: each.over("sample") for name, each in tally.items()}])]
        parts = [part for each in self._ranks.gather(mine) for part in each]
        return {self.title: float(scoring.finish(self._metric, scoring.add(parts)).overall.mean())}
