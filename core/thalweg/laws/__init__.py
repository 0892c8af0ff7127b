"""The general laws, one a file, and what laws and enforcers are made from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..components import Law
from ..components.fields import aligned, differences, like, permuted
from ..components.grid import grid_of
from ..components.held import Held
from ..components.hookspecs import Register, hookimpl
from ..components.matrix import Matrix
from ..components.rows import Gaps, applied, factors, shares, tallied
from ..components.system import System, missing_throughout, parted, systems

if TYPE_CHECKING:
    from ._boundary import BoundaryLaw, inwards, stencil
    from ._inequality import BoundedLaw
    from ._known import KnownLaw, Target
    from ._weights import cell_weights
    from .area_mean import AreaMean
    from .block_mean import BlockMean
    from .boundary_flux import BoundaryFlux
    from .boundary_value import BoundaryValue
    from .bounds import Bounds
    from .integral import Integral
    from .monotone import Monotone
    from .nonnegative import Nonnegative
    from .periodic import Periodic
    from .point_observations import PointObservations
    from .robin import Robin

_HOMES = {
    "AreaMean": "area_mean",
    "BlockMean": "block_mean",
    "BoundaryFlux": "boundary_flux",
    "BoundaryLaw": "_boundary",
    "BoundaryValue": "boundary_value",
    "BoundedLaw": "_inequality",
    "Bounds": "bounds",
    "Integral": "integral",
    "KnownLaw": "_known",
    "Monotone": "monotone",
    "Nonnegative": "nonnegative",
    "Periodic": "periodic",
    "PointObservations": "point_observations",
    "Robin": "robin",
    "Target": "_known",
    "cell_weights": "_weights",
    "inwards": "_boundary",
    "stencil": "_boundary",
}

__all__ = [
    "AreaMean",
    "BlockMean",
    "BoundaryFlux",
    "BoundaryLaw",
    "BoundaryValue",
    "BoundedLaw",
    "Bounds",
    "Gaps",
    "Held",
    "Integral",
    "KnownLaw",
    "Matrix",
    "Monotone",
    "Nonnegative",
    "Periodic",
    "PointObservations",
    "Robin",
    "System",
    "Target",
    "aligned",
    "applied",
    "cell_weights",
    "differences",
    "factors",
    "grid_of",
    "inwards",
    "like",
    "missing_throughout",
    "parted",
    "permuted",
    "shares",
    "stencil",
    "systems",
    "tallied",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    """The laws that a recipe can hold by name."""
    from .area_mean import AreaMean
    from .block_mean import BlockMean
    from .boundary_flux import BoundaryFlux
    from .boundary_value import BoundaryValue
    from .bounds import Bounds
    from .integral import Integral
    from .monotone import Monotone
    from .nonnegative import Nonnegative
    from .periodic import Periodic
    from .point_observations import PointObservations
    from .robin import Robin

    register("area-mean", AreaMean)
    register("block-mean", BlockMean)
    register("boundary-flux", BoundaryFlux)
    register("boundary-value", BoundaryValue)
    register("bounds", Bounds)
    register("integral", Integral)
    register("monotone", Monotone)
    register("nonnegative", Nonnegative)
    register("periodic", Periodic)
    register("point-observations", PointObservations)
    register("robin", Robin)
