"""Plans and runs of a recipe in a store, with the installed plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg import Registry
from thalweg.pipeline import Execution, execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans

REGISTRY = Registry.installed()


def planned(file: Path, store: Path, *overrides: str) -> Plan:
    (plan,) = plans(file, registry=REGISTRY, store=str(store), overrides=overrides)
    return plan


def ran(file: Path, store: Path, *overrides: str, **options: Any) -> Execution:
    return execute(planned(file, store, *overrides), registry=REGISTRY, **options)
