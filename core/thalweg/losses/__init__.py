"""The losses that a recipe can choose by name (`train: {loss: {quantile: {level: 0.6}}}`), one a file."""

from __future__ import annotations

from ..components.hookspecs import Register, hookimpl
from ..components.loss import Loss


@hookimpl
def register_losses(register: Register[Loss]) -> None:
    from .absolute import Absolute
    from .expectile import Expectile
    from .fair_crps import FairCRPS
    from .info_nce import InfoNCE
    from .mean_squared import MeanSquared
    from .quantile import Quantile
    from .spectral import Spectral

    register("absolute", Absolute)
    register("expectile", Expectile)
    register("fair-crps", FairCRPS)
    register("info-nce", InfoNCE)
    register("mean-squared", MeanSquared)
    register("quantile", Quantile)
    register("spectral", Spectral)
