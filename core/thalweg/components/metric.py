"""Parts that score an estimate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from .component import Component

if TYPE_CHECKING:
    import xarray as xr

    from .totals import Totals


class _Scored(Component):
    """What every measure of an estimate declares."""

    units: ClassVar[str] = "1"
    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None
    """The value of a perfect estimate, where there is one."""


class Metric(_Scored):
    """A score that is a function of means over points, so that it is exact under any chunking.

    `statistics` gives fields per point, or `Totals` where those would be large; `value` is computed from their means
    over the dims of the truth other than `lead`.
    """

    overall: ClassVar[Literal["pooled", "mean"]] = "pooled"
    """The score over all leads: the value of the pooled means, or the mean of the values by lead (NaN where a lead has
    no value: the mean of the others is another score)."""

    @abstractmethod
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        """What is averaged, per chunk; lazy where its arguments are."""

    @abstractmethod
    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        """The score, from the means of the statistics."""

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:  # noqa: ARG002
        """Other values of the same means that are to be read with the score, by name: the bias beside a correlation.

        Over all leads they are values of the pooled means. `attrs` may have `units` and `better` (higher, lower).
        """
        return {}


class WholeMetric(_Scored):
    """A score that is no function of means (ranks, alignments): it needs all data at once, and is slower."""

    @abstractmethod
    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        """The score; `attrs["told"]`, if it is there, has numbers to be recorded beside it, by name."""
