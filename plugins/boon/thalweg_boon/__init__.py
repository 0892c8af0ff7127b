"""Boundary laws, held in the operator."""

from __future__ import annotations
