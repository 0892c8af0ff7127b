"""A law as a term of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr
from pydantic import Field, PositiveFloat, PrivateAttr
from thalweg import Law, LinearLaw, LossEnforcer, TensorLaw

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(LossEnforcer):
    r"""Adds $\lambda \, \overline{r^2}$ to the loss; also called SoftC.

    $r$ is the residual of a law, in its units, over rows, leads, members and samples: $G x - b$ of a linear law, where
    missing cells weigh nothing and unknown targets are left out, or a law's own, by automatic differentiation. Each law
    is a term of its own. The law then holds as far as the loss and the samples it learned from make it. Raises
    `HandshakeError` for a linear law under a method that learns from scattered points.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, TensorLaw)

    weight: PositiveFloat = Field(
        1.0,
        description="factor of the mean squared residual in the loss, in units of the loss per squared units of "
        "the residual",
    )

    _matrices: dict[int, Any] = PrivateAttr(default_factory=dict)

    def penalty(self, law: Law, estimate: Mapping[str, Tensor], context: xr.Dataset, *, grid: xr.Dataset) -> Tensor:
        if isinstance(law, TensorLaw):
            return self.weight * law.tensor_residual(estimate, context, grid=grid).square().mean()
        from ..tensor_rows import TensorRows

        assert isinstance(law, LinearLaw)
        # Rows depend on the grid alone, which is the same at each step.
        if id(law) not in self._matrices:
            self._matrices[id(law)] = TensorRows.of(law, grid)
        residual: Tensor = self._matrices[id(law)].residual(estimate, context)
        return self.weight * residual.square().mean()
