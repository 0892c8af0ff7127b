"""What a plugin can provide. A part is a frozen pydantic model: its fields are its options.

A part may also define `check(given)`, to refuse at plan time what its options cannot do; core defines it as nothing.
No part overrides a method of core that does something.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from .credentials import MASK, hidden
from .signature import Field as SignatureField
from .signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import torch
    import xarray as xr
    from torch import nn

    from .cluster import Workers
    from .samples import Samples
    from .scoring import Totals

Site = Literal["loss", "operator", "sampling", "output"]


class Component(BaseModel, ABC):
    """A named, configured part of a pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    cite: ClassVar[str] = ""
    """DOIs of what it computes, separated by spaces."""
    revision: ClassVar[int] = 1
    """Raised when the same options begin to give other results for a reason that its source code does not show."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Options that work, for the conformance kit and `thalweg methods NAME`; needed where an option has no default."""

    _name: str = PrivateAttr("")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # Dask's workers log the arguments of a task that failed.
        for name, value in super().__repr_args__():
            masked = hidden({str(name): value})[str(name)]
            yield name, masked if MASK in repr(masked) else value

    @property
    def name(self) -> str:
        """The name that it was asked for by; its class's, if it was made in Python."""
        return self._name or type(self).__name__

    @final
    def needs(self) -> Signature:
        """What it must be given: the `variable` or `variables` that it names, with its `units` and `dims`, if any."""
        own = self.__dict__
        names = [own["variable"]] if own.get("variable") else own.get("variables") or ()
        dims, units = own.get("dims") or (), own.get("units") or ""
        return Signature(tuple(SignatureField(each, tuple(dims), units=units) for each in names))

    def check(self, given: Signature) -> None:
        """Raise `HandshakeError` or `OptionError` if these options cannot be used on `given`."""


class Dataset(Component):
    """Reads a source lazily."""

    @abstractmethod
    def open(self) -> xr.Dataset:
        """All of the source, dask-backed, with CF names and units; reads no values in bulk.

        The dask chunks become the chunks of the store. Raises `SourceError`.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes when the source does. Raises `SourceError`."""


