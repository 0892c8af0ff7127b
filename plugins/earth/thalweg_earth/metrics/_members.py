"""Ensembles beside the truth: members along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, Signature, chosen, pair

Estimator = Annotated[
    Literal["ecdf", "fair"],
    Field(
        description="estimator of the members' spread: of the members as they are (ecdf), or of the distribution "
        "that they are drawn from (fair)"
    ),
]


def refuse_one(estimator: str, members: int, *, score: str) -> None:
    """Raise `HandshakeError` for the fair score of one member."""
    if estimator == "fair" and members < 2:
        raise HandshakeError(
            f"an ensemble of one member has no fair {score}",
            allowed="two members or more",
            advice="draw more members, or set `estimator: ecdf`",
        )


def ensemble(
    estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, least: int, metric: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """The members of a variable, last, and its truth. Raises `HandshakeError` for fewer than `least` members."""
    left, right = pair(estimate, truth, variable=variable, members=True)
    _enough(left.sizes.get("member", 1), str(right.name), least=least, metric=metric)
    if "member" not in left.dims:
        left = left.expand_dims("member", axis=-1)
    left = left.transpose(*right.dims, "member")
    return (left if left.chunks is None else left.chunk(member=-1)), right


def check_members(given: Signature, *, variable: str, least: int, metric: str) -> None:
    """Raise `OptionError` if it is not clear which field to score, `HandshakeError` for fewer than `least` members."""
    field = chosen(given, variable)
    _enough(given.sizes.get("member", 1) if "member" in field.dims else 1, field.name, least=least, metric=metric)


def _enough(count: int, field: str, *, least: int, metric: str) -> None:
    if count < least:
        raise HandshakeError(
            f"{metric} is given {count} member{'s' if count > 1 else ''} of {field!r}",
            allowed=f"an ensemble of {least} members or more",
            advice="score a method that gives an ensemble, or leave this metric out",
        )


def whole(*fields: xr.DataArray, dims: Sequence[str]) -> list[xr.DataArray]:
    """Fields of which no chunk cuts `dims`, for kernels that see all of them at once."""
    return [each if each.chunks is None else each.chunk(dict.fromkeys(dims, -1)) for each in fields]
