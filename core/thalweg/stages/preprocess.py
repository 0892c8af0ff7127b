"""`preprocess`: the transforms, applied block by block; what they leave as it was stays in the store of `ingest`.

Fields and the index of their samples are two stores, so that other samples of the same fields read nothing again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.calls import call
from ..recipes.preparation import Preparation
from ..results.run import Stage
from ..samples.placed import place
from ..samples.prepared import open_fields
from ..stores.attempt import Attempt
from ..stores.blocks import Source, committed, copy, same_array
from .work import Work

if TYPE_CHECKING:
    import xarray as xr


def run(work: Work) -> Stage:
    """Apply the transforms, or find what they gave."""
    digest = work.plan.steps["preprocess"].digest

    def make(attempt: Attempt) -> dict[str, float]:
        assert work.made.ingest is not None
        url = work.made.ingest.url()
        raw = committed(url)
        data, preparation = transformed(work, raw)
        source = Source(
            url=url,
            transforms=preparation.transforms,
            statistics=preparation.write(attempt.url("preparation")),
            token=f"{url} {digest} {attempt.folder}",
        )
        kept = [str(n) for n, each in data.data_vars.items() if same_array(each, raw.open().get(n))]
        return {"bytes": float(copy(source, attempt, work.workers, keep=tuple(kept), label="preprocess"))}

    work.made.preprocess, reused = work.commit("preprocess", digest, make)
    work.made.index, there = work.commit("index", work.plan.places.digest, lambda attempt: _index(work, attempt))
    return work.stage("preprocess", work.made.preprocess, reused=reused and there)


def transformed(work: Work, raw: Source) -> tuple[xr.Dataset, Preparation]:
    """The data under the transforms of fields, lazily, and what these know of the whole of their input."""
    data, statistics = raw.open(), []
    for transform in work.plan.field_transforms:
        lazy = call(transform, transform.statistics, data)
        client = work.workers.client
        known = call(transform, lazy.compute, scheduler=client if client is not None else "threads")
        data = call(transform, transform.apply, data, known)
        statistics.append(known)
    return data, Preparation(work.plan.field_transforms, tuple(statistics))


def _index(work: Work, attempt: Attempt) -> dict[str, float]:
    """Write where samples lie; reads no field."""
    assert work.made.ingest is not None
    assert work.made.preprocess is not None
    fields = data = open_fields(work.made.ingest.url(), work.made.preprocess.url(), dask=True)
    for transform in work.plan.index_transforms:
        known = call(transform, call(transform, transform.statistics, data).compute)
        data = call(transform, transform.apply, data, known)
    place(attempt.url(), fields, data)
    return {}
