"""`ingest`: the source's variables, copied block by block into a store that later stages read."""

from __future__ import annotations

from ..results.run import Stage
from ..stores.attempt import Attempt
from ..stores.blocks import Source, copy
from .work import Work


def run(work: Work) -> Stage:
    """Copy the source, or find the copy."""
    digest = work.plan.steps["ingest"].digest
    source = Source(dataset=work.plan.dataset, token=digest)

    def make(attempt: Attempt) -> dict[str, float]:
        return {"bytes": float(copy(source, attempt, work.workers, label="ingest"))}

    work.made.ingest, reused = work.commit("ingest", digest, make, options=lambda: work.plan.source_record)
    return work.stage("ingest", work.made.ingest, reused=reused)
