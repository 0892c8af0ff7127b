"""From the recipe's value to a cluster."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import util
from typing import Any

from pydantic import ValidationError

from ..boundaries.options import option_error
from ..boundaries.switches import refuse_switches
from ..credentials import shown
from ..errors import OptionError
from .address import Address
from .base import Cluster, DaskCluster
from .cuda import Cuda
from .kubernetes import Kubernetes
from .local import Local
from .slurm import Slurm
from .threads import Threads

KINDS: dict[str, type[Cluster]] = {
    "threads": Threads,
    "local": Local,
    "cuda": Cuda,
    "slurm": Slurm,
    "kubernetes": Kubernetes,
    "address": Address,
}


def cluster_from(given: object, *, where: str = "cluster") -> Cluster:
    """The cluster that a recipe names. Raises `OptionError`, also if the extra that it needs is not installed."""
    kind, options = _kind(given, where)
    model = KINDS[kind]
    if issubclass(model, DaskCluster) and util.find_spec(model.module.split(".")[0]) is None:
        raise OptionError(
            f"the {kind} cluster needs {model.module.split('.')[0]}, which is not installed",
            allowed=", ".join(name for name in KINDS if name != kind),
            advice=f'install it: pip install "thalweg[{model.extra}]"',
            where=where,
        )
    try:
        made = model.model_validate(options)
    except ValidationError as error:
        raise option_error(model, error, options, where=f"{where}.{kind}") from None
    refuse_switches(options, made, where=f"{where}.{kind}")
    return made


def _kind(given: object, where: str) -> tuple[str, dict[str, Any]]:
    name, options = next(iter(given.items())) if isinstance(given, Mapping) and len(given) == 1 else (given, {})
    if name == "address" and isinstance(options, str):
        options = {"url": options}
    if not isinstance(name, str) or not isinstance(options, Mapping | None):
        raise OptionError(
            f"{shown(given)} does not name one cluster",
            allowed=f"KIND, or {{KIND: {{option: value}}}}, where KIND is one of {', '.join(KINDS)}",
            advice="write `cluster: threads`, or `cluster: {local: {workers: 2}}`",
            where=where,
        )
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        raise OptionError(
            f"no cluster is called {name!r}",
            allowed=", ".join(KINDS),
            advice=f"did you mean {near[0]!r}?" if near else "write `cluster: threads`",
            where=where,
        )
    return name, dict(options or {})
