"""Which samples of several runs are the same, and whether their truths are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ..errors import CompareError
from ..quantities import texts
from .sides import Side
from .sums import Sums

Array = np.ndarray[Any, Any]


def matched(sides: Sequence[Side]) -> list[Array]:
    """Of each side, the numbers of the samples that all have, in one order. Raises `CompareError` if there are none."""
    named = [_names(side.sums) for side in sides]
    if any(each is None for each in named):
        sizes = {side.sums.data.sizes["sample"] for side in sides}
        if len(sizes) > 1:
            raise CompareError(
                f"the runs have {', '.join(map(str, sorted(sizes)))} test samples, which have no time or name",
                allowed="runs of one test period",
                advice="compare runs of the same `split`",
            )
        return [np.arange(sizes.pop())] * len(sides)
    known = cast("list[list[str]]", named)
    common = set(known[0]).intersection(*known[1:])
    if not common:
        raise CompareError(
            "the runs have no test sample in common",
            allowed="runs whose test periods overlap",
            advice="give them one test period in `split`",
        )
    order = [each for each in known[0] if each in common]
    places = [{name: i for i, name in enumerate(each)} for each in known]
    return [np.array([place[name] for name in order]) for place in places]


def _names(sums: Sums) -> list[str] | None:
    """What identifies each sample in any run; None if nothing does."""
    keys = sums.keys
    plain = [str(name) for name, each in keys.variables.items() if each.dims == ("sample",)]
    rows = zip(*(texts(keys[name].values) for name in sorted(plain)), strict=True)
    names = ["|".join(each) for each in rows]
    return names if names and len(set(names)) == len(names) else None


def refuse_other_truths(sides: Sequence[Side], at: Sequence[Array]) -> None:
    first, *others = [side.sums.truth() for side in sides]
    for side, own, numbers in zip(sides[1:], others, at[1:], strict=True):
        for name in sorted({*first, *own}):
            pair = [each[name].values[where] for each, where in ((first, at[0]), (own, numbers)) if name in each]
            alike = len(pair) == 2 and pair[0].shape == pair[1].shape
            wrong = int((pair[0] != pair[1]).reshape(len(numbers), -1).any(1).sum()) if alike else len(numbers)
            if wrong:
                raise CompareError(
                    f"the truths of {name!r} in {sides[0].title} and {side.title} differ in {wrong} of {len(numbers)}"
                    " test samples",
                    allowed="runs that were scored on the same data: source, preprocess, leads and units",
                    advice="make the runs' `ingest` and `preprocess` alike, or compare each with its own kind",
                )
