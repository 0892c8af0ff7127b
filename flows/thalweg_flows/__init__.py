"""The flows: the only place that imports Prefect."""

from __future__ import annotations

from .recipe import run_recipe

__all__ = ["run_recipe"]
