"""Parts that hold laws, each at its site."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .component import Component, Site
from .law import Law

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from ..learning.layout import InUnits
    from .denoised import Denoised
    from .fields import Fields
    from .held import Held


@dataclass(frozen=True)
class Hold:
    """Laws, and the enforcer that holds them."""

    laws: tuple[Law, ...]
    enforcer: Enforcer
    oracle: bool = False
    entries: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """Which entry of the recipe's list each law is; none where no recipe says."""

    @property
    def site(self) -> Site:
        return self.enforcer.site

    def entry(self, law: Law) -> int:
        """The entry of the recipe's list that a law is."""
        numbers = (number for each, number in zip(self.laws, self.entries, strict=False) if each is law)
        return next(numbers, self.entries[0] if self.entries else 0)


class Enforcer(Component):
    """A constraint method: holds an estimate to laws, at its site."""

    site: ClassVar[Site]
    takes: ClassVar[tuple[type[Law], ...]] = (Law,)
    """The kinds of law that it can hold."""
    exact: ClassVar[bool] = True
    """Whether its laws are true afterwards: later enforcers are then told to leave them true."""


class LossEnforcer(Enforcer):
    """A soft constraint: a penalty on a law's residual, added to the loss in training."""

    site: ClassVar[Site] = "loss"
    exact: ClassVar[bool] = False

    @abstractmethod
    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        """What it needs to know of a batch, once, where the batch is read: `held.known(context)`, arrays by name.

        Of each the first axis is `sample`, or 1.
        """

    @abstractmethod
    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A scalar, zero where the laws hold, added to the loss; `known` are tensors, of the names that it gave."""


class OperatorEnforcer(Enforcer):
    """A hard constraint inside a network: wraps it, before it learns, so that its output obeys laws."""

    site: ClassVar[Site] = "operator"

    @abstractmethod
    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        """What it needs to know of a batch, once, where the batch is read: arrays by name, `sample` or 1 first."""

    @abstractmethod
    def wrap(self, network: InUnits, held: Held, prefix: str) -> InUnits:
        """A network whose output obeys `held.laws`; its `forward(inputs, known)` finds what it knows at `PREFIX/NAME`.

        Its weights and their names depend on neither laws nor grid, and it adds nothing to `state_dict`.
        """


class SamplingEnforcer(Enforcer):
    """A constraint while sampling: moves each denoised estimate of a generative sampler, so that the last one obeys."""

    site: ClassVar[Site] = "sampling"

    def conditional(self) -> bool:
        """Whether what is drawn of a Gaussian, under linear laws, has its conditional distribution.

        The kit tries it where it is so. An estimate can obey and be drawn from another one.
        """
        return False

    @abstractmethod
    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        """What it needs to know of a batch, once, before sampling: arrays by name, `sample` or 1 first.

        Of `held.joint` to leave true what earlier enforcers hold.
        """

    @abstractmethod
    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """`state.estimate`, moved towards the laws, in the sampler's space; a law that is true moves nothing.

        At the last step (`state.noise.last`) an exact one gives an estimate whose fields obey, to rounding.
        """


class OutputEnforcer(Enforcer):
    """A projection of the finished estimate onto its laws, all of them at once."""

    site: ClassVar[Site] = "output"
    uses: ClassVar[tuple[str, ...]] = ()
    """Kinds of uncertainty (`variance`, `factor`, `member`) of which it needs one; none if empty."""

    @abstractmethod
    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        """The estimate that obeys `held.laws`; missing cells and variables without a law are left as they are."""
