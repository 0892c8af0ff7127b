"""Partial differential equations with known solutions, operators that learn them, and their scores."""

from __future__ import annotations
