"""Parts that hold laws, each at its site."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .component import Component, Site
from .law import Law

if TYPE_CHECKING:
    import torch
    import xarray as xr
    from torch import nn

    from .held import Held


@dataclass(frozen=True)
class Hold:
    """Laws, and the enforcer that holds them."""

    laws: tuple[Law, ...]
    enforcer: Enforcer
    oracle: bool = False

    @property
    def site(self) -> Site:
        return self.enforcer.site


class Enforcer(Component):
    """A constraint method: holds an estimate to laws, at its site."""

    site: ClassVar[Site]
    takes: ClassVar[tuple[type[Law], ...]] = (Law,)
    """The kinds of law that it can hold."""


class LossEnforcer(Enforcer):
    """A soft constraint: a penalty on a law's residual, added to the loss in training."""

    site: ClassVar[Site] = "loss"

    @abstractmethod
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        """A scalar, zero where the law holds, added to the loss.

        `grid` has the fields of `estimate` over empty memory, with their dims and coordinates; members lie along the
        second axis.
        """


class OperatorEnforcer(Enforcer):
    """A hard constraint inside a network: wraps it, before it learns, so that its output obeys a law."""

    site: ClassVar[Site] = "operator"

    @abstractmethod
    def wrap(self, module: nn.Module, law: Law) -> nn.Module:
        """A module whose output obeys the law."""


class SamplingEnforcer(Enforcer):
    """A constraint on a generative sampler: steers its state between denoising steps."""

    site: ClassVar[Site] = "sampling"

    @abstractmethod
    def steer(self, denoised: torch.Tensor, level: int, laws: tuple[Law, ...], context: xr.Dataset) -> torch.Tensor:
        """The denoised estimate at noise level `level`, moved towards the laws."""


class OutputEnforcer(Enforcer):
    """A projection of the finished estimate onto its laws, all of them at once."""

    site: ClassVar[Site] = "output"
    uses: ClassVar[tuple[str, ...]] = ()
    """Kinds of uncertainty (`variance`, `factor`, `member`) of which it needs one; none if empty."""

    @abstractmethod
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        """The estimate that obeys `held.laws`; missing cells and variables without a law are left as they are."""
