"""The losses that a recipe can choose by name (`train: {loss: {quantile: {level: 0.6}}}`), one a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..components.hookspecs import Register, hookimpl
from ..components.loss import Loss

if TYPE_CHECKING:
    from .absolute import Absolute
    from .expectile import Expectile
    from .fair_crps import FairCRPS
    from .info_nce import InfoNCE
    from .mean_squared import MeanSquared
    from .quantile import Quantile
    from .spectral import Spectral

_HOMES = {
    "Absolute": "absolute",
    "Expectile": "expectile",
    "FairCRPS": "fair_crps",
    "InfoNCE": "info_nce",
    "MeanSquared": "mean_squared",
    "Quantile": "quantile",
    "Spectral": "spectral",
}

__all__ = ["Absolute", "Expectile", "FairCRPS", "InfoNCE", "MeanSquared", "Quantile", "Spectral"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


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
