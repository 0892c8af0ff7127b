"""The mean and the variance over solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Fitted, Learner, Method, Named, OptionError, Parts, Signature, Solver, quantities

Array = np.ndarray[Any, Any]
Keep = Annotated[
    Literal["moments", "members"],
    Field(description="what is given: mean and variance over the estimates (moments), or the estimates as members"),
]


class Mixture(Fitted):
    r"""Solvers that count alike: mean and variance of the mixture of their estimates.

    $\mu = \frac1M \sum_i \mu_i$, $\sigma^2 = \frac1M \sum_i (\sigma_i^2 + (\mu_i - \mu)^2)$, the law of total variance.
    A solver that says nothing of its uncertainty has $\sigma_i = 0$; one with members has theirs. With `keep: members`
    the estimates themselves, along `member`.
    Parts: what method `i` learned, as `i`.
    """

    of: tuple[Named[Method], ...]
    """What each was learned by; a method that learns nothing is itself."""
    keep: Keep = "moments"

    @classmethod
    def holding(
        cls,
        methods: Sequence[Method],
        solvers: Sequence[Solver],
        *,
        registry: Parts | None,
        keep: Keep = "moments",
    ) -> Fitted:
        """The mixture of what methods learned; the registry makes what they name."""
        context = {} if registry is None else {"registry": registry}
        made = cls.model_validate({"of": tuple(methods), "keep": keep}, context=context)
        return made.with_parts({str(i): each for i, each in enumerate(solvers) if isinstance(each, Fitted)})

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The mean and its variance, or members."""
        return truth.with_variance() if self.keep == "moments" else truth.with_members(len(self.of))

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        if self.keep == "members":
            each = [self._solver(number, method).solve(inputs, wanted) for number, method in enumerate(self.of)]
            return xr.concat(each, "member", join="override").transpose("sample", "member", ...)
        found: dict[str, _Moments] = {}
        for number, method in enumerate(self.of):
            estimate = self._solver(number, method).solve(inputs, wanted)
            for name in wanted.names:
                field, variance = _distribution(estimate, name)
                found.setdefault(name, _Moments(field)).add(field, variance)
        return xr.Dataset({key: each for name, moments in found.items() for key, each in moments.fields(name).items()})

    def _solver(self, number: int, method: Method) -> Solver:
        if isinstance(method, Learner):
            return self.parts[str(number)]
        assert isinstance(method, Solver)
        return method


def mixed(methods: Sequence[Method], given: Signature, truth: Signature, *, keep: Keep = "moments") -> Signature:
    """What the mixture of these methods gives. Raises `OptionError` if one does not go into a variance of each cell, or
    is no member.
    """
    if keep == "members":
        for method in methods:
            _check_member(method, method.gives(given, truth))
        return truth.with_members(len(methods))
    for method in methods:
        _check_mixable(method, method.gives(given, truth))
    return truth.with_variance()


def _check_mixable(method: Method, gives: Signature) -> None:
    if "factor" in gives.uncertainty:
        raise OptionError(
            f"the uncertainty of {method.name} is a factor of a covariance, which a variance of each cell would lose",
            allowed="methods that give a field, with its variance, or with members",
            advice="choose such a method",
        )


def _check_member(method: Method, gives: Signature) -> None:
    if gives.uncertainty:
        raise OptionError(
            f"{method.name} gives {', '.join(sorted(gives.uncertainty))} itself, which a member would lose",
            allowed="methods that give a field alone",
            advice="set `keep: moments`, or choose such a method",
        )


def _distribution(estimate: xr.Dataset, name: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean and variance of one estimate."""
    field = estimate[name]
    if "member" in field.dims:
        return field.mean("member", skipna=False, keep_attrs=True), field.var("member", skipna=False)
    variance = estimate.get(f"{name}_variance")
    return field, xr.zeros_like(field) if variance is None else variance


class _Moments:
    """Sums of Welford's recurrence: one pass, and no difference of large squares."""

    def __init__(self, like: xr.DataArray) -> None:
        self._like, self._count = like, 0
        self._mean, self._between, self._within = np.zeros((3, *like.shape))

    def add(self, field: xr.DataArray, variance: xr.DataArray) -> None:
        mean, own = (each.transpose(*self._like.dims).values.astype(np.float64) for each in (field, variance))
        self._count += 1
        before = mean - self._mean
        self._mean = self._mean + before / self._count
        self._between = self._between + before * (mean - self._mean)
        self._within = self._within + own

    def fields(self, name: str) -> dict[str, xr.DataArray]:
        kind = np.result_type(self._like.dtype, np.float32)
        variance = (self._within + self._between) / self._count
        mean = self._like.copy(data=self._mean.astype(kind))
        spread = mean.copy(data=variance.astype(kind)).drop_attrs(deep=False)
        units = quantities.squared(str(mean.attrs.get("units", "1")))
        return {name: mean, f"{name}_variance": spread.assign_attrs(units=units)}
