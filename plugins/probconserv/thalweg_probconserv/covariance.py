"""Which covariance an estimate is conditioned with while sampling; apart, so that options load no torch."""

from __future__ import annotations

from typing import Literal

Covariance = Literal["vjp", "diagonal", "ensemble", "identity"]
