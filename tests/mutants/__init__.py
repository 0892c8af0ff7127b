"""Parts that each break one check of the conformance kit, and parts that keep all: a check must be able to fail."""

from . import (
    components,
    datasets,
    enforcers,
    laws,
    losses,
    methods,
    metrics,
    operators,
    penalties,
    pieces,
    samplers,
    sites,
    transforms,
)

__all__ = [
    "components",
    "datasets",
    "enforcers",
    "laws",
    "losses",
    "methods",
    "metrics",
    "operators",
    "penalties",
    "pieces",
    "samplers",
    "sites",
    "transforms",
]
