"""Localisation: pose graphs and bundle adjustment in mixed precision."""

from __future__ import annotations
