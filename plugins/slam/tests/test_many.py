"""Many graphs at once give what each gives alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from thalweg.errors import OptionError, SourceError
from thalweg_slam import optimise, optimise_many
from thalweg_slam.posegraph.synthetic import grid


@pytest.mark.parametrize("backend", ["sparse", "dense"])
@pytest.mark.parametrize("precision", ["double", "mixed-adaptive"])
@pytest.mark.parametrize(("dims", "convention"), [(2, "log"), (2, "vector"), (3, "log"), (3, "vector")])
def test_each_is_as_alone(dims: int, convention: Any, precision: str, backend: Any) -> None:
    graphs = [
        dataclasses.replace(grid(count, seed=count, dims=dims, width=4), convention=convention)
        for count in (20, 33, 41)
    ]
    alone = [optimise(each, "double") for each in graphs]
    together = optimise_many(graphs, precision, backend=backend, threads=2)
    for one, other in zip(alone, together, strict=True):
        assert other.converged and other.chi2 == pytest.approx(one.chi2, rel=1e-7)
        np.testing.assert_allclose(other.graph.translation, one.graph.translation, atol=1e-5)
        assert other.history[-1].cost == other.chi2


def test_refusals() -> None:
    assert optimise_many([]) == []
    with pytest.raises(OptionError, match="unlike dims"):
        optimise_many([grid(20, seed=0, dims=2, width=4), grid(20, seed=0, dims=3, width=4)], backend="dense")
    bad = grid(20, seed=0, dims=2, width=4)
    bad.information[3] *= -1
    for backend in ("sparse", "dense"):
        with pytest.raises(SourceError, match=r"indefinite at 1 of .*3 \(3 to 4\)"):
            optimise_many([grid(20, seed=1, dims=2, width=4), bad], backend=backend)
