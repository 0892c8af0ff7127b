"""`preprocess`: the transforms, applied block by block; what they leave as it was stays in the store of `ingest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.calls import call
from ..results.run import Stage
from ..stores.attempt import Attempt
from ..stores.blocks import Source, copy, same_array
from .work import Work

if TYPE_CHECKING:
    import xarray as xr


def run(work: Work) -> Stage:
    """Apply the transforms, or find what they gave."""
    digest = work.plan.steps["preprocess"].digest

    def make(attempt: Attempt) -> dict[str, float]:
        assert work.made.ingest is not None
        url = work.made.ingest.url()
        raw = Source(url=url, token=url)
        source, data = transformed(work, raw)
        kept = [str(n) for n, each in data.data_vars.items() if same_array(each, raw.open().get(n))]
        return {"bytes": float(copy(source, attempt, work.workers, keep=tuple(kept), label="preprocess"))}

    work.made.preprocess, reused = work.commit("preprocess", digest, make)
    return work.stage("preprocess", work.made.preprocess, reused=reused)


def transformed(work: Work, raw: Source) -> tuple[Source, xr.Dataset]:
    """The source under the transforms, with what they must know of the whole of their input."""
    data, statistics = raw.open(), []
    for transform in work.plan.transforms:
        lazy = call(transform, transform.statistics, data)
        client = work.workers.client
        known = call(transform, lazy.compute, scheduler=client if client is not None else "threads")
        data = call(transform, transform.apply, data, known)
        statistics.append(known.to_dict())
    token = f"{raw.url} {work.plan.steps['preprocess'].digest}"
    return Source(url=raw.url, transforms=work.plan.transforms, statistics=tuple(statistics), token=token), data