class Transform(Component):
    """Turns a dataset into another, lazily."""

    def statistics(self, data: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """What `apply` must know of the whole of `data` (a climatology, a mean), lazy and small; nothing by default."""
        import xarray as xr

        return xr.Dataset()

    @abstractmethod
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """The transformed dataset, lazy where `data` is."""


@dataclass(frozen=True)
class Hold:
    """Laws, and the enforcer that holds them."""

    laws: tuple[Law, ...]
    enforcer: Enforcer
    oracle: bool = False

    @property
    def site(self) -> Site:
        return self.enforcer.site


@dataclass(frozen=True)
class Training:
    """What a learner is given: samples, the recipe's `train:` options, a folder of its own, and a way to be heard."""

    train: Samples
    validate: Samples | None
    wanted: Signature
    options: Mapping[str, Any]
    folder: Path
    """For checkpoints: what is there was left by an earlier, interrupted call of the same training."""
    report: Callable[[Mapping[str, float], int], None]
    """`report({"loss/train": 0.3}, epoch)`."""
    workers: Workers
    holds: tuple[Hold, ...] = ()
    """Laws to be held at the `loss` and `operator` sites."""


class Method(Component):
    """Makes an estimate: a `Solver` at once, a `Learner` after it has learned."""

    uncertainty: ClassVar[Literal["none", "variance", "factor", "member"]] = "none"


class Solver(Method):
    """Solves for an estimate; nothing to learn."""

    @abstractmethod
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        """An estimate of the `wanted` fields from `inputs`, both in memory.

        Dims and coordinates are the truth's: `(sample, lead, ...)`, `lead = 1 .. wanted.sizes["lead"]`.
        Uncertainty, if any, is `NAME_variance`, `NAME_factor` along `rank`, or a `member` dim.
        """


class Fitted(Solver):
    """A solver that learning returned: its options are fields, its arrays are `state`."""

    _state: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def state(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """The learned arrays, by name."""
        return self._state

    @final
    def with_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> Fitted:
        """This solver, holding these arrays."""
        self._state.update(state)
        return self


class Steered(Solver):
    """A solver whose estimate is drawn step by step, so that laws can be held on the way."""

    @abstractmethod
    def steered(self, holds: tuple[Hold, ...]) -> Solver:
        """This solver with each denoised estimate steered by the holds at the `sampling` site."""


@dataclass(frozen=True)
class Demand:
    """What a training takes: workers at once, and bytes of memory on each; 0 where that is not known."""

    workers: int = 1
    memory: int = 0


class Learner(Method):
    """Learns from samples; learning returns a solver."""

    fitted: ClassVar[type[Fitted]]
    """What `fit` returns, so that it can be read back from its folder."""
    sites: ClassVar[frozenset[Site]] = frozenset()
    """Sites at which it can hold laws while learning (`loss`, `operator`)."""
    trains_on: ClassVar[frozenset[str]] = frozenset()
    """Options of the recipe's `train:` section that it reads; any other is refused."""

    def demand(self, given: Signature, wanted: Signature, options: Mapping[str, Any]) -> Demand:  # noqa: ARG002
        """What learning with these `train:` options takes; asked at plan time.

        Raises `OptionError` or `HandshakeError` for options that do not fit.
        """
        return Demand()

    def check_samples(self, train: Samples) -> None:
        """Raise `HandshakeError` if there are too few samples to learn from; at plan time, so read no field."""

    @abstractmethod
    def fit(self, training: Training) -> Fitted:
        """Learn from `training.train`; the test split is never given."""


class Law(Component):
    """What must be true of an estimate."""

    oracle: ClassVar[bool] = False
    """Whether it looks at the truth (as `truth_NAME` in the context), which a recipe must allow in so many words."""

    def reads(self) -> tuple[str, ...]:
        """Names of the inputs that it reads beside the estimate; a plan that lacks one is refused."""
        return ()

    @abstractmethod
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        """Zero where the law holds, with units.

        `context` is what is known without the truth: the inputs, coordinates, parameters, budgets.
        """


class Rows(ABC):
    """The rows of a linear law on one sample and lead: `G`, of `count` rows over the cells of `dims`."""

    variable: str
    dims: tuple[str, ...]
    count: int

    @abstractmethod
    def block(self, region: Mapping[str, slice]) -> Any:
        """`G` on the cells of a region: a scipy CSR array `(count, cells)`, float64, cells in C order of `dims`."""


class LinearLaw(Law):
    r"""A law $G x = b$, up to noise of variance $R$ in `noise`."""

    noise: float = Field(0.0, description="variance R of the law's targets, in their units squared; 0 holds it exactly")

    @abstractmethod
    def rows(self, grid: xr.Dataset) -> Rows:
        """`G` on a grid; reads its coordinates and static fields only."""

    @abstractmethod
    def targets(self, context: xr.Dataset) -> xr.DataArray:
        """`b(..., row)`, in the units of the row."""

    @final
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        """$G x - b$ along `row`; cells that are missing (land) weigh nothing."""
        import numpy as np
        import xarray as xr

        rows = self.rows(fields)
        array = fields[rows.variable]
        matrix = rows.block({dim: slice(0, array.sizes[dim]) for dim in rows.dims})
        cells = array.transpose(..., *rows.dims).fillna(0.0)
        flat = cells.values.reshape(-1, matrix.shape[1]).astype(np.float64)
        lead = cells.dims[: cells.ndim - len(rows.dims)]
        product = (matrix @ flat.T).T.reshape(*(cells.sizes[dim] for dim in lead), rows.count)
        coords = {dim: cells[dim] for dim in lead if dim in cells.coords}
        held = xr.DataArray(product, dims=(*lead, "row"), coords=coords)
        targets = self.targets(context)
        return (held - targets).assign_attrs(units=targets.attrs.get("units", "1")).to_dataset(name=rows.variable)


class TensorLaw(Law):
    """A law that is also written with tensors, so that the gradient of its residual can be learned from."""

    @abstractmethod
    def tensor_residual(
        self, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        """The residual of fields with the dims of `grid`.

        Of a method that learns from scattered points, `estimate` holds their coordinates too, by dim and of the shape
        of the fields, which have a gradient with respect to them.
        """


class Enforcer(Component):
    """Holds laws at its site."""

    site: ClassVar[Site]
    takes: ClassVar[tuple[type[Law], ...]] = (Law,)
    """The kinds of law that it can hold."""


class LossEnforcer(Enforcer):
    """Penalises a law's residual while learning."""

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
    """Builds laws into a network before it learns."""

    site: ClassVar[Site] = "operator"

    @abstractmethod
    def wrap(self, module: nn.Module, law: Law) -> nn.Module:
        """A module whose output obeys the law."""


class SamplingEnforcer(Enforcer):
    """Steers a sampler between its denoising steps."""

    site: ClassVar[Site] = "sampling"

    @abstractmethod
    def steer(self, denoised: torch.Tensor, level: int, laws: tuple[Law, ...], context: xr.Dataset) -> torch.Tensor:
        """The denoised estimate at noise level `level`, moved towards the laws."""


class OutputEnforcer(Enforcer):
    """Moves a finished estimate onto its laws, all of them at once."""

    site: ClassVar[Site] = "output"
    uses: ClassVar[tuple[str, ...]] = ()
    """Kinds of uncertainty (`variance`, `factor`, `member`) of which it needs one; none if empty."""

    @abstractmethod
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        """The estimate that obeys; masked cells and variables without a law are left as they are."""


class Loss(Component):
    """What a learner minimises."""

    @abstractmethod
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """A scalar."""


class _Scored(Component):
    """What every measure of an estimate declares."""

    units: ClassVar[str] = "1"
    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None
    """The value of a perfect estimate, where there is one."""


class Metric(_Scored):
    """A function of means: exact under any chunking.

    `statistics` gives fields per point, or `Totals` where those would be large; `value` is computed from their means
    over the dims of the truth other than `lead`.
    """

    overall: ClassVar[Literal["pooled", "mean"]] = "pooled"
    """The score over all leads: the value of the pooled means, or the mean of the values by lead."""

    @abstractmethod
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        """What is averaged, per chunk; lazy where its arguments are."""

    @abstractmethod
    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        """The score, from the means of the statistics."""


class WholeMetric(_Scored):
    """A measure that is not a function of means (ranks, alignments): it needs all data at once, and is slower."""

    @abstractmethod
    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        """The score; `attrs["told"]`, if it is there, has numbers to be recorded beside it, by name."""
