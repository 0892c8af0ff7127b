"""Targets of laws: what is no finite number, or along other steps than those that are estimated, is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError
from thalweg.laws import AreaMean, BoundaryValue, Integral, Robin, grid_of
from thalweg.laws._expressions import evaluated, parsed

DIMS = ("sample", "lead", "y", "x")
CONTEXT = xr.Dataset(
    {"u": (DIMS, np.arange(24.0).reshape(1, 2, 3, 4)), "n": 2.0}, {"lead": [-1, 0], "target_lead": [1, 2]}
)
GRID = grid_of(CONTEXT[["u"]].assign_coords(lead=[1, 2]), xr.Dataset())

NO_NUMBER = [
    *("1/0", "last(u) / 0", "1 + log(0 - 1)", "(0 - 1) ** 0.5", "exp(1000)", "9**9**9**9", "last(u, u)", "mean()"),
    *("minimum(last(u))", "row(1)", "last(2 * pi)", "u +", "\0", float("nan"), float("inf"), "-" * 9999 + "1"),
]


@pytest.mark.parametrize("target", NO_NUMBER, ids=lambda each: str(each)[:20].replace("\0", "null"))
def test_what_can_be_no_target_is_refused_before_there_are_data(target: Any) -> None:
    for kind in (Integral, lambda **options: BoundaryValue(dim="x", **options)):
        with pytest.raises(ValueError, match=r"is no finite number|calls `|of a number|is no expression|says nothing"):
            kind(variable="u", target=target)


def test_an_expression_is_what_it_was() -> None:
    for expression, expected in (("2 ** 3 - 1 / 4", 7.75), ("minimum(1, 2) * pi", np.pi), ("n ** 2", 4.0)):
        parsed(expression)
        assert float(evaluated(expression, CONTEXT, functions={})) == expected
    assert evaluated("last(last(u)) + 1", CONTEXT, functions={}).dims == ("sample", "y", "x")


@pytest.mark.parametrize(
    "law",
    [
        Integral(variable="u", dims=("lead", "x")),
        AreaMean(variable="u", dims=("lead", "x"), weights="equal"),
        BoundaryValue(variable="u", dim="lead", target="last-input"),
    ],
    ids=str,
)
def test_a_law_over_the_leads_has_no_target_of_the_inputs(law: Any) -> None:
    with pytest.raises(HandshakeError, match="goes over 'lead', the steps that are estimated"):
        law.targets(CONTEXT, GRID)


def test_a_target_at_each_step_of_the_inputs_is_refused() -> None:
    with pytest.raises(HandshakeError, match=r"'row\(u\)' has a value at each step of the inputs"):
        Integral(variable="u", target="row(u)").targets(CONTEXT, GRID)
    with pytest.raises(HandshakeError, match="rows over y, x of 'u' are taken of 'target_lead'"):
        Integral(variable="u", target="row(target_lead)").targets(CONTEXT, GRID)
    found = Integral(variable="u", target="row(last(u)) + target_lead").targets(CONTEXT, GRID)
    assert dict(found.sizes) == {"sample": 1, "lead": 2, "row": 1}


def test_a_robin_law_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="the law says nothing of the field"):
        Robin(variable="u", dim="x", value=0.0, slope=0.0)
