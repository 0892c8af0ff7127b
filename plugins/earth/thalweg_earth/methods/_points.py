"""Whether a regression has enough points for its coefficients."""

from __future__ import annotations

import logging

from thalweg import HandshakeError

log = logging.getLogger("thalweg")

_FEW = 5
"""Points for each coefficient below which a fit is warned of."""


def refuse_too_few(points: int, coefficients: int, *, taker: str, of: str, advice: str, per: str = "") -> None:
    """Raise `HandshakeError` unless there are more points than coefficients: else the fit is exact and says nothing."""
    if points <= coefficients:
        raise HandshakeError(
            f"{taker} would fit {coefficients} coefficients to {points} points{per and f' per {per}'}: {of}",
            allowed=f"more than {coefficients} points{per and f' per {per}'}, and better {_FEW * coefficients}",
            advice=advice,
        )


def warn_of_few(points: int, coefficients: int, *, taker: str, of: str, advice: str, per: str = "") -> None:
    """Log a warning where there are few points for each coefficient."""
    if points < _FEW * coefficients:
        each = f" per {per}" if per else ""
        log.warning("%s fits %d coefficients to %d points%s: %s; %s", taker, coefficients, points, each, of, advice)
