"""What of the published correction is not copied."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg import OptionError


def refuse_planes(space: Sequence[str]) -> None:
    """Raise `OptionError` for the published correction in other than one dim of space."""
    if len(space) != 1:
        raise OptionError(
            f"`compat` in {len(space)} dims of space",
            allowed="one",
            advice="leave `compat` out: the published code of two dims and more has defects that are not copied",
        )
